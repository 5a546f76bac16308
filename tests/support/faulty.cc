#include "support/faulty.h"

#include <openssl/evp.h>
#include <openssl/rand.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>

namespace testing_support {
namespace {

struct Fault {
  std::string_view function;
  int calls_left = 0;
  Faulty::How how = Faulty::How::kFails;
};
thread_local Fault fault;

bool Strikes(std::string_view function, Faulty::How how) {
  if (fault.function != function || fault.how != how) return false;
  if (fault.calls_left > 0) --fault.calls_left;
  if (fault.calls_left > 0) return false;
  errno = ENOMEM;
  return true;
}

}  // namespace

Faulty::Faulty(std::string_view function, int nth, How how) { fault = {function, nth, how}; }
Faulty::~Faulty() { fault = {}; }

}  // namespace testing_support

// Named in C++ by names of our own, for the linker's are reserved.
#define FAULTY(result, failure, name, parameters, arguments)    \
  result Real_##name parameters __asm__("__real_" #name);       \
  result Wrap_##name parameters __asm__("__wrap_" #name);       \
  result Wrap_##name parameters {                               \
    using testing_support::Faulty;                              \
    if (testing_support::Strikes(#name, Faulty::How::kFails)) { \
      return failure;                                           \
    }                                                           \
    return Real_##name arguments;                               \
  }

extern "C" {

FAULTY(EVP_CIPHER_CTX*, nullptr, EVP_CIPHER_CTX_new, (), ())
FAULTY(int, 0, EVP_CIPHER_CTX_ctrl, (EVP_CIPHER_CTX * context, int type, int arg, void* ptr),
       (context, type, arg, ptr))
FAULTY(int, 0, EVP_EncryptInit_ex,
       (EVP_CIPHER_CTX * context, const EVP_CIPHER* cipher, ENGINE* engine,
        const unsigned char* key, const unsigned char* iv),
       (context, cipher, engine, key, iv))
FAULTY(int, 0, EVP_EncryptUpdate,
       (EVP_CIPHER_CTX * context, unsigned char* out, int* size, const unsigned char* in,
        int in_size),
       (context, out, size, in, in_size))
FAULTY(int, 0, EVP_EncryptFinal_ex, (EVP_CIPHER_CTX * context, unsigned char* out, int* size),
       (context, out, size))
FAULTY(int, 0, EVP_DecryptInit_ex,
       (EVP_CIPHER_CTX * context, const EVP_CIPHER* cipher, ENGINE* engine,
        const unsigned char* key, const unsigned char* iv),
       (context, cipher, engine, key, iv))
FAULTY(int, 0, EVP_Digest,
       (const void* data, size_t count, unsigned char* digest, unsigned* size, const EVP_MD* type,
        ENGINE* engine),
       (data, count, digest, size, type, engine))
FAULTY(int, 0, RAND_bytes, (unsigned char* out, int size), (out, size))
FAULTY(int, 0, RAND_priv_bytes, (unsigned char* out, int size), (out, size))
FAULTY(void*, MAP_FAILED, mmap,
       (void* at, size_t size, int protection, int flags, int fd, off_t offset),
       (at, size, protection, flags, fd, offset))
FAULTY(int, -1, ftruncate, (int fd, off_t size), (fd, size))
FAULTY(int, -1, mlock, (const void* at, size_t size), (at, size))
FAULTY(int, -1, madvise, (void* at, size_t size, int advice), (at, size, advice))

int RealDecryptUpdate(EVP_CIPHER_CTX* context, unsigned char* out, int* size,
                      const unsigned char* in, int in_size) __asm__("__real_EVP_DecryptUpdate");
int WrapDecryptUpdate(EVP_CIPHER_CTX* context, unsigned char* out, int* size,
                      const unsigned char* in, int in_size) __asm__("__wrap_EVP_DecryptUpdate");
int WrapDecryptUpdate(EVP_CIPHER_CTX* context, unsigned char* out, int* size,
                      const unsigned char* in, int in_size) {
  using testing_support::Faulty;
  if (testing_support::Strikes("EVP_DecryptUpdate", Faulty::How::kFails)) return 0;
  const int done = RealDecryptUpdate(context, out, size, in, in_size);
  if (testing_support::Strikes("EVP_DecryptUpdate", Faulty::How::kLies)) out[0] ^= 1;
  return done;
}

}  // extern "C"
