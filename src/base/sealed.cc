#include "base/sealed.h"

#include <fcntl.h>
#include <openssl/rand.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstddef>
#include <utility>

#include "base/aes_gcm.h"

namespace base {
namespace {

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
  if (RAND_priv_bytes(key, kAes256KeySize) == 1) return key;
  munmap(page, size);
  return nullptr;
}

const std::uint8_t* Key() {
  static const std::uint8_t* const key = NewKey();
  return key;
}

}  // namespace

std::optional<SealedBytes> SealedBytes::Seal(std::string_view plain) {
  if (Key() == nullptr) return std::nullopt;
  std::optional<std::vector<std::uint8_t>> sealed =
      SealAesGcm(Aes256Key(Key(), kAes256KeySize), plain);
  if (!sealed.has_value()) return std::nullopt;
  return SealedBytes(*std::move(sealed));
}

std::optional<SecretBytes> SealedBytes::Open() const {
  return OpenAesGcm(Aes256Key(Key(), kAes256KeySize), sealed_);
}

}  // namespace base
