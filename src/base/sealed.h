// Key material that rests in memory for longer than the operation that needed it.
#ifndef BASE_SEALED_H_
#define BASE_SEALED_H_

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "base/secret.h"

namespace base {

// Bytes under AES-256-GCM (NIST SP 800-38D), with a random nonce each, under a key that is drawn
// when the process first seals something and dies with the process. The key lies alone in a page
// that the kernel itself can't read (memfd_secret(2)), or else in one that is locked and in no
// dump. Immutable, so safe to read from several threads.
class SealedBytes {
 public:
  // nullopt where there is no such page to be had, or the random source fails: then nothing is to
  // be kept.
  static std::optional<SealedBytes> Seal(std::string_view plain);

  // What was sealed; nullopt if memory was damaged since.
  std::optional<SecretBytes> Open() const;
  // In bytes, a few more than what was sealed.
  std::size_t size() const { return sealed_.size(); }

 private:
  explicit SealedBytes(std::vector<std::uint8_t> sealed) : sealed_(std::move(sealed)) {}

  std::vector<std::uint8_t> sealed_;  // nonce, ciphertext, tag
};

}  // namespace base

#endif  // BASE_SEALED_H_
