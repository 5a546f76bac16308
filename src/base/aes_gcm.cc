#include "base/aes_gcm.h"

#include <openssl/evp.h>
#include <openssl/rand.h>

#include <climits>
#include <memory>

namespace base {
namespace {

constexpr std::size_t kNonceSize = 12;
constexpr std::size_t kTagSize = 16;

// Fetched once: what EVP_aes_256_gcm() names is looked up anew at each use.
const EVP_CIPHER* Cipher() {
  static const EVP_CIPHER* const cipher = EVP_CIPHER_fetch(nullptr, "AES-256-GCM", nullptr);
  return cipher;
}

struct FreeContext {
  void operator()(EVP_CIPHER_CTX* context) const { EVP_CIPHER_CTX_free(context); }
};
using Context = std::unique_ptr<EVP_CIPHER_CTX, FreeContext>;

}  // namespace

std::optional<std::vector<std::uint8_t>> SealAesGcm(Aes256Key key, std::string_view plain) {
  const Context context(EVP_CIPHER_CTX_new());
  if (context == nullptr || plain.size() > INT_MAX) return std::nullopt;
  std::vector<std::uint8_t> sealed(kNonceSize + plain.size() + kTagSize);
  std::uint8_t* const nonce = sealed.data();
  std::uint8_t* const text = nonce + kNonceSize;
  int length = 0;
  if (RAND_bytes(nonce, kNonceSize) != 1 ||
      EVP_EncryptInit_ex(context.get(), Cipher(), nullptr, key.data(), nonce) != 1 ||
      EVP_EncryptUpdate(context.get(), text, &length,
                        reinterpret_cast<const std::uint8_t*>(plain.data()),
                        static_cast<int>(plain.size())) != 1 ||
      EVP_EncryptFinal_ex(context.get(), text + plain.size(), &length) != 1 ||
      EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_AEAD_GET_TAG, kTagSize, text + plain.size()) !=
          1) {
    return std::nullopt;
  }
  return sealed;
}

std::optional<SecretBytes> OpenAesGcm(Aes256Key key, std::span<const std::uint8_t> sealed) {
  const Context context(EVP_CIPHER_CTX_new());
  if (context == nullptr || sealed.size() < kNonceSize + kTagSize) return std::nullopt;
  const std::size_t size = sealed.size() - kNonceSize - kTagSize;
  const std::uint8_t* const text = sealed.data() + kNonceSize;
  SecretBytes plain(size);
  std::vector<std::uint8_t> tag(text + size, text + size + kTagSize);
  int length = 0;
  if (EVP_DecryptInit_ex(context.get(), Cipher(), nullptr, key.data(), sealed.data()) != 1 ||
      EVP_DecryptUpdate(context.get(), plain.mutable_span().data(), &length, text,
                        static_cast<int>(size)) != 1 ||
      EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_AEAD_SET_TAG, kTagSize, tag.data()) != 1 ||
      EVP_DecryptFinal_ex(context.get(), plain.mutable_span().data() + size, &length) != 1) {
    return std::nullopt;
  }
  return plain;
}

}  // namespace base
