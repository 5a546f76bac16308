#include "base/sealed.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <climits>
#include <cstddef>
#include <memory>
#include <utility>

namespace base {
namespace {

constexpr std::size_t kKeySize = 32;
constexpr std::size_t kNonceSize = 12;
constexpr std::size_t kTagSize = 16;

// memfd_secret(2) takes its pages out of the kernel's own mapping: neither /proc/PID/mem, ptrace
// nor a core file reaches them, and they are never swapped out. Linux 5.14; a container may forbid
// it.
void* SecretPage(std::size_t size) {
  const int fd = static_cast<int>(syscall(SYS_memfd_secret, O_CLOEXEC));
  if (fd < 0) return MAP_FAILED;
  void* const page = ftruncate(fd, static_cast<off_t>(size)) != 0
                         ? MAP_FAILED
                         : mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  close(fd);
  return page;
}

void* LockedPage(std::size_t size) {
  void* const page =
      mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (page == MAP_FAILED) return page;
  if (mlock(page, size) == 0 && madvise(page, size, MADV_DONTDUMP) == 0 &&
      madvise(page, size, MADV_DONTFORK) == 0) {
    return page;
  }
  munmap(page, size);
  return MAP_FAILED;
}

// nullptr if it can't be kept.
const std::uint8_t* NewKey() {
  const auto size = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  void* page = SecretPage(size);
  if (page == MAP_FAILED) page = LockedPage(size);
  if (page == MAP_FAILED) return nullptr;
  auto* const key = static_cast<std::uint8_t*>(page);
  if (RAND_priv_bytes(key, kKeySize) == 1) return key;
  munmap(page, size);
  return nullptr;
}

const std::uint8_t* Key() {
  static const std::uint8_t* const key = NewKey();
  return key;
}

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

std::optional<SealedBytes> SealedBytes::Seal(std::string_view plain) {
  const std::uint8_t* const key = Key();
  const Context context(EVP_CIPHER_CTX_new());
  if (key == nullptr || context == nullptr || plain.size() > INT_MAX) return std::nullopt;
  std::vector<std::uint8_t> sealed(kNonceSize + plain.size() + kTagSize);
  std::uint8_t* const nonce = sealed.data();
  std::uint8_t* const text = nonce + kNonceSize;
  int length = 0;
  if (RAND_bytes(nonce, kNonceSize) != 1 ||
      EVP_EncryptInit_ex(context.get(), Cipher(), nullptr, key, nonce) != 1 ||
      EVP_EncryptUpdate(context.get(), text, &length,
                        reinterpret_cast<const std::uint8_t*>(plain.data()),
                        static_cast<int>(plain.size())) != 1 ||
      EVP_EncryptFinal_ex(context.get(), text + plain.size(), &length) != 1 ||
      EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_AEAD_GET_TAG, kTagSize, text + plain.size()) !=
          1) {
    return std::nullopt;
  }
  return SealedBytes(std::move(sealed));
}

std::optional<SecretBytes> SealedBytes::Open() const {
  const Context context(EVP_CIPHER_CTX_new());
  if (context == nullptr) return std::nullopt;
  const std::size_t size = sealed_.size() - kNonceSize - kTagSize;
  const std::uint8_t* const text = sealed_.data() + kNonceSize;
  SecretBytes plain(size);
  std::vector<std::uint8_t> tag(text + size, text + size + kTagSize);
  int length = 0;
  if (EVP_DecryptInit_ex(context.get(), Cipher(), nullptr, Key(), sealed_.data()) != 1 ||
      EVP_DecryptUpdate(context.get(), plain.mutable_span().data(), &length, text,
                        static_cast<int>(size)) != 1 ||
      EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_AEAD_SET_TAG, kTagSize, tag.data()) != 1 ||
      EVP_DecryptFinal_ex(context.get(), plain.mutable_span().data() + size, &length) != 1) {
    return std::nullopt;
  }
  return plain;
}

}  // namespace base
