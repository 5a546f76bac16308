// The record as KV v2 shows it, so that readers, `bao kv` and the agent use this mount as they use
// a KV v2 secret (openbao builtin/logical/kv). A plugin mount isn't known as KV v2 until it is
// tuned
// (-options=version=2); without, the agent and `bao kv` read the path without "data/", which
// answers the same envelope.
#include <algorithm>
#include <optional>
#include <string>
#include <utility>

#include "base/status_macros.h"
#include "base/text.h"
#include "engine/operations.h"
#include "engine/paths.h"
#include "engine/reply.h"
#include "engine/union.h"
#include "mek/document.h"
#include "mek/record.h"
#include "mek/rotation.h"
#include "sdk/logical/errors.h"

namespace engine {
namespace {

using base::Json;
using base::JsonString;
using base::JsonText;
using openbao::FieldData;
using openbao::FieldType;
using openbao::Operation;
using openbao::Request;
using openbao::Response;

openbao::Field VersionField() {
  return {.name = "version",
          .type = FieldType::kUnsigned,
          .description = "The version to read; 0 or left out: the live one.",
          .query = true};
}

// How soon an agent is to fetch again while a key spreads.
constexpr int kSpreadRefreshSeconds = 60;

bool IsSpreading(const mek::VersionDoc& doc, const Config& config, absl::Time now) {
  return doc.staged_kid.has_value() || now - AvailableSince(doc) < config.grace_period;
}

Answer Read(Mount& mount, const Request& request, const FieldData& data) {
  const std::uint64_t number = data.Unsigned("version").value_or(0);
  // Readers get their keys even where the settings can't be read.
  const absl::StatusOr<Config> read_config = mount.config().Get(*request.storage);
  if (absl::IsUnavailable(read_config.status())) return read_config.status();
  const Config config = read_config.ok() ? *read_config : Config{};
  // Who fetched what decides over early activation, and only the active node keeps the account.
  if (config.activate_early && !mount.active()) return openbao::ReadOnlyStorage();
  VersionPtr version;
  if (number == 0) {
    ASSIGN_OR_RETURN(version, mount.records().Live(*request.storage));
    if (version == nullptr) return std::nullopt;
  } else {
    ASSIGN_OR_RETURN(Version found, mount.Find(*request.storage, number));
    version = Share(std::move(found));
  }
  Response response;
  response.data["data"] = version->doc.record.ToJson();
  response.data["metadata"] = VersionMetadata(*version);
  if (number != 0) return response;
  const absl::Time now = mount.Now();
  const std::string staged = version->doc.staged_kid.value_or("");
  mount.readers().Note(request, *version, now, mount.spread().Known(staged));
  if (IsSpreading(version->doc, config, now)) {
    // What makes OpenBao's agent come back after ttl seconds rather than at its own pace.
    response.data["rotation_period"] = kSpreadRefreshSeconds;
    response.data["ttl"] = kSpreadRefreshSeconds;
  }
  return response;
}

// KV v2's options object: {"cas": N} and nothing else.
absl::StatusOr<WriteOptions> KvOptions(const FieldData& data) {
  WriteOptions options;
  const Json* given = data.Object("options");
  if (given == nullptr) return options;
  const std::vector<openbao::Field> schema{
      {.name = "cas", .type = FieldType::kUnsigned, .description = ""}};
  ASSIGN_OR_RETURN(const FieldData parsed, FieldData::Parse(schema, *given, {}));
  options.cas = parsed.Unsigned("cas");
  return options;
}

// A put must not be a way around the rules of activation.
absl::Status CheckStagedStays(const Version& live, const mek::Record& record) {
  if (record.current_kid() != live.doc.staged_kid) return absl::OkStatus();
  return absl::FailedPreconditionError(
      base::Cat("kid ", record.current_kid(),
                " is staged, and becomes current when its readers have it: write activate "
                "(force=true: before its time). Nothing was changed"));
}

Response WriteReply(const Outcome& outcome) {
  Response response;
  response.data = VersionMetadata(*outcome.version);
  response.warnings = outcome.warnings;
  return response;
}

// `make` gives the new record from the live one.
Answer Write(Mount& mount, const Request& request, const FieldData& data,
             std::string_view operation,
             const std::function<absl::StatusOr<mek::Record>(const Version*)>& make) {
  ASSIGN_OR_RETURN(const WriteOptions options, KvOptions(data));
  ASSIGN_OR_RETURN(
      const Outcome outcome,
      mount.Apply(request, options, [&](const Version* live) -> absl::StatusOr<Change> {
        ASSIGN_OR_RETURN(mek::Record record, make(live));
        Change change{.record = std::move(record), .operation = std::string(operation)};
        change.incoming = true;
        change.warnings = change.record.Warnings(mount.Now());
        if (live == nullptr) return change;
        const std::vector<mek::SetKey> dropped =
            mek::KeysMissingIn(live->doc.record, change.record);
        if (!dropped.empty()) change.warnings.push_back(DropWarning(dropped, *live));
        RETURN_IF_ERROR(CheckStagedStays(*live, change.record));
        AddNewToReaders(*live, change);
        return change;
      }));
  return WriteReply(outcome);
}

Answer Put(Mount& mount, const Request& request, const FieldData& data) {
  ASSIGN_OR_RETURN(const mek::Record record, mek::Record::Parse(*data.Object("data")));
  return Write(mount, request, data, "put",
               [&](const Version*) -> absl::StatusOr<mek::Record> { return record.Clone(); });
}

// JSON merge patch (RFC 7396) of the record's fields, as KV v2's patch. Fields are strings, so only
// the first level is merged; null takes a field away.
Answer Patch(Mount& mount, const Request& request, const FieldData& data) {
  const Json& patch = *data.Object("data");
  return Write(mount, request, data, "patch",
               [&](const Version* live) -> absl::StatusOr<mek::Record> {
                 if (live == nullptr) return absl::NotFoundError("there is no record to patch");
                 Json fields = live->doc.record.ToJson();
                 fields.merge_patch(patch);
                 return mek::Record::Parse(fields);
               });
}

// KV v2's metadata of a secret (`bao kv metadata get`).
Answer ReadMetadata(Mount& mount, const Request& request, const FieldData&) {
  ASSIGN_OR_RETURN(const std::vector<std::uint64_t> numbers,
                   mount.records().List(*request.storage));
  if (numbers.empty()) return std::nullopt;
  ASSIGN_OR_RETURN(const Config config, mount.config().Get(*request.storage));
  Json versions = Json::object();
  std::vector<std::uint64_t> unreadable;
  Json first_time;
  Json last_time;
  for (const std::uint64_t number : numbers) {
    const absl::StatusOr<std::optional<Version>> version =
        mount.records().Get(*request.storage, number);
    if (mek::IsUnreadable(version.status())) {
      unreadable.push_back(number);
      continue;
    }
    RETURN_IF_ERROR(version.status());
    if (!version->has_value()) continue;  // pruned since it was listed
    Json metadata = VersionMetadata(**version);
    if (first_time.is_null()) first_time = metadata["created_time"];
    last_time = metadata["created_time"];
    metadata.erase("custom_metadata");
    metadata.erase("version");
    versions[JsonString(base::Cat(number))] = std::move(metadata);
  }
  Response response;
  response.data = Json{{"cas_required", false},
                       {"created_time", first_time},
                       {"current_version", numbers.back()},
                       {"custom_metadata", nullptr},
                       {"delete_version_after", "0s"},
                       {"max_versions", config.max_versions},
                       {"oldest_version", numbers.front()},
                       {"updated_time", last_time},
                       {"versions", std::move(versions)}};
  WarnUnreadable(unreadable, response);
  return response;
}

// A folder on the way to the record's metadata, for `bao kv list`.
openbao::Path Folder(std::string pattern, std::string only) {
  openbao::Path path;
  path.pattern = std::move(pattern);
  path.synopsis = "The way to the record, as KV v2 lists it.";
  path.operations.push_back(
      {.operation = Operation::kList,
       .handler = Bind([only = std::move(only)](Mount& mount, const Request& request,
                                                const FieldData&) -> Answer {
         ASSIGN_OR_RETURN(const std::vector<std::uint64_t> numbers,
                          mount.records().List(*request.storage));
         Response response;
         response.data["keys"] = Json::array();
         if (!numbers.empty()) response.data["keys"].push_back(JsonText(only));
         return response;
       }),
       .summary = "List what is here."});
  return path;
}

openbao::PathOperation Refuse(Operation operation, const char* why) {
  return {.operation = operation,
          .handler = [why](openbao::PathBackend&, const Request&, const FieldData&) -> Answer {
            return absl::InvalidArgumentError(why);
          },
          .summary = "Refused, with the reason.",
          .any_parameters = true};
}

constexpr char kNoDelete[] =
    "refused: deleting a version or the record would make what is sealed with its keys unreadable. "
    "To go back, write rollback; old versions are pruned by themselves (config max_versions), and "
    "their keys are kept";

constexpr char kNoMetadata[] =
    "refused: this secret has no settings of its own; max_versions and more are in config";

// What `bao kv put` sends before the mount is tuned: the fields flat, to the path without "data/".
constexpr char kNotTuned[] =
    "refused: the record is written at data/encryption/keys/stored_data. For `bao kv` to do that, "
    "run once: bao secrets tune -options=version=2 MOUNT. Nothing was changed";

// Delete, destroy and undelete under KV v2's prefixes.
openbao::Path Refused(std::string pattern, const std::vector<Operation>& operations) {
  openbao::Path path;
  path.pattern = std::move(pattern);
  path.synopsis = "Refused: no version of the record is deleted by hand.";
  path.fields = {
      {.name = "path", .type = FieldType::kString, .description = "The path of the secret."}};
  for (const Operation operation : operations)
    path.operations.push_back(Refuse(operation, kNoDelete));
  return path;
}

}  // namespace

std::vector<openbao::Path> RecordPaths() {
  const openbao::Handler read = Bind(Read);

  openbao::Path data;
  data.pattern = base::Cat("data/", kRecordPath);
  data.synopsis = "The record, as a secret of KV v2.";
  data.description =
      "Readers fetch it here. A put replaces the record exactly, a patch some of its fields; both "
      "are checked against every rule of the record's readers, and a key that they drop goes to "
      "the archive first.";
  data.fields = {
      VersionField(),
      {.name = "data",
       .type = FieldType::kObject,
       .description =
           "The record's fields: keys, current_kid, jwe_mapping, private_jwks and others."},
      {.name = "options",
       .type = FieldType::kObject,
       .description =
           "{\"cas\": N}: write only if N is the live version (0: if there is none yet)."}};
  const auto with_data = [](MountHandler handler) {
    return Bind([handler = std::move(handler)](Mount& mount, const Request& request,
                                               const FieldData& fields) -> Answer {
      if (fields.Object("data") == nullptr) {
        return absl::InvalidArgumentError(
            "data is missing: expected {\"data\": {the record's fields}}");
      }
      return handler(mount, request, fields);
    });
  };
  data.operations = {
      {.operation = Operation::kRead,
       .handler = read,
       .summary = "Read the live version or another."},
      {.operation = Operation::kUpdate,
       .handler = with_data(Put),
       .summary = "Replace the record.",
       .active_node_only = true},
      {.operation = Operation::kPatch,
       .handler = with_data(Patch),
       .summary = "Replace some fields of the record.",
       .active_node_only = true},
      Refuse(Operation::kDelete, kNoDelete),
  };

  openbao::Path bare;
  bare.pattern = kRecordPath;
  bare.synopsis =
      "The record again, for readers that read the path without data/ (bao agent on this mount).";
  bare.fields = {VersionField()};
  bare.operations = {
      {.operation = Operation::kRead,
       .handler = read,
       .summary = "Read the live version or another."},
      Refuse(Operation::kUpdate, kNotTuned),
      Refuse(Operation::kPatch, kNotTuned),
      Refuse(Operation::kDelete, kNoDelete),
  };

  openbao::Path metadata;
  metadata.pattern = base::Cat("metadata/", kRecordPath);
  metadata.synopsis = "The versions of the record, as KV v2's metadata.";
  metadata.operations = {
      {.operation = Operation::kRead,
       .handler = Bind(ReadMetadata),
       .summary = "Read the metadata of all versions."},
      Refuse(Operation::kUpdate, kNoMetadata),
      Refuse(Operation::kPatch, kNoMetadata),
      Refuse(Operation::kDelete, kNoDelete),
  };

  std::vector<openbao::Path> paths{std::move(data), std::move(bare), std::move(metadata)};
  paths.push_back(Folder("metadata", "encryption/"));
  paths.push_back(Folder("metadata/encryption", "keys/"));
  paths.push_back(Folder("metadata/encryption/keys", "stored_data"));
  paths.push_back(Refused("delete/{path...}", {Operation::kUpdate, Operation::kDelete}));
  paths.push_back(Refused("undelete/{path...}", {Operation::kUpdate}));
  paths.push_back(Refused("destroy/{path...}", {Operation::kUpdate}));
  return paths;
}

}  // namespace engine
