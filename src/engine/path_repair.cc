#include <algorithm>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_join.h"
#include "base/status_macros.h"
#include "base/text.h"
#include "engine/known_keys.h"
#include "engine/paths.h"
#include "engine/reply.h"
#include "engine/union.h"
#include "mek/rotation.h"

namespace engine {
namespace {

using base::Cat;
using openbao::FieldData;
using openbao::FieldType;
using openbao::Request;
using openbao::Response;

// Keys that another hand took out of the record, and why they are not in it, from the archive.
absl::StatusOr<std::vector<mek::SetKey>> LostKeys(Mount& mount, openbao::Storage& storage) {
  std::vector<mek::SetKey> lost;
  ASSIGN_OR_RETURN(const ArchiveStore::Kids kids, mount.archive().List(storage));
  for (const std::string& kid : *kids) {
    ASSIGN_OR_RETURN(const std::optional<mek::ArchiveEntry> entry,
                     mount.archive().Get(storage, kid));
    if (!entry.has_value()) continue;
    for (const mek::ArchivedKey& key : entry->keys()) {
      if (key.reason == mek::DropReason::kExternal) {
        lost.push_back({key.key.set, key.key.jwk.Clone()});
      }
    }
  }
  return lost;
}

// Those of `source` that `live` lacks and that nobody left out on purpose.
absl::StatusOr<std::vector<mek::SetKey>> LostSince(Mount& mount, openbao::Storage& storage,
                                                   const mek::Record& source,
                                                   const mek::Record& live) {
  const mek::KeySet& keys = live.set(mek::Set::kKeys);
  const bool is_of_this_record =
      std::ranges::any_of(source.set(mek::Set::kKeys).keys(), [&](const mek::Jwk& jwk) {
        const mek::Jwk* const there = keys.Find(jwk.kid());
        return there != nullptr && there->HasKeyOf(jwk);
      });
  if (!is_of_this_record) {
    return absl::FailedPreconditionError(
        "it has no key of keys in common with the live record: another platform's? Nothing was "
        "changed");
  }
  std::vector<mek::SetKey> lost;
  for (mek::SetKey& key : mek::KeysMissingIn(source, live)) {
    ASSIGN_OR_RETURN(const std::optional<mek::ArchiveEntry> entry,
                     mount.archive().Get(storage, key.jwk.kid()));
    const mek::ArchivedKey* const archived = entry.has_value() ? entry->Find(key.set) : nullptr;
    const bool is_there = live.set(key.set).Find(key.jwk.kid()) != nullptr;
    if (is_there || archived == nullptr || archived->reason == mek::DropReason::kExternal) {
      lost.push_back(std::move(key));
    }
  }
  return lost;
}

std::vector<std::string> Named(const std::set<mek::KeyRef>& refs) {
  std::vector<std::string> names;
  names.reserve(refs.size());
  for (const mek::KeyRef& ref : refs) names.push_back(Cat(mek::SetName(ref.set), " ", ref.kid));
  return names;
}

Answer Repair(Mount& mount, const Request& request, const FieldData& data) {
  openbao::Storage& storage = *request.storage;
  const std::optional<std::uint64_t> number = data.Unsigned("version");
  std::optional<mek::Record> given;
  if (data.Has("backup")) {
    if (number.has_value()) {
      return absl::InvalidArgumentError("give either version or backup. Nothing was changed");
    }
    ASSIGN_OR_RETURN(given, RecordOfBackup(*data.Object("backup")));
  }
  const std::string came_from = given.has_value()    ? "of the backup"
                                : number.has_value() ? Cat("of version ", *number)
                                                     : "that was overwritten";
  ASSIGN_OR_RETURN(const auto home, mount.records().Current(storage));
  std::set<mek::KeyRef> added;
  std::set<mek::KeyRef> replaced;
  const auto compute = [&](const Version* live) -> absl::StatusOr<Change> {
    if (live == nullptr) {
      return absl::FailedPreconditionError(
          "there is no record to repair: init or import one first");
    }
    const mek::Record& record = live->doc.record;
    std::vector<mek::SetKey> lost;
    if (given.has_value()) {
      ASSIGN_OR_RETURN(lost, LostSince(mount, storage, *given, record));
    } else if (number.has_value()) {
      ASSIGN_OR_RETURN(const Version source, mount.Find(storage, *number));
      ASSIGN_OR_RETURN(lost, LostSince(mount, storage, source.doc.record, record));
    } else {
      ASSIGN_OR_RETURN(lost, LostKeys(mount, storage));
    }
    std::erase_if(lost, [&](const mek::SetKey& key) {
      const std::string& kid = key.jwk.kid();
      return live->doc.marks.destroyed.contains(kid) ||
             (live->doc.marks.compromised.contains(kid) &&
              record.set(key.set).Find(kid) == nullptr);
    });
    ASSIGN_OR_RETURN(mek::Repaired repaired,
                     mek::Repair(record, lost, given.has_value() || number.has_value()));
    added = repaired.added;
    replaced = repaired.replaced;
    std::vector<std::string> left;
    for (const mek::KeyRef& ref : repaired.left) {
      left.push_back(Cat("kid ", ref.kid, " of ", mek::SetName(ref.set),
                         " is another key than the one ", came_from,
                         ", and stays: ", HowToPutBack(ref, home->settings.in_kv)));
    }
    if (added.empty() && replaced.empty() && !left.empty()) {
      return absl::FailedPreconditionError(Cat(absl::StrJoin(left, ". "), ". Nothing was changed"));
    }
    if (added.empty() && replaced.empty()) {
      return absl::FailedPreconditionError(
          given.has_value() || number.has_value()
              ? "there is nothing to repair: the record has every key of that one, or they were "
                "taken out here. Nothing was changed"
              : "there is nothing to repair: no key is known here that another hand took out or "
                "overwrote. version=N or backup=@FILE says where to look. Nothing was changed");
    }
    Change change{.record = std::move(repaired.record), .operation = "repair"};
    change.incoming = given.has_value();
    change.replaced = replaced;
    // What is archived under their kids is meant to differ too.
    change.replaced.insert(repaired.left.begin(), repaired.left.end());
    change.warnings = std::move(left);
    for (const mek::KeyRef& ref : replaced) {
      change.warnings.push_back(Cat(
          "kid ", ref.kid, " of private_jwks is again the key ", came_from,
          "; the one in its place went to the archive. What readers (api-keys) sealed with that "
          "one can't be opened with this record: seal it anew, or go back with repair version=",
          live->number));
    }
    return change;
  };
  const WriteOptions options = WriteOptions::From(data);
  // A change does so itself; without it a dry run would not see what was lost just now.
  if (options.dry_run) RETURN_IF_ERROR(mount.CatchUp(request));
  ASSIGN_OR_RETURN(const Outcome outcome, mount.Apply(request, options, compute));
  Response response = ChangeReply(outcome);
  // Both are empty for a request that was carried out before.
  if (!added.empty()) response.data["added"] = TextList(Named(added));
  if (!replaced.empty()) response.data["replaced"] = TextList(Named(replaced));
  return response;
}

}  // namespace

std::vector<openbao::Path> RepairPaths() {
  openbao::Path path;
  path.pattern = "repair";
  path.synopsis = "Bring back keys that another hand took out of the record or overwrote.";
  path.description =
      "For a record in a KV secret that was written by other hands: the runbook puts the MEKs over "
      "the payload keys of private_jwks, and NVCF's migration job can put a fresh record over all. "
      "What goes that way is archived when it is seen, and verify says so. This brings it back, as "
      "one new version: a key that is gone to the end of its set, an overwritten one of "
      "private_jwks to its place. current_kid stays. With version=N or backup the keys of that "
      "record come back that the live one lacks, but for those that were taken out here "
      "(keys/KID/restore brings these back). Where it names two keys of one kid in private_jwks, "
      "that one's is taken: so a repair can be undone. A key of keys is never replaced; what is "
      "left for a person to decide stays, with a warning. dry_run=true shows what would be done.";
  path.fields = WriteFields();
  path.fields.push_back({.name = "version",
                         .type = FieldType::kUnsigned,
                         .description = "The stored version to take the keys from."});
  path.fields.push_back({.name = "backup",
                         .type = FieldType::kObject,
                         .description = "A record to take the keys from, as `bao kv get "
                                        "-format=json` prints it (backup=@FILE)."});
  path.operations.push_back({.operation = openbao::Operation::kUpdate,
                             .handler = Bind(Repair),
                             .summary = "Bring back what was taken out.",
                             .active_node_only = true});
  return {path};
}

}  // namespace engine
