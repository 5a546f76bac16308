#include <optional>
#include <string>
#include <utility>

#include "base/status_macros.h"
#include "base/text.h"
#include "engine/paths.h"
#include "engine/reply.h"
#include "engine/union.h"
#include "mek/record.h"
#include "mek/rotation.h"

namespace engine {
namespace {

using base::Json;
using base::JsonString;
using openbao::FieldData;
using openbao::FieldType;
using openbao::Request;
using openbao::Response;

constexpr std::string_view kRecordFields[] = {"keys", "current_kid", "jwe_mapping", "private_jwks"};

// What the runbook leaves behind, and also what some platforms want.
constexpr char kMirrored[] =
    "private_jwks holds the same keys as keys. If that is not meant, the runbook has overwritten "
    "it: rows that api-keys sealed before can't be opened. The KV secret's older versions and "
    "backups may hold the same kids with other keys: write repair brings these back";

// What the KV secret of config/home holds now.
absl::StatusOr<mek::Record> RecordInKv(Mount& mount, openbao::Storage& storage) {
  ASSIGN_OR_RETURN(const auto home, mount.records().Current(storage));
  if (home->kv == nullptr) {
    return absl::FailedPreconditionError(
        "from=kv: config/home has no connection; set address, mount, path and the login there "
        "first (type=mount)");
  }
  ASSIGN_OR_RETURN(const std::optional<kvclient::SecretVersion> newest, home->kv->secret().Read(0));
  if (!newest.has_value() || !newest->data.has_value()) {
    return absl::FailedPreconditionError(
        "from=kv: the KV secret of config/home has no newest version that can be read");
  }
  return mek::Record::Parse(*newest->data);
}

absl::StatusOr<mek::Record> ImportedRecord(Mount& mount, openbao::Storage& storage,
                                           const FieldData& data) {
  Json fields = Json::object();
  for (std::string_view name : kRecordFields) {
    if (const auto text = data.String(name); text.has_value()) {
      fields[JsonString(name)] = base::JsonText(*text);
    }
  }
  const Json* backup = data.Object("backup");
  if (data.Has("from")) {
    if (!fields.empty() || backup != nullptr) {
      return absl::InvalidArgumentError(
          "give one of these: the four fields, backup, from. Nothing was changed");
    }
    return RecordInKv(mount, storage);
  }
  if (backup == nullptr) {
    if (fields.empty()) {
      return absl::InvalidArgumentError(
          "expected a record: backup=@FILE (what `bao kv get -format=json` printed), or from=kv, "
          "or the four fields keys, current_kid, jwe_mapping and private_jwks. Nothing was "
          "changed");
    }
    return mek::Record::Parse(fields);
  }
  if (!fields.empty()) {
    return absl::InvalidArgumentError(
        "give either the four fields or backup, not both. Nothing was changed");
  }
  return RecordOfBackup(*backup);
}

Answer Import(Mount& mount, const Request& request, const FieldData& data) {
  ASSIGN_OR_RETURN(const mek::Record imported, ImportedRecord(mount, *request.storage, data));
  const bool drop = data.String("newer_keys") == "drop";
  ASSIGN_OR_RETURN(
      const Outcome outcome,
      mount.Apply(
          request, WriteOptions::From(data), [&](const Version* live) -> absl::StatusOr<Change> {
            Change change{.record = imported.Clone(), .operation = ""};
            if (live != nullptr) {
              if (!data.Bool("force").value_or(false)) {
                return absl::FailedPreconditionError(base::Cat(
                    "there is a record, at version ", live->number,
                    ": with force=true the imported one takes its place, as a new version"));
              }
              ASSIGN_OR_RETURN(change, WithNewerKeys(mount, *request.storage,
                                                     std::move(change.record), *live, drop));
            }
            change.operation = "import";
            change.incoming = true;
            change.unstages = true;
            change.WarnOfRecord(mount.Now());
            if (change.record.mirrored()) change.warnings.emplace_back(kMirrored);
            return change;
          }));
  return ChangeReply(outcome);
}

Answer Init(Mount& mount, const Request& request, const FieldData& data) {
  ASSIGN_OR_RETURN(const Config config, mount.config().Get(*request.storage));
  ASSIGN_OR_RETURN(
      const Outcome outcome,
      mount.Apply(
          request, WriteOptions::From(data), [&](const Version* live) -> absl::StatusOr<Change> {
            if (live != nullptr) {
              return absl::FailedPreconditionError(
                  base::Cat("there is a record, at version ", live->number,
                            ": init makes the first one only; to get a new key, rotate"));
            }
            // Of an earlier record, for readers tell by the kids which key is newer.
            ASSIGN_OR_RETURN(const ArchiveStore::Kids archived,
                             mount.archive().List(*request.storage));
            ASSIGN_OR_RETURN(const mek::NewKey key,
                             mek::GenerateKey(nullptr, LatestKidTime(*archived),
                                              config.private_jwks, mount.Now(), mount.random()));
            ASSIGN_OR_RETURN(mek::Record record, mek::Init(key));
            Change change{.record = std::move(record), .operation = "init"};
            change.new_key = true;
            return change;
          }));
  Response response = ChangeReply(outcome);
  if (outcome.dry_run) response.data["current_kid"] = kNewKid;
  return response;
}

}  // namespace

std::vector<openbao::Path> ImportPaths() {
  openbao::Path adopt;
  adopt.pattern = "import";
  adopt.synopsis = "Adopt an existing record.";
  adopt.description =
      "Give the four fields, or backup=@mek_backup.json as `bao kv get -format=json` prints the "
      "record, or from=kv to fetch it with config/home's connection. It is checked against every "
      "rule of its readers and kept byte for byte.";
  adopt.fields = WriteFields();
  adopt.fields.push_back(
      {.name = "keys",
       .type = FieldType::kString,
       .description = "Base64 of the JSON key set of the MEKs, the current one first."});
  adopt.fields.push_back({.name = "current_kid",
                          .type = FieldType::kString,
                          .description = "The kid of the first key of keys."});
  adopt.fields.push_back(
      {.name = "jwe_mapping",
       .type = FieldType::kString,
       .description = "JSON text with payload_jwe_kid, which equals current_kid."});
  adopt.fields.push_back({.name = "private_jwks",
                          .type = FieldType::kString,
                          .description = "Base64 of the JSON key set of the payload keys."});
  adopt.fields.push_back(
      {.name = "backup",
       .type = FieldType::kObject,
       .description = "In place of the four fields: the record as `bao kv get -format=json` "
                      "prints it (backup=@FILE). Other fields in it are kept."});
  adopt.fields.push_back({.name = "from",
                          .type = FieldType::kString,
                          .description = "In place of the four fields: \"kv\", the KV secret of "
                                         "config/home, which is left as it is.",
                          .allowed = {"kv"}});
  adopt.fields.push_back({.name = "force",
                          .type = FieldType::kBool,
                          .description =
                              "Put the imported record in the place of the one that is there; "
                              "newer_keys says what becomes of its keys."});
  adopt.fields.push_back(NewerKeysField());
  adopt.operations.push_back({.operation = openbao::Operation::kUpdate,
                              .handler = Bind(Import),
                              .summary = "Adopt a record.",
                              .active_node_only = true});

  openbao::Path init;
  init.pattern = "init";
  init.synopsis = "Make a fresh record where there is none: a first key in each set.";
  init.fields = WriteFields();
  init.operations.push_back({.operation = openbao::Operation::kUpdate,
                             .handler = Bind(Init),
                             .summary = "Make the first record.",
                             .active_node_only = true});
  return {adopt, init};
}

}  // namespace engine
