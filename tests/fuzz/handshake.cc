// What a host says to a plugin: the environment that it starts us with (lines NAME=value), and the
// ConnInfo messages of its broker (the same input taken as protobuf, and as network=address).
#include "goplugin/handshake.h"

#include <arpa/inet.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "fuzz/fuzz.h"
#include "goplugin/broker.pb.h"
#include "goplugin/broker_service.h"

namespace {

std::vector<std::string> Split(std::string_view text, char separator) {
  std::vector<std::string> parts{""};
  for (const char c : text) {
    if (c == separator) {
      parts.emplace_back();
    } else {
      parts.back().push_back(c);
    }
  }
  return parts;
}

void FuzzHandshake(std::string_view input) {
  std::map<std::string, std::string> variables;
  for (const std::string& line : Split(input, '\n')) {
    const std::size_t equals = std::min(line.find('='), line.size());
    variables[line.substr(0, equals)] = line.substr(std::min(equals + 1, line.size()));
  }
  const auto value = [&](const std::string& name) {
    const auto at = variables.find(name);
    return at == variables.end() ? std::string() : at->second;
  };
  const goplugin::Environment environment =
      [&](const std::string& name) -> std::optional<std::string> {
    const auto at = variables.find(name);
    return at == variables.end() ? std::nullopt : std::optional(at->second);
  };

  constexpr std::string_view kCookie = "6669da05-b1c8-4f49-97d9-c8e5bed98e20";
  REQUIRE(goplugin::StartedByHost(environment, "VAULT_BACKEND_PLUGIN", kCookie) ==
          (value("VAULT_BACKEND_PLUGIN") == kCookie));

  const absl::StatusOr<goplugin::HandshakeRequest> request = goplugin::ReadHandshake(environment);
  REQUIRE(request.ok() == !value("PLUGIN_CLIENT_CERT").empty());
  if (!request.ok()) {
    REQUIRE(request.status().code() == absl::StatusCode::kFailedPrecondition);
    return;
  }
  REQUIRE(request->host_certificate_pem == value("PLUGIN_CLIENT_CERT"));
  REQUIRE(request->socket_directory == (!value("PLUGIN_UNIX_SOCKET_DIR").empty()
                                            ? value("PLUGIN_UNIX_SOCKET_DIR")
                                        : !value("TMPDIR").empty() ? value("TMPDIR")
                                                                   : "/tmp"));
  REQUIRE(request->knows_multiplexing == !value("PLUGIN_MULTIPLEX_GRPC").empty());

  // Each plain number is taken, in order; nothing is made up.
  std::vector<int> plain;
  const std::vector<std::string> texts = Split(value("PLUGIN_PROTOCOL_VERSIONS"), ',');
  for (const std::string& text : texts) {
    int number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error == std::errc() && end == text.data() + text.size()) plain.push_back(number);
  }
  REQUIRE(request->protocol_versions.size() <= texts.size());
  auto at = request->protocol_versions.begin();
  for (const int number : plain) {
    at = std::find(at, request->protocol_versions.end(), number);
    REQUIRE(at != request->protocol_versions.end());
    ++at;
  }
  for (const int ours : {5, 0, -1}) {
    const bool shared =
        std::ranges::find(request->protocol_versions, ours) != request->protocol_versions.end();
    REQUIRE(goplugin::CheckProtocolVersion(*request, ours).ok() == shared);
    REQUIRE(shared || std::ranges::find(plain, ours) == plain.end());
  }

  // The answer is one line, of the fields that go-plugin reads, the certificate among them.
  const std::string line = goplugin::HandshakeLine(*request, 5, "/tmp/socket", input);
  REQUIRE(std::ranges::count(line, '\n') == 1 && line.ends_with('\n'));
  const std::vector<std::string> fields = Split(line.substr(0, line.size() - 1), '|');
  REQUIRE(fields.size() == (request->knows_multiplexing ? 7 : 6));
  REQUIRE(fields[0] == "1" && fields[1] == "5" && fields[2] == "unix");
  REQUIRE(fields[3] == "/tmp/socket" && fields[4] == "grpc");
  REQUIRE(fields[5] == fuzz::Encode(input, fuzz::kBase64, /*padded=*/false));
  REQUIRE(fields.size() == 6 || fields[6] == "false");
}

std::string PercentDecode(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out.push_back(text[i]);
      continue;
    }
    int code = 0;
    REQUIRE(i + 2 < text.size());
    REQUIRE(std::from_chars(text.data() + i + 1, text.data() + i + 3, code, 16).ptr ==
            text.data() + i + 3);
    out.push_back(static_cast<char>(code));
    i += 2;
  }
  return out;
}

bool IsDialable(const std::string& network, const std::string& address) {
  if (address.find('\0') != std::string::npos) return false;
  if (network == "unix") return address.starts_with('/') && address.size() <= 107;
  if (network != "tcp" || address.find(':') == std::string::npos) return false;
  const std::string port = address.substr(address.rfind(':') + 1);
  std::string host = address.substr(0, address.rfind(':'));
  std::uint32_t number = 0;
  const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), number);
  if (error != std::errc() || end != port.data() + port.size()) return false;
  if (number < 1 || number > 65535) return false;
  std::array<unsigned char, 16> unused{};
  if (!host.starts_with('[')) return inet_pton(AF_INET, host.c_str(), unused.data()) == 1;
  if (!host.ends_with(']')) return false;
  host = host.substr(1, host.size() - 2);
  return inet_pton(AF_INET6, host.c_str(), unused.data()) == 1;
}

void FuzzDial(const std::string& network, const std::string& address) {
  const absl::StatusOr<std::string> target = goplugin::DialTarget(network, address);
  REQUIRE(target.ok() == IsDialable(network, address));
  if (!target.ok()) {
    REQUIRE(target.status().code() == absl::StatusCode::kInvalidArgument);
    return;
  }
  // Only what means itself in a URI, so that gRPC reads the very address, and no other scheme.
  REQUIRE(std::ranges::all_of(*target, [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 ||
           std::string_view("/-._~:%").find(c) != std::string_view::npos;
  }));
  if (network == "unix") {
    REQUIRE(target->starts_with("unix:/") && PercentDecode(target->substr(5)) == address);
  } else {
    REQUIRE(target->starts_with("ipv4:") || target->starts_with("ipv6:"));
    // The port may have been written with leading zeros.
    const std::string decoded = PercentDecode(target->substr(5));
    REQUIRE(decoded.substr(0, decoded.rfind(':')) == address.substr(0, address.rfind(':')));
    REQUIRE(address.ends_with(decoded.substr(decoded.rfind(':') + 1)));
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view input = fuzz::Text(data, size);
  FuzzHandshake(input);
  plugin::ConnInfo info;
  if (info.ParseFromArray(data, static_cast<int>(size))) FuzzDial(info.network(), info.address());
  const std::size_t equals = std::min(input.find('='), input.size());
  FuzzDial(std::string(input.substr(0, equals)),
           std::string(input.substr(std::min(equals + 1, input.size()))));
  return 0;
}
