#include "kvclient/settings.h"

#include <algorithm>
#include <array>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_split.h"
#include "base/status_macros.h"
#include "base/text.h"
#include "kvclient/address.h"
#include "kvclient/tls.h"

namespace kvclient {
namespace {

constexpr std::array<std::pair<std::string_view, AuthMethod>, 3> kMethods{
    {{"approle", AuthMethod::kApprole}, {"jwt", AuthMethod::kJwt}, {"token", AuthMethod::kToken}}};

constexpr std::size_t kMaxName = 1024;
constexpr std::size_t kMaxSecret = 16 << 10;

// What needs no escaping in a URL's path.
bool IsPath(std::string_view text) {
  if (text.empty() || text.size() > kMaxName) return false;
  for (const absl::string_view part : absl::StrSplit(base::ToAbsl(text), '/')) {
    const bool plain = std::ranges::all_of(part, [](char c) {
      return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '.' || c == '_' ||
             c == '-' || c == '~';
    });
    if (!plain || part.empty() || part == "." || part == "..") return false;
  }
  return true;
}

absl::Status Expect(bool holds, std::string_view what) {
  return holds ? absl::OkStatus() : absl::InvalidArgumentError(base::Cat(what));
}

// However they are written: https://a is https://a:443/.
bool SameAddress(std::string_view a, std::string_view b) {
  if (a == b) return true;
  const absl::StatusOr<Address> first = ParseAddress(a);
  const absl::StatusOr<Address> second = ParseAddress(b);
  return first.ok() && second.ok() && *first == *second;
}

constexpr std::string_view kPathRule =
    "expected names of the characters A-Z a-z 0-9 . _ - ~ between slashes, with none at the start "
    "or the end";

}  // namespace

bool IsPlain(std::string_view text) {
  return !text.empty() && text.size() <= kMaxSecret && std::ranges::all_of(text, [](char c) {
    return absl::ascii_isgraph(static_cast<unsigned char>(c));
  });
}

std::string_view AuthMethodName(AuthMethod method) {
  for (const auto& [name, known] : kMethods) {
    if (known == method) return name;
  }
  return "";
}

std::optional<AuthMethod> ParseAuthMethod(std::string_view name) {
  for (const auto& [known, method] : kMethods) {
    if (known == name) return method;
  }
  return std::nullopt;
}

Settings Settings::Clone() const {
  Settings clone;
  clone.address = address;
  clone.ca_cert = ca_cert;
  clone.tls_server_name = tls_server_name;
  clone.name_space = name_space;
  clone.mount = mount;
  clone.path = path;
  clone.auth_method = auth_method;
  clone.auth_mount = auth_mount;
  clone.role_id = role_id;
  clone.secret_id = secret_id.Clone();
  clone.role = role;
  clone.jwt_path = jwt_path;
  clone.token = token.Clone();
  return clone;
}

absl::Status Settings::Check() const {
  RETURN_IF_ERROR(ParseAddress(address).status());
  if (!ca_cert.empty()) RETURN_IF_ERROR(NewTlsContext(ca_cert).status());
  RETURN_IF_ERROR(Expect(tls_server_name.empty() || IsHost(tls_server_name),
                         "tls_server_name: expected a host name, as the certificate has it"));
  RETURN_IF_ERROR(Expect(IsPath(mount), base::Cat("mount: ", kPathRule)));
  RETURN_IF_ERROR(Expect(IsPath(path), base::Cat("path: ", kPathRule)));
  RETURN_IF_ERROR(
      Expect(name_space.empty() || IsPath(name_space), base::Cat("namespace: ", kPathRule)));
  RETURN_IF_ERROR(
      Expect(auth_mount.empty() || IsPath(auth_mount), base::Cat("auth_mount: ", kPathRule)));
  switch (auth_method) {
    case AuthMethod::kApprole:
      RETURN_IF_ERROR(Expect(IsPlain(role_id), "role_id: expected the AppRole's, in one word"));
      return Expect(secret_id.empty() || IsPlain(secret_id.view()),
                    "secret_id: expected one word, or none");
    case AuthMethod::kJwt:
      RETURN_IF_ERROR(Expect(IsPlain(role), "role: expected the JWT role's name, in one word"));
      return Expect(jwt_path.starts_with('/') && jwt_path.size() <= kMaxName &&
                        jwt_path.find('\0') == std::string::npos,
                    "jwt_path: expected the absolute path of the file with the token, such as "
                    "/var/run/secrets/tokens/openbao");
    case AuthMethod::kToken:
      return Expect(IsPlain(token.view()), "token: expected an OpenBao token, in one word");
  }
  return absl::OkStatus();
}

bool Settings::ConfidesAs(const Settings& other) const {
  return SameAddress(address, other.address) && ca_cert == other.ca_cert &&
         tls_server_name == other.tls_server_name && name_space == other.name_space &&
         auth_method == other.auth_method && login_mount() == other.login_mount();
}

bool Settings::NamesSameSecret(const Settings& other) const {
  return SameAddress(address, other.address) && name_space == other.name_space &&
         mount == other.mount && path == other.path;
}

std::string Settings::login_mount() const {
  return auth_mount.empty() ? std::string(AuthMethodName(auth_method)) : auth_mount;
}

std::string Settings::data_path() const { return base::Cat(mount, "/data/", path); }

std::string Settings::metadata_path() const { return base::Cat(mount, "/metadata/", path); }

}  // namespace kvclient
