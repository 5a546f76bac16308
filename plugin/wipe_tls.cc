// Wipes the plain text that gRPC's TLS endpoint and OpenSSL would keep in buffers of a connection
// until other traffic overwrites it. Linked with --wrap for each function below; gRPC's
// ssl_transport_security.cc is the only caller of the three SSL_ functions in the program.
//
// What is assumed of gRPC is what the sources of Debian's 1.51.1 do (src/adr/0005-wiped-tls.md);
// with another gRPC the calls go through as they are, and tests/e2e/test_memory.py tells.
#include <grpc/slice.h>
#include <grpcpp/version_info.h>
#include <openssl/crypto.h>
#include <openssl/ssl.h>

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace {

constexpr bool kGrpcIsKnown = GRPC_CPP_VERSION_MAJOR == 1 && GRPC_CPP_VERSION_MINOR == 51;

// Where this thread's last SSL_read calls put plain text that was not handed on yet: calls that
// each went on where the one before had ended. secure_endpoint.cc, on_read: reads into its staging
// buffer and hands the text on in one callback, on one thread.
struct Read {
  std::uint8_t* begin = nullptr;
  std::size_t size = 0;
};
thread_local Read unhanded;

}  // namespace

// The names are the linker's.
// NOLINTBEGIN(clang-diagnostic-reserved-identifier)
extern "C" {

SSL* __real_SSL_new(SSL_CTX* context);
SSL* __wrap_SSL_new(SSL_CTX* context);
int __real_SSL_read(SSL* ssl, void* text, int size);
int __wrap_SSL_read(SSL* ssl, void* text, int size);
int __real_SSL_write(SSL* ssl, const void* text, int size);
int __wrap_SSL_write(SSL* ssl, const void* text, int size);
grpc_slice __real_grpc_slice_split_head(grpc_slice* source, size_t size);
grpc_slice __wrap_grpc_slice_split_head(grpc_slice* source, size_t size);

// OpenSSL deciphers in its record buffer: it is to wipe what it has handed out (OpenSSL 3.0,
// SSL_CTX_set_options(3)). And it is to free both record buffers while they are empty: there is a
// connection for each mount, and most are idle.
SSL* __wrap_SSL_new(SSL_CTX* context) {
  SSL* ssl = __real_SSL_new(context);
  if (ssl != nullptr) {
    SSL_set_options(ssl, SSL_OP_CLEANSE_PLAINTEXT);
    SSL_set_mode(ssl, SSL_MODE_RELEASE_BUFFERS);
  }
  return ssl;
}

int __wrap_SSL_read(SSL* ssl, void* text, int size) {
  const int got = __real_SSL_read(ssl, text, size);
  auto* begin = static_cast<std::uint8_t*>(text);
  if (unhanded.begin + unhanded.size != begin) unhanded = {begin, 0};
  if (got > 0) unhanded.size += static_cast<std::size_t>(got);
  return got;
}

// ssl_transport_security.cc, ssl_protector_protect and _flush: what is written is always the frame
// protector's own buffer, into which the text was copied, and which is filled anew from its start
// after a success. After a failure it is left alone.
int __wrap_SSL_write(SSL* ssl, const void* text, int size) {
  const int written = __real_SSL_write(ssl, text, size);
  if (kGrpcIsKnown && written > 0 && written == size) {
    OPENSSL_cleanse(const_cast<void*>(text), static_cast<std::size_t>(size));  // NOLINT
  }
  return written;
}

// secure_endpoint.cc, on_read: the head of the staging buffer is split off and handed up, while the
// tail takes the next text; so the head's bytes stay until the tail is used up. Such a head is
// handed out as a copy, which is freed (and wiped: wipe_on_free.cc) once it is used, and its place
// is wiped. Nobody else knows that place: just exactly what SSL_read has written here since the
// last split is taken for such a head.
grpc_slice __wrap_grpc_slice_split_head(grpc_slice* source, size_t size) {
  if (!kGrpcIsKnown || size == 0 || source->refcount == nullptr || size != unhanded.size ||
      source->data.refcounted.bytes != unhanded.begin || source->data.refcounted.length < size) {
    return __real_grpc_slice_split_head(source, size);
  }
  std::uint8_t* place = unhanded.begin;
  unhanded = {};
  grpc_slice head = grpc_slice_malloc(size);
  memcpy(GRPC_SLICE_START_PTR(head), place, size);
  OPENSSL_cleanse(place, size);
  // Moves the source on as gRPC does; what is split off is of no use now.
  grpc_slice_unref(__real_grpc_slice_split_head(source, size));
  return head;
}

}  // extern "C"
// NOLINTEND(clang-diagnostic-reserved-identifier)
