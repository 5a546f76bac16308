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
  const Json* number = base::FindMember(object, name);
  return number != nullptr && number->is_number_unsigned() ? number->get<std::uint64_t>() : 0;
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
  const Json* errors = base::FindMember(reply.body, "errors");
  return errors != nullptr && errors->is_array() && errors->empty();
}

// The answers that OpenBao, and what may stand before it, give without having carried out a write.
// Others, such as a proxy's 408, say nothing of what the server behind it does.
bool IsRefusal(int status) {
  return status == 400 || status == 403 || status == 404 || status == 405 || status == 413 ||
         status == 429;
}

// A setting of KV as it writes them ("1h30m0s"); zero if it is not set.
absl::Duration DurationOf(const Json& object, std::string_view name) {
  absl::Duration duration;
  return absl::ParseDuration(base::ToAbsl(TextOf(object, name)), &duration) ? duration
                                                                            : absl::ZeroDuration();
}

absl::StatusOr<SecretVersion> ParseVersion(const Json& envelope) {
  const Json* metadata = base::FindMember(envelope, "metadata");
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
  const Json* data = base::FindMember(envelope, "data");
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
  const Json* versions = data == nullptr ? nullptr : base::FindMember(*data, "versions");
  if (versions == nullptr || !versions->is_object()) return NotKv();
  SecretMetadata metadata{.current_version = NumberOf(*data, "current_version"),
                          .created_time = std::string(TextOf(*data, "created_time")),
                          .cas_required = IsTrue(*data, "cas_required"),
                          .delete_version_after = DurationOf(*data, "delete_version_after"),
                          .deletion_time = std::nullopt,
                          .versions = {}};
  for (const auto& [name, version] : versions->items()) {
    std::uint64_t number = 0;
    if (!absl::SimpleAtoi(base::ToAbsl(name), &number) || number == 0) return NotKv();
    // A deletion_time may be to come (delete_version_after): Read tells what is deleted.
    metadata.versions.emplace(number, !IsTrue(version, "destroyed"));
    absl::Time deleted;
    std::string why;
    if (number == metadata.current_version &&
        absl::ParseTime(absl::RFC3339_full, base::ToAbsl(TextOf(version, "deletion_time")),
                        &deleted, &why)) {
      metadata.deletion_time = deleted;
    }
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
  return {IsRefusal(reply->status) && !reply->redirected ? kRefused : kUnknown, std::move(why)};
}

absl::StatusOr<std::vector<std::string>> KvSecret::SelfDeletions(const SecretMetadata& metadata,
                                                                 absl::Time now) {
  const Settings& settings = client_->settings();
  const std::string at = Cat("-mount=", settings.mount, " ");
  std::vector<std::string> found;
  const auto note = [&](absl::Duration after, std::string_view whose, const std::string& undo) {
    if (after <= absl::ZeroDuration()) return;
    found.push_back(Cat("delete_version_after of ", whose, " is ", absl::FormatDuration(after),
                        ": KV deletes each version by itself so long after it was written, the "
                        "live record too. Turn it off: ",
                        undo));
  };
  note(metadata.delete_version_after, "the KV secret",
       Cat("bao kv metadata put ", at, "-delete-version-after=0s ", settings.path));
  ASSIGN_OR_RETURN(const Reply reply, client_->Ask("GET", Cat(settings.mount, "/config")));
  const Json* config = reply.ok() ? reply.Object("data") : nullptr;
  if (config != nullptr) {
    note(DurationOf(*config, "delete_version_after"), "the KV engine",
         Cat("bao write ", settings.mount, "/config delete_version_after=0s"));
  }
  if (metadata.deletion_time.has_value() && *metadata.deletion_time > now) {
    found.push_back(
        Cat("KV deletes version ", metadata.current_version, ", the live record, by itself at ",
            absl::FormatTime(absl::RFC3339_sec, *metadata.deletion_time, absl::UTCTimeZone()),
            ". It stays with: bao kv undelete ", at, "-versions=", metadata.current_version, " ",
            settings.path));
  }
  return found;
}

absl::StatusOr<std::optional<std::vector<std::string>>> KvSecret::MissingCapabilities() {
  const std::string data = client_->settings().data_path();
  const std::string metadata = client_->settings().metadata_path();
  const Json body{{"paths", {base::JsonText(data), base::JsonText(metadata)}}};
  ASSIGN_OR_RETURN(const Reply reply, client_->Ask("POST", "sys/capabilities-self", body));
  if (reply.status == 403) return std::nullopt;
  if (!reply.ok()) return ToStatus(reply, "the policy can't be looked at");
  const Json* given = reply.Object("data");
  if (given == nullptr) return NotKv();
  std::vector<std::string> missing;
  const auto check = [&](const std::string& path, std::initializer_list<std::string_view> wanted) {
    const Json* capabilities = base::FindMember(*given, path);
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
