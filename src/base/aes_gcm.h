#ifndef BASE_AES_GCM_H_
#define BASE_AES_GCM_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "base/secret.h"

namespace base {

inline constexpr std::size_t kAes256KeySize = 32;  // bytes

using Aes256Key = std::span<const std::uint8_t, kAes256KeySize>;

// AES-256-GCM (NIST SP 800-38D) with a random nonce of 96 bits: nonce, ciphertext and tag of 128
// bits, one after the other. nullopt if OpenSSL or its random source fails. Thread-safe.
std::optional<std::vector<std::uint8_t>> SealAesGcm(Aes256Key key, std::string_view plain);

// What SealAesGcm sealed; nullopt if a bit of it, or the key, is another. Thread-safe.
std::optional<SecretBytes> OpenAesGcm(Aes256Key key, std::span<const std::uint8_t> sealed);

}  // namespace base

#endif  // BASE_AES_GCM_H_
