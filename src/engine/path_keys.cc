#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/status_macros.h"
#include "base/text.h"
#include "engine/compromised.h"
#include "engine/destroy.h"
#include "engine/known_keys.h"
#include "engine/paths.h"
#include "engine/reply.h"
#include "mek/document.h"
#include "mek/kid.h"
#include "mek/rotation.h"

namespace engine {
namespace {

using base::Json;
using base::JsonText;
using openbao::FieldData;
using openbao::FieldType;
using openbao::Operation;
using openbao::Request;
using openbao::Response;

std::string KidOf(const FieldData& data) { return std::string(*data.String("kid")); }

// The stored versions that a key is in and is current in, as far back as versions are kept.
struct Appearances {
  std::vector<std::uint64_t> in;
  std::vector<std::uint64_t> current;
  std::vector<std::uint64_t> unreadable;
  std::optional<absl::Time> first_time;
};

absl::StatusOr<Appearances> Find(Mount& mount, openbao::Storage& storage, const std::string& kid) {
  Appearances found;
  ASSIGN_OR_RETURN(const std::vector<std::uint64_t> numbers, mount.records().List(storage));
  for (const std::uint64_t number : numbers) {
    const absl::StatusOr<std::optional<Version>> version = mount.records().Get(storage, number);
    if (mek::IsUnreadable(version.status())) {
      found.unreadable.push_back(number);
      continue;
    }
    RETURN_IF_ERROR(version.status());
    if (!version->has_value()) continue;
    const mek::Record& record = (*version)->doc.record;
    if (!record.HasKid(kid)) continue;
    found.in.push_back(number);
    if (!found.first_time.has_value()) found.first_time = (*version)->doc.created_time;
    if (record.current_kid() == kid) found.current.push_back(number);
  }
  return found;
}

std::optional<absl::Time> TimeIn(const std::map<std::string, absl::Time, std::less<>>& marks,
                                 const std::string& kid) {
  const auto at = marks.find(kid);
  return at == marks.end() ? std::nullopt : std::optional(at->second);
}

// When and why it left the sets: the latest of the two sets' entries.
void AddArchived(const mek::ArchiveEntry& entry, Json& data) {
  const mek::ArchivedKey* latest = nullptr;
  for (const mek::ArchivedKey& key : entry.keys()) {
    if (latest == nullptr || key.dropped_time > latest->dropped_time) latest = &key;
  }
  if (latest == nullptr) return;
  data["left_time"] = TimeOrEmpty(latest->dropped_time);
  data["left_by_version"] = latest->dropped_by_version;
  data["left_because"] = JsonText(mek::DropReasonName(latest->reason));
}

Answer Read(Mount& mount, const Request& request, const FieldData& data) {
  openbao::Storage& storage = *request.storage;
  const std::string kid = KidOf(data);
  ASSIGN_OR_RETURN(const VersionPtr live, mount.records().Live(storage));
  ASSIGN_OR_RETURN(const KnownKey known, FindKey(mount, storage, live.get(), kid));
  ASSIGN_OR_RETURN(const Appearances found, Find(mount, storage, kid));
  const mek::VersionDoc& doc = live->doc;
  std::vector<std::string> sets;
  for (const mek::Set set : mek::kSets) {
    if (doc.record.set(set).Find(kid) != nullptr) sets.emplace_back(mek::SetName(set));
  }
  Response response;
  response.data = Json{
      {"kid", JsonText(kid)},
      {"state", JsonText(mek::KeyStateName(known.state))},
      {"is_current", known.is_current},
      {"sets", TextList(sets)},
      {"kid_time", TimeOrEmpty(mek::UuidV1Time(kid))},
      {"first_seen_time", TimeOrEmpty(found.first_time)},
      {"versions", JsonText(Ranges(found.in))},
      {"current_in_versions", JsonText(Ranges(found.current))},
      {"compromised_time", TimeOrEmpty(TimeIn(doc.marks.compromised, kid))},
      {"destroyed_time", TimeOrEmpty(TimeIn(doc.marks.destroyed, kid))},
  };
  if (known.state == mek::KeyState::kStaged) {
    response.data["staged_time"] = TimeOrEmpty(doc.staged_time);
  }
  if (known.archived.has_value() && !known.in_record) {
    AddArchived(*known.archived, response.data);
  }
  WarnUnreadable(found.unreadable, response);
  return response;
}

Answer List(Mount& mount, const Request& request, const FieldData&) {
  openbao::Storage& storage = *request.storage;
  ASSIGN_OR_RETURN(const VersionPtr live, mount.records().Live(storage));
  ASSIGN_OR_RETURN(const std::set<std::string> kids, KnownKids(mount, storage, live.get()));
  ASSIGN_OR_RETURN(const ArchiveStore::Kids archived, mount.archive().List(storage));
  Response response;
  Json& keys = response.data["keys"] = Json::array();
  Json info = Json::object();
  for (const std::string& kid : kids) {
    keys.push_back(JsonText(kid));
    const std::optional<mek::KeyState> state = mek::StateOf(
        kid, live->doc.record, live->doc.staged_kid, live->doc.marks, archived->contains(kid));
    info[base::JsonString(kid)] =
        Json{{"state", JsonText(state.has_value() ? mek::KeyStateName(*state) : "")},
             {"is_current", kid == live->doc.record.current_kid()},
             {"kid_time", TimeOrEmpty(mek::UuidV1Time(kid))}};
  }
  if (!info.empty()) response.data["key_info"] = std::move(info);
  return response;
}

// `make` gives the change for a key whose state allows it.
Answer Act(Mount& mount, const Request& request, const FieldData& data, mek::KeyAction action,
           const std::function<absl::StatusOr<Change>(const Version&, const KnownKey&,
                                                      const std::string& kid)>& make) {
  const std::string kid = KidOf(data);
  ASSIGN_OR_RETURN(const Outcome outcome,
                   mount.Apply(request, WriteOptions::From(data),
                               [&](const Version* live) -> absl::StatusOr<Change> {
                                 ASSIGN_OR_RETURN(
                                     const KnownKey known,
                                     CheckedKey(mount, *request.storage, live, kid, action));
                                 return make(*live, known, kid);
                               }));
  return ChangeReply(outcome);
}

Answer RetireKey(Mount& mount, const Request& request, const FieldData& data) {
  return Act(
      mount, request, data, mek::KeyAction::kRetire,
      [](const Version& live, const KnownKey&, const std::string& kid) -> absl::StatusOr<Change> {
        ASSIGN_OR_RETURN(mek::Record record, mek::Retire(live.doc.record, kid));
        Change change{.record = std::move(record), .operation = "retire"};
        change.drop_reason = mek::DropReason::kRetired;
        change.warnings.push_back(
            base::Cat("readers can't open any more what was sealed with the key of kid ", kid,
                      ", once they fetch this version. keys/", kid, "/restore brings it back"));
        return change;
      });
}

Answer RestoreKey(Mount& mount, const Request& request, const FieldData& data) {
  return Act(mount, request, data, mek::KeyAction::kRestore,
             [](const Version& live, const KnownKey& known,
                const std::string& kid) -> absl::StatusOr<Change> {
               std::vector<mek::SetKey> keys;
               for (const mek::Set set : mek::kSets) {
                 const mek::ArchivedKey* const archived = known.archived->Find(set);
                 if (archived != nullptr && live.doc.record.set(set).Find(kid) == nullptr) {
                   keys.push_back({set, archived->key.jwk.Clone()});
                 }
               }
               ASSIGN_OR_RETURN(mek::Record record, mek::Restore(live.doc.record, keys));
               return Change{.record = std::move(record), .operation = "restore"};
             });
}

Answer MarkCompromised(Mount& mount, const Request& request, const FieldData& data) {
  return Act(
      mount, request, data, mek::KeyAction::kCompromised,
      [&mount](const Version& live, const KnownKey& known,
               const std::string& kid) -> absl::StatusOr<Change> {
        Change change{.record = live.doc.record.Clone(), .operation = "compromised"};
        change.marks = live.doc.marks;
        change.marks->compromised.emplace(kid, mount.Now());
        // A staged key that is compromised must not become current.
        change.unstages = known.state == mek::KeyState::kStaged;
        if (known.is_current) {
          change.warnings.push_back(
              base::Cat("this is the current key, and readers go on sealing with it: ",
                        HowToLeaveKey(live.doc.staged_kid)));
        } else if (change.unstages) {
          change.warnings.emplace_back(
              "this was the staged key; it will not become current. Rotate to stage another");
        }
        return change;
      });
}

Answer Destroy(Mount& mount, const Request& request, const FieldData& data) {
  const std::string kid = KidOf(data);
  if (data.String("confirm") != kid) {
    return absl::InvalidArgumentError(
        "confirm: expected the kid once more, since this can't be undone. Nothing was changed");
  }
  ASSIGN_OR_RETURN(const Outcome outcome,
                   DestroyKey(mount, request, WriteOptions::From(data), kid));
  Response response = ChangeReply(outcome);
  response.data["deleted_versions"] = JsonText(Ranges(outcome.version->doc.deleted_versions));
  return response;
}

openbao::Field KidField() {
  return {.name = "kid", .type = FieldType::kString, .description = "The key's id; see list keys."};
}

openbao::Path ActionPath(std::string_view action, std::string synopsis, std::string description,
                         openbao::Handler handler) {
  openbao::Path path;
  path.pattern = base::Cat("keys/{kid}/", action);
  path.synopsis = std::move(synopsis);
  path.description = std::move(description);
  path.fields = WriteFields();
  path.fields.push_back(KidField());
  path.operations.push_back({.operation = Operation::kUpdate,
                             .handler = std::move(handler),
                             .summary = path.synopsis,
                             .active_node_only = true});
  return path;
}

}  // namespace

std::vector<openbao::Path> KeysPaths() {
  openbao::Path list;
  list.pattern = "keys";
  list.synopsis = "Every key that is known, by its kid, with its state. No key material.";
  list.operations.push_back({.operation = Operation::kList,
                             .handler = Bind(List),
                             .summary = "List the kids (-detailed: with their states)."});

  openbao::Path one;
  one.pattern = "keys/{kid}";
  one.synopsis = "A key's life: its state, times, and the versions that hold it. No key material.";
  one.description =
      "state is staged (readers have it, and don't seal with it yet), current, retained (it opens "
      "what it sealed), retired (out of the record, in the archive), compromised, or destroyed.";
  one.fields = {KidField()};
  one.operations.push_back(
      {.operation = Operation::kRead, .handler = Bind(Read), .summary = "Read a key's life."});

  openbao::Path destroy;
  destroy.pattern = "destroy-key/{kid}";
  destroy.synopsis = "Destroy a key for good. Needs sudo on this path.";
  destroy.description =
      "Takes the key out of the record, the archive and every stored version; a version in which "
      "it was current is deleted. Never the current or a staged key. What was sealed with it can't "
      "be opened any more, and it can't come back: confirm=KID says that you mean it. Snapshots "
      "and backups of the server still hold it.";
  destroy.fields = WriteFields();
  destroy.fields.push_back(KidField());
  destroy.fields.push_back({.name = "confirm",
                            .type = FieldType::kString,
                            .description = "The kid once more.",
                            .required = true});
  destroy.operations.push_back({.operation = Operation::kUpdate,
                                .handler = Bind(Destroy),
                                .summary = "Destroy a key.",
                                .active_node_only = true});
  return {
      std::move(list),
      std::move(one),
      ActionPath("retire", "Take a retained key out of the record, into the archive.",
                 "For a key that nothing needs any more: what was sealed with it must have been "
                 "sealed anew. Never the current or a staged key, and never by a timer.",
                 Bind(RetireKey)),
      ActionPath("restore", "Bring a retired key back, at the end of its sets.", "",
                 Bind(RestoreKey)),
      ActionPath("compromised", "Mark a key as compromised, for good.",
                 "It stays in the record, so that what it sealed can be opened and sealed anew. No "
                 "rollback makes it current again. If it is current, rotate.",
                 Bind(MarkCompromised)),
      std::move(destroy)};
}

}  // namespace engine
