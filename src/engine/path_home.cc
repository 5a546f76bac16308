#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/status_macros.h"
#include "base/text.h"
#include "engine/adopt.h"
#include "engine/paths.h"
#include "engine/reply.h"
#include "kvclient/settings.h"

namespace engine {
namespace {

using base::Cat;
using base::JsonText;
using openbao::FieldData;
using openbao::FieldType;
using openbao::Request;
using openbao::Response;

// What of the connection works. Asks the server.
void AddConnection(const HomeStore::Home& home, absl::Time now, Response& response) {
  kvclient::KvSecret& secret = home.kv->secret();
  if (secret.client().sends_in_the_clear()) {
    response.warnings.emplace_back(
        "address is http:// and not within this machine or cluster: keys and credentials can be "
        "read on their way. Use https://");
  }
  const absl::StatusOr<std::optional<kvclient::SecretMetadata>> metadata = secret.ReadMetadata();
  absl::Status failure = metadata.status();
  std::optional<std::vector<std::string>> missing;
  if (!absl::IsUnavailable(failure)) {
    auto asked = secret.MissingCapabilities();
    failure.Update(asked.status());
    if (asked.ok()) missing = *std::move(asked);
  }
  if (missing.has_value()) response.data["missing_capabilities"] = TextList(*missing);
  if (!failure.ok()) {
    response.data["connection"] = JsonText(Cat("fail: ", failure.message()));
    return;
  }
  if (!missing.has_value()) {
    response.warnings.emplace_back(
        "what the policy lacks can't be told: the server refuses sys/capabilities-self. Grant "
        "update on it, as plugin/deploy/kv/mek-kv-writer.hcl does");
  }
  const bool is_good = !missing.has_value() || missing->empty();
  response.data["connection"] = is_good ? "ok" : "fail: the policy lacks capabilities";
  response.data["kv_version"] = metadata->has_value() ? (*metadata)->current_version : 0;
  response.data["cas_required"] = metadata->has_value() && (*metadata)->cas_required;
  if (metadata->has_value() && !(*metadata)->cas_required) {
    response.warnings.push_back(
        Cat("the KV secret can be overwritten without check-and-set, as NVCF's migration job may: "
            "bao kv metadata put -mount=",
            home.settings.connection.mount, " -cas-required=true ", home.settings.connection.path));
  }
  if (!metadata->has_value()) {
    response.warnings.push_back(
        Cat("there is no secret at ", home.settings.connection.mount, "/data/",
            home.settings.connection.path,
            ": check mount and path. If they are right, init makes a fresh record there"));
    return;
  }
  if (auto deletions = secret.SelfDeletions(**metadata, now); deletions.ok()) {
    for (std::string& text : *deletions) response.warnings.push_back(std::move(text));
  }
}

Response Show(const HomeStore::Home& home, absl::Time now) {
  const kvclient::Settings& connection = home.settings.connection;
  Response response;
  response.data = {
      {"type", JsonText(home.settings.type())},
      {"address", JsonText(connection.address)},
      {"ca_cert", JsonText(connection.ca_cert)},
      {"tls_server_name", JsonText(connection.tls_server_name)},
      {"namespace", JsonText(connection.name_space)},
      {"mount", JsonText(connection.mount)},
      {"path", JsonText(connection.path)},
      {"auth_method", JsonText(kvclient::AuthMethodName(connection.auth_method))},
      {"auth_mount", JsonText(connection.login_mount())},
      {"role_id", JsonText(connection.role_id)},
      {"secret_id_set", !connection.secret_id.empty()},
      {"role", JsonText(connection.role)},
      {"jwt_path", JsonText(connection.jwt_path)},
      {"token_set", !connection.token.empty()},
  };
  if (home.kv != nullptr) {
    AddConnection(home, now, response);
  } else {
    response.data["connection"] = home.unusable.ok()
                                      ? base::Json("not set")
                                      : JsonText(Cat("fail: ", home.unusable.message()));
  }
  return response;
}

Answer Read(Mount& mount, const Request& request, const FieldData&) {
  ASSIGN_OR_RETURN(const std::shared_ptr<const HomeStore::Home> home,
                   mount.records().Current(*request.storage));
  return Show(*home, mount.Now());
}

void Change(const FieldData& data, std::string_view name, std::string& text) {
  text = std::string(data.String(name).value_or(text));
}

void ChangeSecret(const FieldData& data, std::string_view name, base::SecretBytes& secret) {
  if (const auto text = data.String(name); text.has_value()) secret = base::SecretBytes(*text);
}

HomeSettings Changed(const HomeSettings& before, const FieldData& data) {
  HomeSettings settings;
  settings.in_kv = before.in_kv;
  settings.connection = before.connection.Clone();
  kvclient::Settings& connection = settings.connection;
  if (const auto type = data.String("type"); type.has_value()) settings.in_kv = *type == "kv";
  Change(data, "address", connection.address);
  Change(data, "ca_cert", connection.ca_cert);
  Change(data, "tls_server_name", connection.tls_server_name);
  Change(data, "namespace", connection.name_space);
  Change(data, "mount", connection.mount);
  Change(data, "path", connection.path);
  if (const auto method = data.String("auth_method"); method.has_value()) {
    connection.auth_method = *kvclient::ParseAuthMethod(*method);
  }
  Change(data, "auth_mount", connection.auth_mount);
  Change(data, "role_id", connection.role_id);
  ChangeSecret(data, "secret_id", connection.secret_id);
  Change(data, "role", connection.role);
  Change(data, "jwt_path", connection.jwt_path);
  ChangeSecret(data, "token", connection.token);
  return settings;
}

// A stored credential goes only where it was meant to go.
absl::Status CheckConfides(const HomeSettings& before, const HomeSettings& after,
                           const FieldData& data) {
  const kvclient::Settings& connection = after.connection;
  if (!before.has_connection() || connection.ConfidesAs(before.connection)) {
    return absl::OkStatus();
  }
  bool given = false;
  std::string_view wanted;
  switch (connection.auth_method) {
    case kvclient::AuthMethod::kApprole:
      given =
          connection.secret_id.empty() || data.Has("secret_id") || data.Has("wrapped_secret_id");
      wanted = "secret_id";
      break;
    case kvclient::AuthMethod::kJwt:
      given = data.Has("jwt_path");
      wanted = "jwt_path";
      break;
    case kvclient::AuthMethod::kToken:
      given = data.Has("token");
      wanted = "token";
      break;
  }
  if (given) return absl::OkStatus();
  return absl::InvalidArgumentError(Cat(
      wanted,
      ": expected in the same write, for a stored credential is never sent to another address "
      "(or by another ca_cert, tls_server_name, namespace, auth_method or auth_mount). Nothing was "
      "changed"));
}

absl::Status CheckWrapped(const HomeSettings& before, const HomeSettings& after,
                          const FieldData& data) {
  if (!after.has_connection() || after.connection.auth_method != kvclient::AuthMethod::kApprole ||
      data.Has("secret_id")) {
    return absl::InvalidArgumentError(
        "wrapped_secret_id: expected with an address and auth_method=approle, and without "
        "secret_id. Nothing was changed");
  }
  // It is used up before the rest of the write is known to succeed.
  if (before.in_kv && before.connection.auth_method == kvclient::AuthMethod::kApprole &&
      !(after.connection.ConfidesAs(before.connection) &&
        after.connection.role_id == before.connection.role_id)) {
    return absl::InvalidArgumentError(
        "wrapped_secret_id: while the record is in kv it can't come with another address or "
        "AppRole; write secret_id itself. Nothing was changed");
  }
  return absl::OkStatus();
}

// The home with the secret id that a wrapping token holds. It is used up by that, so the secret id
// is stored at once, with the home as it was: nothing that fails later loses it.
absl::StatusOr<std::shared_ptr<const HomeStore::Home>> WithUnwrapped(
    HomeStore& homes, openbao::Storage& storage, const HomeStore::Home& before,
    const HomeStore::Home& after, std::string_view wrapping_token) {
  ASSIGN_OR_RETURN(base::SecretBytes secret_id,
                   after.kv->secret().client().UnwrapSecretId(base::SecretBytes(wrapping_token)));
  HomeSettings kept{.in_kv = before.settings.in_kv,
                    .connection = before.settings.in_kv ? before.settings.connection.Clone()
                                                        : after.settings.connection.Clone()};
  kept.connection.secret_id = secret_id.Clone();
  ASSIGN_OR_RETURN(const auto stored, homes.Prepare(std::move(kept)));
  RETURN_IF_ERROR(homes.Put(storage, *stored));
  HomeSettings settings{.in_kv = after.settings.in_kv,
                        .connection = after.settings.connection.Clone()};
  settings.connection.secret_id = std::move(secret_id);
  return homes.Prepare(std::move(settings));
}

Answer Write(Mount& mount, const Request& request, const FieldData& data) {
  ASSIGN_OR_RETURN(const FairLock::Holder holder, mount.Lock(request));
  openbao::Storage& storage = *request.storage;
  HomeStore& homes = mount.records();
  Move move;
  ASSIGN_OR_RETURN(move.from, homes.Current(storage));
  HomeSettings changed = Changed(move.from->settings, data);
  RETURN_IF_ERROR(CheckConfides(move.from->settings, changed, data));
  const auto wrapped = data.String("wrapped_secret_id");
  if (wrapped.has_value()) RETURN_IF_ERROR(CheckWrapped(move.from->settings, changed, data));
  ASSIGN_OR_RETURN(move.to, homes.Prepare(std::move(changed)));
  move.force = data.Bool("force").value_or(false);
  if (data.Has("take")) {
    move.take = data.String("take") == "kv" ? Move::Take::kKv : Move::Take::kMount;
  }
  move.reason = std::string(data.String("reason").value_or(""));
  RETURN_IF_ERROR(CheckReason(move.reason));
  if (wrapped.has_value()) {
    ASSIGN_OR_RETURN(move.to, WithUnwrapped(homes, storage, *move.from, *move.to, *wrapped));
  }
  std::vector<std::string> warnings;
  RETURN_IF_ERROR(MoveHome(mount, request, move, warnings));
  mount.logger().Info("the record's home was set", {{"mount", request.mount_point},
                                                    {"type", std::string(move.to->settings.type())},
                                                    {"display_name", request.display_name}});
  Response response = Show(*move.to, mount.Now());
  response.warnings.insert(response.warnings.begin(), warnings.begin(), warnings.end());
  return response;
}

openbao::Field Text(std::string name, std::string description) {
  return {
      .name = std::move(name), .type = FieldType::kString, .description = std::move(description)};
}

std::vector<openbao::Field> Fields() {
  std::vector<openbao::Field> fields{
      {.name = "type",
       .type = FieldType::kString,
       .description = "\"mount\": the record lives here. \"kv\": in the KV v2 secret below, whose "
                      "readers need no change. To change it moves the record.",
       .allowed = {"mount", "kv"}},
      Text("address",
           "The OpenBao server with the KV secret: https://HOST:PORT; http:// within "
           "this machine or cluster."),
      Text("ca_cert",
           "PEM text of the authorities that sign the server's certificate (@FILE). "
           "Empty: the system's."),
      Text("tls_server_name",
           "The name that the server's certificate has (SNI), if it is not the address's host: for "
           "https://127.0.0.1:8200 or the address of a pod."),
      Text("namespace", "The namespace of the KV engine, if it is not the root."),
      Text("mount", "The path of the KV v2 engine (services/all/kv)."),
      Text("path", "The path of the secret in it (encryption/keys/stored_data)."),
      {.name = "auth_method",
       .type = FieldType::kString,
       .description =
           "How to log in: \"approle\" (role_id, secret_id), \"jwt\" (role, jwt_path) or "
           "\"token\" (token).",
       .allowed = {"approle", "jwt", "token"}},
      Text("auth_mount", "The path of the auth method, if it is not its name."),
      Text("role_id", "The AppRole's role id."),
      Text("secret_id", "The AppRole's secret id. Never shown again."),
      Text("wrapped_secret_id",
           "In place of secret_id: a wrapping token that holds it, which is "
           "used up by this."),
      Text("role", "The JWT role."),
      Text("jwt_path",
           "The file on the server with the JWT, such as a projected service-account "
           "token; read anew at each login."),
      Text("token", "An OpenBao token, renewed as long as it can be. Never shown again."),
      Text("reason", "Why, for the history. Plain text, never a secret."),
      {.name = "take",
       .type = FieldType::kString,
       .description = "Into kv, when the secret and the mount hold different records: whose goes "
                      "on. The keys of the other come to the end of its sets.",
       .allowed = {"kv", "mount"}},
      {.name = "force",
       .type = FieldType::kBool,
       .description = "Into the mount: bring the newest version known here, if the secret can't "
                      "be read; keep the secret's keys where the mount had others under the same "
                      "kid. Within kv: set a connection with which it can't be read."},
  };
  return fields;
}

}  // namespace

std::vector<openbao::Path> HomePaths() {
  openbao::Path path;
  path.pattern = "config/home";
  path.synopsis =
      "Where the record lives: in this mount, or in a KV v2 secret, where it is rotated.";
  path.description =
      "With type=kv each change rewrites the KV secret in place with check-and-set, as one version "
      "of it; its readers go on as they are. A change that another hand makes there is respected, "
      "and shown in versions as \"external\". Needed there: create, read and update on the data "
      "path, read on the metadata path; a read of this path says what is missing.\n\n"
      "To set type adopts: the KV secret's record with its history comes to be known here, or goes "
      "home into the mount. If both hold a record, and not the same one, take=kv or take=mount "
      "says whose goes on; without it that is refused. What a write leaves out stays as it was.\n\n"
      "Who may write here can send the record to a server of his own: this path needs the sudo "
      "capability. A stored credential is never sent to another address: that needs it anew.";
  path.fields = Fields();
  path.operations = {{.operation = openbao::Operation::kRead,
                      .handler = Bind(Read),
                      .summary = "Read the home, and whether its connection works.",
                      .active_node_only = true},
                     {.operation = openbao::Operation::kUpdate,
                      .handler = Bind(Write),
                      .summary = "Set the home, and move the record there.",
                      .active_node_only = true}};
  return {path};
}

}  // namespace engine
