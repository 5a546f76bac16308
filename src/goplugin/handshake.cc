#include "goplugin/handshake.h"

#include <algorithm>
#include <cstdlib>

#include "absl/strings/numbers.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "base/base64.h"
#include "base/text.h"

namespace goplugin {
namespace {

constexpr int kCoreProtocolVersion = 1;

std::string Get(const Environment& environment, const std::string& name) {
  return environment(name).value_or("");
}

}  // namespace

Environment ProcessEnvironment() {
  return [](const std::string& name) -> std::optional<std::string> {
    const char* value = std::getenv(name.c_str());
    if (value == nullptr) return std::nullopt;
    return value;
  };
}

bool StartedByHost(const Environment& environment, const std::string& cookie_key,
                   std::string_view cookie_value) {
  const std::optional<std::string> cookie = environment(cookie_key);
  return cookie.has_value() && *cookie == cookie_value && !cookie_value.empty();
}

absl::StatusOr<HandshakeRequest> ReadHandshake(const Environment& environment) {
  HandshakeRequest request;
  request.host_certificate_pem = Get(environment, "PLUGIN_CLIENT_CERT");
  if (request.host_certificate_pem.empty()) {
    return absl::FailedPreconditionError(
        "the host gave no certificate (PLUGIN_CLIENT_CERT is not set), so it asks for a connection "
        "without mutual TLS, which this plugin refuses. Update the host, or switch AutoMTLS on");
  }
  request.socket_directory = "/tmp";
  for (const char* name : {"PLUGIN_UNIX_SOCKET_DIR", "TMPDIR"}) {
    if (std::string directory = Get(environment, name); !directory.empty()) {
      request.socket_directory = directory;
      break;
    }
  }
  for (absl::string_view text : absl::StrSplit(Get(environment, "PLUGIN_PROTOCOL_VERSIONS"), ',')) {
    // What is not a number is passed over, as go-plugin does.
    if (int version; absl::SimpleAtoi(text, &version)) request.protocol_versions.push_back(version);
  }
  request.knows_multiplexing = !Get(environment, "PLUGIN_MULTIPLEX_GRPC").empty();
  return request;
}

absl::Status CheckProtocolVersion(const HandshakeRequest& request, int ours) {
  if (std::ranges::find(request.protocol_versions, ours) != request.protocol_versions.end()) {
    return absl::OkStatus();
  }
  return absl::FailedPreconditionError(
      base::Cat("no common protocol version: the host speaks ",
                request.protocol_versions.empty() ? "none it names (PLUGIN_PROTOCOL_VERSIONS)"
                                                  : absl::StrJoin(request.protocol_versions, ", "),
                ", this plugin speaks ", ours, ". Update the older of the two"));
}

std::string HandshakeLine(const HandshakeRequest& request, int protocol_version,
                          std::string_view socket_path, std::string_view certificate_der) {
  const base::SecretBytes encoded = base::Base64Encode(certificate_der);
  std::string_view certificate = encoded.view();
  while (certificate.ends_with('=')) certificate.remove_suffix(1);
  return base::Cat(kCoreProtocolVersion, "|", protocol_version, "|unix|", socket_path, "|grpc|",
                   certificate, request.knows_multiplexing ? "|false" : "", "\n");
}

}  // namespace goplugin
