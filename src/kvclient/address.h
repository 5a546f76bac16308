#ifndef KVCLIENT_ADDRESS_H_
#define KVCLIENT_ADDRESS_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace kvclient {

// Where an OpenBao server listens.
struct Address {
  bool tls = true;
  std::string host;  // a name, or an IP address without brackets
  std::uint16_t port = 0;
  std::string prefix;            // "" or "/path", for a server behind a proxy
  std::string server_name = {};  // that its certificate has; "": host

  // What the Host header says: brackets around IPv6, the port always.
  std::string Authority() const;
  bool operator==(const Address&) const = default;
};

// "https://bao.example.com:8200", "http://127.0.0.1:8200/prefix". Without a port: the scheme's own.
// INVALID_ARGUMENT with what was expected.
absl::StatusOr<Address> ParseAddress(std::string_view url);

bool IsHost(std::string_view text);
bool IsIpAddress(std::string_view host);

// Whether what is sent there in the clear stays on this machine or within a cluster: loopback and
// private addresses, single-label names, *.svc and *.svc.cluster.local.
bool IsLocal(std::string_view host);

}  // namespace kvclient

#endif  // KVCLIENT_ADDRESS_H_
