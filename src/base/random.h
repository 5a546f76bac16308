#ifndef BASE_RANDOM_H_
#define BASE_RANDOM_H_

#include <cstdint>
#include <span>

#include "absl/status/status.h"

namespace base {

// A source of random bytes fit for keys. Implementations are thread-safe.
class Random {
 public:
  virtual ~Random() = default;
  // Fills all of `out`, or returns INTERNAL and leaves nothing usable in it.
  virtual absl::Status Fill(std::span<std::uint8_t> out) = 0;
};

// OpenSSL's private DRBG (RAND_priv_bytes), seeded and reseeded by the kernel.
class OpensslRandom final : public Random {
 public:
  absl::Status Fill(std::span<std::uint8_t> out) override;
};

}  // namespace base

#endif  // BASE_RANDOM_H_
