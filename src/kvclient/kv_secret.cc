#include "kvclient/kv_secret.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "absl/strings/numbers.h"
#include "base/status_macros.h"
#include "base/text.h"

namespace kvclient {
namespace {

using base::Cat;
using base::Json;

absl::Status NotKv() {
  return absl::UnavailableError(
      "the answer is not that of a KV v2 engine: is mount the path of one?");
}

std::uint64_t NumberOf(const Json& object, std::string_view name) {
  const Json* number = Member(object, name);
  return number != nullptr && number->is_number_unsigned() ? number->get<std::uint64_t>() : 0;
}

bool IsTrue(const Json& object, std::string_view name) {
  const Json* value = Member(object, name);
  return value != nullptr && value->is_boolean() && value->get<bool>();
}

std::string_view TextOf(const Json& object, std::string_view name) {
  const base::JsonString* text = base::FindString(object, name);
  return text == nullptr ? std::string_view() : std::string_view(*text);
}

// KV's own word that there is no such secret: a 404 without a reason, or of a path that has none.
// Everything else that answers 404 (no such mount, a proxy) says nothing of the secret.
bool IsNoSecret(const Reply& reply) {
  if (reply.status != 404 || !reply.body.is_object() || reply.Object("data") != nullptr) {
    return false;
  }
  const Json* errors = Member(reply.body, "errors");
  return errors != nullptr && errors->is_array() && errors->empty();
}

absl::StatusOr<SecretVersion> ParseVersion(const Json& envelope) {
  const Json* metadata = Member(envelope, "metadata");
  if (metadata == nullptr) return NotKv();
  SecretVersion version{.number = NumberOf(*metadata, "version"),
                        .created_time = absl::UnixEpoch(),
                        .data = std::nullopt,
                        .destroyed = IsTrue(*metadata, "destroyed")};
  std::string why;
  if (version.number == 0 ||
      !absl::ParseTime(absl::RFC3339_full, base::ToAbsl(TextOf(*metadata, "created_time")),
                       &version.created_time, &why)) {
    return NotKv();
  }
  const Json* data = Member(envelope, "data");
  if (data != nullptr && data->is_object()) version.data = *data;
  return version;
}

}  // namespace

absl::StatusOr<std::optional<SecretVersion>> KvSecret::Read(std::uint64_t number) {
  std::string path = client_->settings().data_path();
  if (number != 0) path += Cat("?version=", number);
  ASSIGN_OR_RETURN(const Reply reply, client_->Call("GET", path));
  const Json* envelope = reply.Object("data");
  // A deleted version is a 404 with its metadata.
  if (IsNoSecret(reply)) return std::nullopt;
  if (!reply.ok() && (reply.status != 404 || envelope == nullptr)) {
    return ToStatus(reply, "the KV secret can't be read");
  }
  if (envelope == nullptr) return NotKv();
  ASSIGN_OR_RETURN(SecretVersion version, ParseVersion(*envelope));
  return version;
}

absl::StatusOr<std::optional<SecretMetadata>> KvSecret::ReadMetadata() {
  ASSIGN_OR_RETURN(const Reply reply, client_->Call("GET", client_->settings().metadata_path()));
  if (IsNoSecret(reply)) return std::nullopt;
  if (!reply.ok()) return ToStatus(reply, "the KV secret's metadata can't be read");
  const Json* data = reply.Object("data");
  const Json* versions = data == nullptr ? nullptr : Member(*data, "versions");
  if (versions == nullptr || !versions->is_object()) return NotKv();
  SecretMetadata metadata{.current_version = NumberOf(*data, "current_version"),
                          .created_time = std::string(TextOf(*data, "created_time")),
                          .cas_required = IsTrue(*data, "cas_required"),
                          .versions = {}};
  for (const auto& [name, version] : versions->items()) {
    std::uint64_t number = 0;
    if (!absl::SimpleAtoi(base::ToAbsl(name), &number) || number == 0) return NotKv();
    // A deletion_time may be to come (delete_version_after): Read tells what is deleted.
    metadata.versions.emplace(number, !IsTrue(version, "destroyed"));
  }
  return metadata;
}

Written KvSecret::Write(std::uint64_t newest, const Json& fields) {
  const Json body{{"options", {{"cas", newest}}}, {"data", fields}};
  const absl::StatusOr<Reply> reply = client_->Call("POST", client_->settings().data_path(), body);
  using enum Written::Result;
  if (!reply.ok()) {
    return {NeverSent(reply.status()) ? kRefused : kUnknown, reply.status()};
  }
  if (reply->ok()) {
    const Json* data = reply->Object("data");
    if (data != nullptr && NumberOf(*data, "version") == newest + 1) {
      return {kDone, absl::OkStatus()};
    }
    return {kUnknown, NotKv()};
  }
  absl::Status why = ToStatus(*reply, "the KV secret can't be written");
  if (reply->status == 400 &&
      why.message().find("check-and-set parameter did not match") != absl::string_view::npos) {
    return {kConflict, std::move(why)};
  }
  // The first of two deliveries may have had its effect.
  const bool refused = reply->status >= 400 && reply->status < 500 && !reply->redirected;
  return {refused ? kRefused : kUnknown, std::move(why)};
}

absl::StatusOr<std::vector<std::string>> KvSecret::MissingCapabilities() {
  const std::string data = client_->settings().data_path();
  const std::string metadata = client_->settings().metadata_path();
  const Json body{{"paths", {base::JsonText(data), base::JsonText(metadata)}}};
  ASSIGN_OR_RETURN(const Reply reply, client_->Call("POST", "sys/capabilities-self", body));
  if (!reply.ok()) return ToStatus(reply, "the policy can't be looked at");
  const Json* given = reply.Object("data");
  if (given == nullptr) return NotKv();
  std::vector<std::string> missing;
  const auto check = [&](const std::string& path, std::initializer_list<std::string_view> wanted) {
    const Json* capabilities = Member(*given, path);
    for (const std::string_view capability : wanted) {
      const bool has =
          capabilities != nullptr && capabilities->is_array() &&
          std::ranges::any_of(*capabilities, [&](const Json& value) {
            const auto* name = value.get_ptr<const base::JsonString*>();
            return name != nullptr && (std::string_view(*name) == capability || *name == "root");
          });
      if (!has) missing.push_back(Cat(capability, " on ", path));
    }
  };
  check(data, {"create", "read", "update"});
  check(metadata, {"read"});
  return missing;
}

}  // namespace kvclient
