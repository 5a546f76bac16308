// AutoMTLS (go-plugin mtls.go): host and plugin each make a self-signed certificate, exchange the
// certificates out of band (environment, stdout), and accept exactly the other's from then on.
#ifndef GOPLUGIN_AUTOMTLS_H_
#define GOPLUGIN_AUTOMTLS_H_

#include <grpcpp/grpcpp.h>

#include <memory>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/secret.h"

namespace goplugin {

// A certificate and its private key (PEM, SEC1).
struct Identity {
  std::string certificate_der;
  std::string certificate_pem;
  base::SecretBytes private_key_pem;
};

// A new ECDSA P-256 key and a self-signed certificate for it, otherwise as go-plugin makes them
// (P-521: see src/adr/0012-p256-identity.md): for localhost, for both ends of a connection, its own
// authority, valid from 30 s before `now` for 30 years.
absl::StatusOr<Identity> MakeIdentity(absl::Time now);

// The credentials for both directions: we serve the host, and dial its servers.
struct MutualTls {
  std::string certificate_der;
  std::shared_ptr<grpc::ServerCredentials> server;
  std::shared_ptr<grpc::ChannelCredentials> channel;
};

// TLS 1.2 or newer, both sides with certificates, the peer's the very one in
// `peer_certificate_pem`: not one that it signed. INVALID_ARGUMENT unless that is exactly one
// certificate. gRPC keeps copies of the private key in memory that it doesn't wipe, for as long as
// the credentials live; we wipe ours. The key dies with the process and opens nothing but this one
// connection.
absl::StatusOr<MutualTls> MakeMutualTls(Identity identity, std::string_view peer_certificate_pem);

}  // namespace goplugin

#endif  // GOPLUGIN_AUTOMTLS_H_
