#include "engine/union.h"

#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/status_macros.h"
#include "engine/compromised.h"
#include "mek/rotation.h"

namespace engine {
namespace {

// The keys of `target` that an operator has retired since, or marked as compromised.
struct StayingOut {
  std::set<mek::KeyRef> keys;
  std::set<std::string> retired;
  std::set<std::string> compromised;

  void AddWarnings(std::vector<std::string>& warnings) const {
    if (!retired.empty()) {
      warnings.push_back(absl::StrCat(
          "the keys of ", absl::StrJoin(retired, ", "),
          " stay out of the record, as they were retired: readers can't open what was sealed with "
          "them. keys/KID/restore brings one back"));
    }
    if (!compromised.empty()) {
      warnings.push_back(absl::StrCat(
          "the keys of ", absl::StrJoin(compromised, ", "),
          " stay out of the record, as they are compromised, which is final: readers can't open "
          "what was sealed with them"));
    }
  }
};

absl::StatusOr<StayingOut> FindStayingOut(Mount& mount, openbao::Storage& storage,
                                          const mek::Record& target, const mek::VersionDoc& live) {
  StayingOut out;
  for (const mek::SetKey& key : mek::KeysMissingIn(target, live.record)) {
    if (live.marks.compromised.contains(key.jwk.kid())) {
      out.keys.insert({key.set, key.jwk.kid()});
      out.compromised.insert(key.jwk.kid());
      continue;
    }
    ASSIGN_OR_RETURN(const std::optional<mek::ArchiveEntry> entry,
                     mount.archive().Get(storage, key.jwk.kid()));
    const mek::ArchivedKey* archived = entry.has_value() ? entry->Find(key.set) : nullptr;
    if (archived != nullptr && archived->reason == mek::DropReason::kRetired) {
      out.keys.insert({key.set, key.jwk.kid()});
      out.retired.insert(key.jwk.kid());
    }
  }
  return out;
}

}  // namespace

std::string DropWarning(const std::vector<mek::SetKey>& dropped, const Version& live) {
  std::string text = absl::StrCat(
      "what was sealed with the keys of ", absl::StrJoin(mek::KidsOf(dropped), ", "),
      " can't be opened by readers any more: these keys left the record for the archive. "
      "keys/KID/restore brings one back");
  // No rollback leads to a compromised current key.
  if (!live.doc.marks.compromised.contains(live.doc.record.current_kid())) {
    absl::StrAppend(&text, ", and rollback version=", live.number, " all of them");
  }
  return text;
}

void AddNewToReaders(const Version& live, Change& change) {
  const mek::Record& before = live.doc.record;
  const std::string& current = change.record.current_kid();
  if (before.current_kid() == current) return;
  if (before.HasKidInBothSets(current)) return;
  change.warnings.push_back(absl::StrCat(
      "kid ", current,
      " becomes current, and readers have not had it until now: one that seals with it meets "
      "others that lack it, until all have fetched this version, and those that load the record "
      "only at their start (nvcf-api, api-keys) were restarted"));
}

absl::StatusOr<mek::Record> RecordOfBackup(const base::Json& backup) {
  const auto outer = backup.find("data");
  if (outer != backup.end() && outer->is_object()) {
    const auto inner = outer->find("data");
    if (inner != outer->end() && inner->is_object()) return mek::Record::Parse(*inner);
  }
  return absl::InvalidArgumentError(
      "backup: expected what `bao kv get -format=json` prints, with the record under data.data");
}

openbao::Field NewerKeysField() {
  return {.name = "newer_keys",
          .type = openbao::FieldType::kString,
          .description =
              "What becomes of live keys that the record lacks: \"keep\" them at the end of each "
              "set (the default), or \"drop\" them into the archive.",
          .allowed = {"keep", "drop"}};
}

absl::StatusOr<Change> WithNewerKeys(Mount& mount, openbao::Storage& storage, mek::Record target,
                                     const Version& live, bool drop) {
  RETURN_IF_ERROR(CheckNotCompromised(live.doc, target.current_kid()));
  if (!drop) {
    ASSIGN_OR_RETURN(const StayingOut out, FindStayingOut(mount, storage, target, live.doc));
    ASSIGN_OR_RETURN(mek::Record record, mek::RollbackKeeping(target, live.doc.record, out.keys));
    Change change{.record = std::move(record), .operation = ""};
    out.AddWarnings(change.warnings);
    AddNewToReaders(live, change);
    return change;
  }
  const std::vector<mek::SetKey> dropped = mek::KeysMissingIn(live.doc.record, target);
  Change change{.record = std::move(target), .operation = ""};
  if (!dropped.empty()) change.warnings.push_back(DropWarning(dropped, live));
  AddNewToReaders(live, change);
  return change;
}

}  // namespace engine
