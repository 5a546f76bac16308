#ifndef KVCLIENT_TLS_H_
#define KVCLIENT_TLS_H_

#include <openssl/ssl.h>

#include <memory>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace kvclient {

struct FreeTls {
  void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
  void operator()(SSL* ssl) const { SSL_free(ssl); }
};
using TlsContext = std::unique_ptr<SSL_CTX, FreeTls>;
using Tls = std::unique_ptr<SSL, FreeTls>;

// A client's settings: TLS 1.2 at least, the server's certificate checked against the certificates
// in `ca_pem` and no others, or against the system's if it is empty. INVALID_ARGUMENT if it is no
// PEM text of certificates.
absl::StatusOr<TlsContext> NewTlsContext(std::string_view ca_pem);

// A connection to `host`, which the server's certificate must name.
absl::StatusOr<Tls> NewTls(SSL_CTX* context, const std::string& host);

}  // namespace kvclient

#endif  // KVCLIENT_TLS_H_
