#include "kvclient/address.h"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <optional>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "base/text.h"

namespace kvclient {
namespace {

using Ipv4 = std::array<std::uint8_t, 4>;
using Ipv6 = std::array<std::uint8_t, 16>;

std::optional<Ipv4> ParseIpv4(std::string_view text) {
  Ipv4 bytes{};
  if (inet_pton(AF_INET, std::string(text).c_str(), bytes.data()) != 1) return std::nullopt;
  return bytes;
}

std::optional<Ipv6> ParseIpv6(std::string_view text) {
  Ipv6 bytes{};
  if (inet_pton(AF_INET6, std::string(text).c_str(), bytes.data()) != 1) return std::nullopt;
  return bytes;
}

// RFC 1122 (loopback), 1918 (private), 3927 (link-local).
bool IsPrivate(const Ipv4& ip) {
  return ip[0] == 127 || ip[0] == 10 || (ip[0] == 172 && ip[1] >= 16 && ip[1] < 32) ||
         (ip[0] == 192 && ip[1] == 168) || (ip[0] == 169 && ip[1] == 254);
}

// RFC 4291 (loopback, link-local), 4193 (unique local).
bool IsPrivate(const Ipv6& ip) {
  Ipv6 loopback{};
  loopback.back() = 1;
  return ip == loopback || (ip[0] & 0xfeU) == 0xfcU || (ip[0] == 0xfe && (ip[1] & 0xc0U) == 0x80U);
}

bool IsHostCharacter(char c) {
  return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '.' || c == '-' || c == '_';
}

bool IsPathCharacter(char c) { return IsHostCharacter(c) || c == '/' || c == '~'; }

absl::Status Refuse() {
  return absl::InvalidArgumentError(
      "address: expected https://HOST[:PORT] or http://HOST[:PORT], where the OpenBao server "
      "listens, without user, query or fragment");
}

}  // namespace

std::string Address::Authority() const {
  return host.find(':') == std::string::npos ? base::Cat(host, ":", port)
                                             : base::Cat("[", host, "]:", port);
}

absl::StatusOr<Address> ParseAddress(std::string_view url) {
  Address address;
  if (url.starts_with("https://")) {
    url.remove_prefix(8);
  } else if (url.starts_with("http://")) {
    url.remove_prefix(7);
    address.tls = false;
  } else {
    return Refuse();
  }
  const std::size_t slash = std::min(url.find('/'), url.size());
  address.prefix = std::string(url.substr(slash));
  while (address.prefix.ends_with('/')) address.prefix.pop_back();
  if (!std::ranges::all_of(address.prefix, IsPathCharacter)) return Refuse();

  std::string_view authority = url.substr(0, slash);
  std::string_view port;
  if (authority.starts_with('[')) {
    const std::size_t end = authority.find(']');
    if (end == std::string_view::npos) return Refuse();
    address.host = std::string(authority.substr(1, end - 1));
    if (!ParseIpv6(address.host).has_value()) return Refuse();
    authority.remove_prefix(end + 1);
    if (!authority.empty() && !authority.starts_with(':')) return Refuse();
    port = authority;
  } else {
    const std::size_t colon = std::min(authority.find(':'), authority.size());
    address.host = absl::AsciiStrToLower(base::ToAbsl(authority.substr(0, colon)));
    port = authority.substr(colon);
    if (!IsHost(address.host)) return Refuse();
  }
  address.port = address.tls ? 443 : 80;
  if (!port.empty()) {
    std::uint32_t number = 0;
    port.remove_prefix(1);
    if (port.empty() || !std::ranges::all_of(port, absl::ascii_isdigit) ||
        !absl::SimpleAtoi(base::ToAbsl(port), &number) || number == 0 || number > 65535) {
      return Refuse();
    }
    address.port = static_cast<std::uint16_t>(number);
  }
  return address;
}

bool IsHost(std::string_view text) {
  return !text.empty() && text.size() <= 253 && std::ranges::all_of(text, IsHostCharacter);
}

bool IsIpAddress(std::string_view host) {
  return ParseIpv4(host).has_value() || ParseIpv6(host).has_value();
}

bool IsLocal(std::string_view host) {
  if (const auto ip = ParseIpv4(host); ip.has_value()) return IsPrivate(*ip);
  if (const auto ip = ParseIpv6(host); ip.has_value()) return IsPrivate(*ip);
  if (host.ends_with('.')) host.remove_suffix(1);
  return host.find('.') == std::string_view::npos || host.ends_with(".svc") ||
         host.ends_with(".svc.cluster.local") || host.ends_with(".localhost");
}

}  // namespace kvclient
