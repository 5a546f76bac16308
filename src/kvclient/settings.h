#ifndef KVCLIENT_SETTINGS_H_
#define KVCLIENT_SETTINGS_H_

#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "base/secret.h"

namespace kvclient {

enum class AuthMethod { kApprole, kJwt, kToken };
// "approle", "jwt", "token".
std::string_view AuthMethodName(AuthMethod method);
std::optional<AuthMethod> ParseAuthMethod(std::string_view name);

// What can stand in a header and in JSON.
bool IsPlain(std::string_view text);

// Where a KV v2 secret is, and how to log in there. Owns the credentials; move-only.
struct Settings {
  std::string address;
  std::string ca_cert;          // PEM; "": the system's authorities
  std::string tls_server_name;  // that the server's certificate has; "": the address's host
  std::string name_space;
  std::string mount;
  std::string path;
  AuthMethod auth_method = AuthMethod::kApprole;
  std::string auth_mount;  // "": named as the method
  std::string role_id;
  base::SecretBytes secret_id;
  std::string role;
  std::string jwt_path;  // a file, read anew at each login
  base::SecretBytes token;

  Settings Clone() const;
  // INVALID_ARGUMENT with the first that is missing or malformed; never shows a value.
  absl::Status Check() const;
  // Whether both mean the same secret, wherever it is reached.
  bool NamesSameSecret(const Settings& other) const;
  // Whether a credential of one goes nowhere else with the other: the same server, by the same
  // proof of it, and the same login.
  bool ConfidesAs(const Settings& other) const;

  std::string login_mount() const;
  std::string data_path() const;
  std::string metadata_path() const;
};

}  // namespace kvclient

#endif  // KVCLIENT_SETTINGS_H_
