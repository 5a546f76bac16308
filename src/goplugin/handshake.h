// go-plugin's handshake: what the host asks for in the environment, and the one line that we answer
// on stdout (go-plugin client.go and server.go).
#ifndef GOPLUGIN_HANDSHAKE_H_
#define GOPLUGIN_HANDSHAKE_H_

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace goplugin {

// A variable's value, or nothing if it is not set.
using Environment = std::function<std::optional<std::string>(const std::string& name)>;

// The process's own environment, which must not be changed meanwhile.
Environment ProcessEnvironment();

struct HandshakeRequest {
  // The host's certificate, which it will show as a client and as a server (PLUGIN_CLIENT_CERT).
  std::string host_certificate_pem;
  // An existing directory in which the socket shall be made: PLUGIN_UNIX_SOCKET_DIR, TMPDIR or
  // /tmp.
  std::string socket_directory;
  // The versions the host can speak, in its order (PLUGIN_PROTOCOL_VERSIONS).
  std::vector<int> protocol_versions;
  // The host knows of the seventh field (PLUGIN_MULTIPLEX_GRPC).
  bool knows_multiplexing = false;
};

// Whether a go-plugin host started this program. The cookie tells that from a person's hand; it is
// public and protects nothing.
bool StartedByHost(const Environment& environment, const std::string& cookie_key,
                   std::string_view cookie_value);

// FAILED_PRECONDITION with a text for the operator if the host doesn't ask for mutual TLS, which we
// insist on.
absl::StatusOr<HandshakeRequest> ReadHandshake(const Environment& environment);

// FAILED_PRECONDITION naming both sides' versions unless the host can speak `ours`. (go-plugin
// answers with its lowest version then, and leaves the complaint to the host.)
absl::Status CheckProtocolVersion(const HandshakeRequest& request, int ours);

// The line for stdout, with its newline. `certificate_der` is our certificate.
// The field about multiplexing is added only for hosts that know it, as older ones would take it
// for a part of the certificate. It says false: a host that insists on multiplexing then gives up
// with a clear error, and one that merely inherited the variable goes on without.
std::string HandshakeLine(const HandshakeRequest& request, int protocol_version,
                          std::string_view socket_path, std::string_view certificate_der);

}  // namespace goplugin

#endif  // GOPLUGIN_HANDSHAKE_H_
