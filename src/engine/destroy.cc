#include "engine/destroy.h"

#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "base/json.h"
#include "base/status_macros.h"
#include "base/text.h"
#include "engine/known_keys.h"
#include "mek/document.h"
#include "mek/rotation.h"

namespace engine {
namespace {

// An entry that is a set of words without commas.
struct SetEntry {
  std::string_view key;
  std::string_view member;
};
// The kids whose destruction was begun and is not known to be done. (No kid has a comma: consumers
// read them out of templates, [A-Za-z0-9._-].)
constexpr SetEntry kUnfinished{"destroying", "kids"};
// The numbers of the mount's versions that went with a destroyed key while the record lived in a KV
// secret.
constexpr SetEntry kGone{"destroyed_versions", "versions"};
constexpr std::uint64_t kSchema = 1;

absl::StatusOr<std::set<std::string>> ReadSet(openbao::Storage& storage, const SetEntry& entry) {
  ASSIGN_OR_RETURN(const std::optional<base::SecretBytes> stored, storage.Get(entry.key));
  if (!stored.has_value()) return std::set<std::string>();
  const std::string what = base::Cat("the entry ", entry.key);
  ASSIGN_OR_RETURN(const base::Json document,
                   mek::ReadDocument(what, kSchema, {entry.member}, stored->view()));
  ASSIGN_OR_RETURN(const std::string joined, mek::ReadString(what, document, entry.member));
  std::set<std::string> words = absl::StrSplit(joined, ',');
  return words;
}

absl::Status WriteSet(openbao::Storage& storage, const SetEntry& entry,
                      const std::set<std::string>& words) {
  if (words.empty()) return storage.Delete(entry.key);
  base::Json body = base::Json::object();
  body[base::JsonString(entry.member)] = base::JsonText(absl::StrJoin(words, ","));
  ASSIGN_OR_RETURN(const base::SecretBytes document, mek::WriteDocument(kSchema, body));
  return storage.Put(entry.key, document);
}

absl::Status WriteUnfinished(Mount& mount, openbao::Storage& storage,
                             const std::set<std::string>& kids) {
  absl::Status written = WriteSet(storage, kUnfinished, kids);
  mount.destruction_done().Written(written);
  return written;
}

// The stored versions that can't be without the key, as it is their current one.
absl::StatusOr<std::vector<std::uint64_t>> VersionsToDelete(Mount& mount, openbao::Storage& storage,
                                                            const std::string& kid) {
  std::vector<std::uint64_t> found;
  ASSIGN_OR_RETURN(const std::vector<std::uint64_t> numbers, mount.records().List(storage));
  for (const std::uint64_t number : numbers) {
    const absl::StatusOr<std::optional<Version>> version = mount.records().Get(storage, number);
    // What is damaged is no reason to keep the key elsewhere.
    if (absl::IsDataLoss(version.status())) continue;
    RETURN_IF_ERROR(version.status());
    if (version->has_value() && (*version)->doc.record.current_kid() == kid) {
      found.push_back(number);
    }
  }
  return found;
}

// What is left of a version without the key; nullopt if nothing, as it is its current one.
absl::StatusOr<std::optional<base::SecretBytes>> Without(mek::VersionDoc doc,
                                                         const std::string& kid) {
  ASSIGN_OR_RETURN(const bool is_left, mek::TakeOut(kid, doc));
  if (!is_left) return std::nullopt;
  ASSIGN_OR_RETURN(base::SecretBytes document, doc.Serialize());
  return document;
}

absl::Status NoteGone(openbao::Storage& storage, std::uint64_t number) {
  ASSIGN_OR_RETURN(std::set<std::string> gone, ReadSet(storage, kGone));
  gone.insert(absl::StrCat(number));
  return WriteSet(storage, kGone, gone);
}

// `leaves_number`: the version's number stays known where it goes.
absl::Status WipeVersion(VersionLog& log, openbao::Storage& storage, std::uint64_t number,
                         const std::string& kid, bool leaves_number) {
  absl::StatusOr<std::optional<Version>> version = log.Get(storage, number);
  // What is damaged can't be told to hold the key, and must not keep others from being destroyed;
  // verify names it.
  if (absl::IsDataLoss(version.status())) return absl::OkStatus();
  RETURN_IF_ERROR(version.status());
  if (!version->has_value() || !(*version)->doc.record.HasKid(kid)) return absl::OkStatus();
  ASSIGN_OR_RETURN(const auto rest, Without(std::move((*version)->doc), kid));
  if (rest.has_value()) return log.Rewrite(storage, number, *rest);
  if (leaves_number) RETURN_IF_ERROR(NoteGone(storage, number));
  RETURN_IF_ERROR(log.Prune(storage, number));
  // Another entry may have stood behind it (ADR 0002).
  return WipeVersion(log, storage, number, kid, leaves_number);
}

// The same for documents that are no versions.
absl::Status WipeDocs(openbao::Storage& storage, absl::StatusOr<std::vector<StoredDoc>> entries,
                      const std::string& kid) {
  RETURN_IF_ERROR(entries.status());
  for (StoredDoc& entry : *entries) {
    if (!entry.doc.record.HasKid(kid)) continue;
    ASSIGN_OR_RETURN(const auto rest, Without(std::move(entry.doc), kid));
    RETURN_IF_ERROR(rest.has_value() ? storage.Put(entry.key, *rest) : storage.Delete(entry.key));
  }
  return absl::OkStatus();
}

// What we can't take out of a KV secret: its own versions are for people to destroy.
std::optional<std::string> HeldElsewhere(Mount& mount, openbao::Storage& storage,
                                         const std::string& kid) {
  const auto home = mount.records().Current(storage);
  if (!home.ok() || (*home)->kv == nullptr) return std::nullopt;
  const kvclient::Settings& connection = (*home)->settings.connection;
  const absl::StatusOr<std::vector<std::uint64_t>> versions = (*home)->kv->Holding(kid);
  if (versions.ok() && versions->empty()) return std::nullopt;
  const std::string which = versions.ok() ? absl::StrJoin(*versions, ",") : "N,…";
  return base::Cat("the KV secret's own versions ", versions.ok() ? "still" : "may still",
                   " hold it. Destroy them there: bao kv destroy ", "-mount=", connection.mount,
                   " -versions=", which, " ", connection.path);
}

// Takes the key out of every stored version but the live one, those of the record's other home
// too, and out of the archive. The caller holds the mount's lock.
absl::Status Wipe(Mount& mount, openbao::Storage& storage, std::uint64_t live,
                  const std::string& kid) {
  ASSIGN_OR_RETURN(const HomeStore::Logs logs, mount.records().StoredVersions(storage));
  absl::Status first;
  for (VersionLog* const log : {logs.home, logs.other}) {
    ASSIGN_OR_RETURN(const std::vector<std::uint64_t> numbers, log->List(storage));
    for (const std::uint64_t number : numbers) {
      if (log == logs.home && number == live) continue;
      // At home the version that says "destroyed" has the numbers.
      const bool leaves_number = log != logs.home && log == &mount.records().mount();
      first.Update(WipeVersion(*log, storage, number, kid, leaves_number));
    }
  }
  // What stands behind versions that count (ADR 0002), and writes to a KV secret that nobody waits
  // for any more, as the record has come home since. (In the KV secret as home these are settled
  // before, or were made without the key.)
  first.Update(WipeDocs(storage, mount.records().mount().HiddenEntries(storage), kid));
  first.Update(WipeDocs(storage, KvStore::OpenWrites(storage), kid));
  first.Update(mount.archive().Destroy(storage, kid));
  return first;
}

// Finishes what was begun. Of the kids that are left, the version that says "destroyed" may still
// come. The caller holds the mount's lock.
absl::StatusOr<std::set<std::string>> FinishHeld(Mount& mount, openbao::Storage& storage) {
  Remembered<bool>::Moment moment = 0;
  if (mount.destruction_done().Get(moment).has_value()) return std::set<std::string>();
  ASSIGN_OR_RETURN(const std::set<std::string> kids, ReadSet(storage, kUnfinished));
  if (kids.empty()) {
    mount.destruction_done().Offer(moment, true);
    return kids;
  }
  // What of our writes is settled gives up its copies of the key.
  RETURN_IF_ERROR(mount.records().CatchUp(storage));
  ASSIGN_OR_RETURN(const std::optional<Version> live, mount.records().StoredLive(storage));
  ASSIGN_OR_RETURN(const bool may_come, mount.records().HasOpenWrites(storage));
  std::set<std::string> left;
  for (const std::string& kid : kids) {
    if (live.has_value() && live->doc.marks.destroyed.contains(kid)) {
      RETURN_IF_ERROR(Wipe(mount, storage, live->number, kid));
    } else if (may_come) {
      left.insert(kid);
    }
    // Else that version was never written: the key lives on.
  }
  if (left != kids) RETURN_IF_ERROR(WriteUnfinished(mount, storage, left));
  return left;
}

}  // namespace

absl::StatusOr<Outcome> DestroyKey(Mount& mount, const openbao::Request& request,
                                   const WriteOptions& write, const std::string& kid) {
  openbao::Storage& storage = *request.storage;
  ASSIGN_OR_RETURN(
      Outcome outcome,
      mount.Apply(request, write, [&](const Version* live) -> absl::StatusOr<Change> {
        ASSIGN_OR_RETURN(const KnownKey known,
                         CheckedKey(mount, storage, live, kid, mek::KeyAction::kDestroy));
        Change change{.record = live->doc.record.Clone(), .operation = "destroy-key"};
        if (known.in_record) {
          ASSIGN_OR_RETURN(change.record, mek::Retire(live->doc.record, kid));
        }
        change.marks = live->doc.marks;
        change.marks->destroyed.emplace(kid, mount.Now());
        ASSIGN_OR_RETURN(change.deletes_versions, VersionsToDelete(mount, storage, kid));
        if (!write.dry_run) {
          ASSIGN_OR_RETURN(std::set<std::string> unfinished, FinishHeld(mount, storage));
          unfinished.insert(kid);
          RETURN_IF_ERROR(WriteUnfinished(mount, storage, unfinished));
        }
        change.warnings.emplace_back(
            "what was sealed with this key, and not sealed anew, can't be opened any more. "
            "Snapshots and backups of the server still hold it");
        return change;
      }));
  if (outcome.dry_run) return outcome;
  if (const absl::Status finished = FinishDestroying(mount, request); !finished.ok()) {
    outcome.warnings.push_back(
        base::Cat("the key is out of the record, but not yet out of every stored version (",
                  finished.message(), "); this goes on by itself within a minute"));
  }
  if (std::optional<std::string> held = HeldElsewhere(mount, storage, kid); held.has_value()) {
    outcome.warnings.push_back(*std::move(held));
  }
  return outcome;
}

absl::Status DestroyAgain(Mount& mount, openbao::Storage& storage, const mek::KeyMarks& marks) {
  if (marks.destroyed.empty()) return absl::OkStatus();
  ASSIGN_OR_RETURN(std::set<std::string> kids, ReadSet(storage, kUnfinished));
  for (const auto& [kid, time] : marks.destroyed) kids.insert(kid);
  return WriteUnfinished(mount, storage, kids);
}

absl::StatusOr<std::set<std::uint64_t>> GoneMeanwhile(openbao::Storage& storage) {
  ASSIGN_OR_RETURN(const std::set<std::string> gone, ReadSet(storage, kGone));
  std::set<std::uint64_t> numbers;
  for (const std::string& text : gone) {
    std::uint64_t number = 0;
    if (!absl::SimpleAtoi(text, &number)) {
      return mek::Damaged(base::Cat("the entry ", kGone.key), "it names what is no version");
    }
    numbers.insert(number);
  }
  return numbers;
}

absl::Status CheckDestroying(openbao::Storage& storage) {
  absl::Status first = ReadSet(storage, kUnfinished).status();
  first.Update(GoneMeanwhile(storage).status());
  return first;
}

absl::Status FinishDestroying(Mount& mount, const openbao::Request& request) {
  openbao::Storage& storage = *request.storage;
  ASSIGN_OR_RETURN(const FairLock::Holder holder, mount.Lock(request));
  return FinishHeld(mount, storage).status();
}

}  // namespace engine
