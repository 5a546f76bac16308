#include "base/random.h"

#include <openssl/crypto.h>
#include <openssl/rand.h>

namespace base {

absl::Status OpensslRandom::Fill(std::span<std::uint8_t> out) {
  if (RAND_priv_bytes(out.data(), static_cast<int>(out.size())) != 1) {
    OPENSSL_cleanse(out.data(), out.size());
    return absl::InternalError("the system's random source failed; nothing was changed");
  }
  return absl::OkStatus();
}

}  // namespace base
