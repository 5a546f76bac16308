#include "engine/adopt.h"

#include <algorithm>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_join.h"
#include "base/status_macros.h"
#include "base/text.h"
#include "engine/destroy.h"
#include "engine/union.h"
#include "mek/rotation.h"

namespace engine {
namespace {

using base::Cat;

bool SameRecord(const mek::Record& a, const mek::Record& b) {
  return SameContent(a.ToJson(), b.ToJson());
}

// The keys of every version in `log` that `live` lacks, into the archive, but for destroyed ones.
absl::Status ArchiveWhatLacks(Mount& mount, openbao::Storage& storage, VersionLog& log,
                              const mek::VersionDoc& live) {
  ASSIGN_OR_RETURN(const std::vector<std::uint64_t> numbers, log.List(storage));
  for (const std::uint64_t number : numbers) {
    ASSIGN_OR_RETURN(const std::optional<Version> version, log.Get(storage, number));
    if (!version.has_value()) continue;
    RETURN_IF_ERROR(ArchiveMissing(mount.archive(), storage,
                                   KeysToArchive(version->doc.record, live), mount.Now(), number,
                                   mek::DropReason::kDropped));
  }
  return absl::OkStatus();
}

void AddMarks(const mek::KeyMarks& more, mek::KeyMarks& marks) {
  marks.compromised.insert(more.compromised.begin(), more.compromised.end());
  marks.destroyed.insert(more.destroyed.begin(), more.destroyed.end());
  marks.added.insert(more.added.begin(), more.added.end());
}

// What the other home answered, this version holds.
void AddStamps(const mek::RequestStamps& stamps, std::uint64_t number, mek::VersionDoc& doc) {
  for (const mek::RequestStamp& stamp : stamps.All()) {
    if (!doc.requests.VersionOf(stamp.id).has_value()) doc.requests.Add(stamp.id, number);
  }
}

// `from`'s document as the version `number` of another home, in which none of its numbers mean
// anything. `there`, if that home has a version: what its numbers mean stays known.
mek::VersionDoc Adopted(mek::VersionDoc from, std::uint64_t number, const mek::VersionDoc* there,
                        const openbao::Request& request, const Move& move, absl::Time now) {
  from.operation = "adopt";
  from.created_time = now;
  from.reason = move.reason;
  from.entity_id = request.entity_id;
  from.display_name = request.display_name;
  from.request_id = request.id;
  from.rotated_version = number;
  from.rolled_back_to.reset();
  from.deleted_versions.clear();
  const mek::RequestStamps stamps = std::exchange(from.requests, {});
  if (there != nullptr) {
    AddMarks(there->marks, from.marks);
    from.deleted_versions = there->deleted_versions;
    from.requests = there->requests;
  }
  AddStamps(stamps, number, from);
  if (!request.id.empty()) from.requests.Add(request.id, number);
  return from;
}

bool HasMarks(const mek::KeyMarks& marks, const mek::KeyMarks& some) {
  const auto has = [](const auto& all, const auto& those) {
    return std::ranges::all_of(those, [&](const auto& mark) { return all.contains(mark.first); });
  };
  return has(marks.compromised, some.compromised) && has(marks.destroyed, some.destroyed);
}

absl::Status DifferentRecords(const Version& here, const Version& there) {
  return absl::FailedPreconditionError(
      Cat("the KV secret holds another record (version ", there.number, ", current kid ",
          there.doc.record.current_kid(), ") than this mount (version ", here.number,
          ", current kid ", here.doc.record.current_kid(),
          "). Say with take=kv or take=mount whose current kid is to stay; the keys of the other "
          "come to the end of its sets, so that nothing is lost. Nothing was changed"));
}

// Those of the KV secret's keys that come along with the mount's record: nobody took them out by
// name. Those `in_use` do in any case: the secret's readers seal with them until now.
absl::StatusOr<std::vector<mek::SetKey>> WithoutRetired(Mount& mount, openbao::Storage& storage,
                                                        std::vector<mek::SetKey> keys,
                                                        const std::set<std::string>& in_use,
                                                        const mek::KeyMarks& marks) {
  std::vector<mek::SetKey> left;
  for (mek::SetKey& key : keys) {
    const std::string& kid = key.jwk.kid();
    if (marks.destroyed.contains(kid)) continue;
    if (in_use.contains(kid)) {
      left.push_back(std::move(key));
      continue;
    }
    ASSIGN_OR_RETURN(const std::optional<mek::ArchiveEntry> entry,
                     mount.archive().Get(storage, kid));
    const mek::ArchivedKey* const archived = entry.has_value() ? entry->Find(key.set) : nullptr;
    if (archived == nullptr || archived->reason != mek::DropReason::kRetired) {
      left.push_back(std::move(key));
    }
  }
  return left;
}

// The record without the keys that were destroyed in either home. FAILED_PRECONDITION if its
// current one was.
absl::StatusOr<mek::Record> WithoutDestroyed(mek::Record record, const mek::KeyMarks& marks) {
  if (marks.destroyed.contains(record.current_kid())) {
    return absl::FailedPreconditionError(Cat(
        "kid ", record.current_kid(),
        ", the current one of the KV secret, was destroyed and can't come back: say take=mount, "
        "or rotate in the KV secret first. Nothing was changed"));
  }
  for (const auto& [kid, time] : marks.destroyed) {
    if (!record.HasKid(kid)) continue;
    ASSIGN_OR_RETURN(record, mek::Retire(record, kid));
  }
  return record;
}

// Both homes hold a record, and not the same: the one of `move.take`, with the other's keys, as the
// version after the KV secret's.
absl::StatusOr<mek::VersionDoc> Joined(Mount& mount, const openbao::Request& request,
                                       const Move& move, const Version& here, const Version& there,
                                       std::vector<std::string>& warnings) {
  const bool takes_kv = move.take == Move::Take::kKv;
  const mek::Record& other = takes_kv ? here.doc.record : there.doc.record;
  mek::KeyMarks marks = there.doc.marks;
  AddMarks(here.doc.marks, marks);
  ASSIGN_OR_RETURN(
      const mek::Record taken,
      WithoutDestroyed((takes_kv ? there.doc.record : here.doc.record).Clone(), marks));
  std::vector<mek::SetKey> more = mek::KeysMissingIn(other, taken);
  if (!takes_kv) {
    std::set<std::string> in_use{other.current_kid()};
    // What an earlier try of this very request made is no more than a step.
    if (!request.id.empty() && there.doc.request_id == request.id) {
      in_use.insert(there.doc.previous_kid);
    }
    std::set<std::string> left_out = mek::KidsOf(more);
    ASSIGN_OR_RETURN(more, WithoutRetired(mount, *request.storage, std::move(more), in_use, marks));
    for (const std::string& kid : mek::KidsOf(more)) left_out.erase(kid);
    if (!left_out.empty()) {
      warnings.push_back(
          Cat("retired or destroyed in the mount, these leave the KV secret as well: ",
              absl::StrJoin(left_out, ", "), ". keys/KID/restore brings a retired one back"));
    }
  }
  ASSIGN_OR_RETURN(mek::Record record, mek::Restore(taken, more));
  Change change{.record = std::move(record), .operation = "adopt"};
  // The readers who had the other record until now.
  AddNewToReaders(takes_kv ? here : there, change);
  for (std::string& warning : change.warnings) warnings.push_back(std::move(warning));
  // A key that is staged in the record taken stays so, unless the other home knows it as
  // compromised; one that the other record alone had staged does not.
  const std::optional<std::string>& staged = takes_kv ? there.doc.staged_kid : here.doc.staged_kid;
  const bool stays_staged = staged.has_value() && !marks.compromised.contains(*staged);
  change.unstages = !takes_kv || !stays_staged;
  if (!takes_kv) {
    if (stays_staged) change.stages = staged;
    change.served_time = here.doc.scheduled_time;
  }
  change.marks = std::move(marks);
  mek::VersionDoc doc = NextDoc(&there, std::move(change), request, move.reason, mount.Now());
  AddStamps(here.doc.requests, there.number + 1, doc);
  return doc;
}

// Whether `joined`, in the KV secret, has what the mount's record would bring along now.
absl::StatusOr<bool> HasAll(Mount& mount, openbao::Storage& storage, const mek::VersionDoc& joined,
                            const mek::VersionDoc& here, Move::Take take) {
  if (!HasMarks(joined.marks, here.marks)) return false;
  if (!KeysToArchive(here.record, joined).empty()) return false;
  if (take == Move::Take::kKv) return true;
  std::vector<mek::SetKey> more = mek::KeysMissingIn(joined.record, here.record);
  const std::size_t count = more.size();
  ASSIGN_OR_RETURN(
      more, WithoutRetired(mount, storage, std::move(more), {joined.previous_kid}, joined.marks));
  return more.size() == count && joined.record.current_kid() == here.record.current_kid() &&
         joined.staged_kid == here.staged_kid;
}

absl::Status Append(RecordStore& store, openbao::Storage& storage, std::uint64_t number,
                    mek::VersionDoc doc) {
  ASSIGN_OR_RETURN(const base::SecretBytes document, doc.Serialize());
  return store.Append(storage, Share({number, std::move(doc)}), document);
}

// The staged key that comes into the KV secret, if one does. The secret's readers get it only now,
// or got it by another hand, and not long ago for all that is known. (Who reads an empty secret
// later has the staged key from the first version on.)
absl::StatusOr<std::optional<std::string>> BeginAnew(Mount& mount, openbao::Storage& storage,
                                                     const mek::VersionDoc& doc,
                                                     const mek::VersionDoc& there) {
  if (!doc.staged_kid.has_value() || doc.staged_kid == there.staged_kid) return std::nullopt;
  RETURN_IF_ERROR(DropAcks(storage, *doc.staged_kid));
  mount.spread().Begin(*doc.staged_kid);
  RETURN_IF_ERROR(mount.spread().Save(storage, *doc.staged_kid));
  return doc.staged_kid;
}

absl::Status MoveIntoKv(Mount& mount, const openbao::Request& request, const Move& move,
                        std::vector<std::string>& warnings) {
  openbao::Storage& storage = *request.storage;
  HomeStore& homes = mount.records();
  KvStore& kv = *move.to->kv;
  const kvclient::Settings& connection = move.to->settings.connection;
  ASSIGN_OR_RETURN(const bool known, homes.KnowsSecret(storage, connection));
  ASSIGN_OR_RETURN(const auto metadata, kv.secret().ReadMetadata());
  // What is stored of another secret, or of one that is gone, is of no use.
  const bool is_empty = !metadata.has_value() || metadata->versions.empty();
  if (!known || is_empty) RETURN_IF_ERROR(kv.Forget(storage));
  RETURN_IF_ERROR(homes.PutSecret(storage, connection));
  ASSIGN_OR_RETURN(std::optional<Version> here, homes.mount().StoredLive(storage));
  RETURN_IF_ERROR(
      kv.CatchUpForMove(storage, here.has_value() ? here->doc.marks.destroyed : mek::KidTimes()));
  ASSIGN_OR_RETURN(std::optional<Version> there, kv.StoredLive(storage));
  if (!here.has_value()) return absl::OkStatus();
  RETURN_IF_ERROR(CheckReasonHides(move.reason, here->doc.record));
  if (there.has_value()) RETURN_IF_ERROR(CheckReasonHides(move.reason, there->doc.record));
  if (!there.has_value()) {
    RETURN_IF_ERROR(ArchiveWhatLacks(mount, storage, homes.mount(), here->doc));
    return Append(kv, storage, 1,
                  Adopted(std::move(here->doc), 1, nullptr, request, move, mount.Now()));
  }
  if (SameRecord(here->doc.record, there->doc.record)) {
    RETURN_IF_ERROR(ArchiveWhatLacks(mount, storage, homes.mount(), there->doc));
    const absl::Time written = there->doc.created_time;
    const mek::VersionDoc doc =
        Adopted(std::move(here->doc), there->number, &there->doc, request, move, written);
    RETURN_IF_ERROR(BeginAnew(mount, storage, doc, there->doc).status());
    ASSIGN_OR_RETURN(const base::SecretBytes document, doc.Serialize());
    return kv.Rewrite(storage, there->number, document);
  }
  // This very request came so far before, and nothing was changed here since.
  if (!request.id.empty() && there->doc.requests.VersionOf(request.id).has_value()) {
    ASSIGN_OR_RETURN(const bool has_all, HasAll(mount, storage, there->doc, here->doc, move.take));
    if (has_all) return absl::OkStatus();
  }
  if (move.take == Move::Take::kNeither) return DifferentRecords(*here, *there);
  RETURN_IF_ERROR(mek::CheckNoConflict(there->doc.record, here->doc.record));
  ASSIGN_OR_RETURN(mek::VersionDoc doc, Joined(mount, request, move, *here, *there, warnings));
  RETURN_IF_ERROR(ArchiveWhatLacks(mount, storage, homes.mount(), doc));
  RETURN_IF_ERROR(ArchiveWhatLacks(mount, storage, homes.copies(), doc));
  ASSIGN_OR_RETURN(const std::optional<std::string> begins,
                   BeginAnew(mount, storage, doc, there->doc));
  // A KV secret that has all the keys already needs no new version.
  if (SameRecord(doc.record, there->doc.record)) {
    ASSIGN_OR_RETURN(const base::SecretBytes document, doc.Serialize());
    return kv.Rewrite(storage, there->number, document);
  }
  absl::Status appended = Append(kv, storage, there->number + 1, std::move(doc));
  if (appended.ok() || !begins.has_value()) return appended;
  return absl::Status(appended.code(),
                      Cat(appended.message(), ". But kid ", *begins,
                          ", which is staged, begins its grace period anew and is to be "
                          "acknowledged anew (write ack)"));
}

absl::Status MoveIntoMount(Mount& mount, const openbao::Request& request, const Move& move,
                           std::vector<std::string>& warnings) {
  openbao::Storage& storage = *request.storage;
  HomeStore& homes = mount.records();
  KvStore& kv = *move.from->kv;
  const absl::Status caught_up = kv.CatchUp(storage);
  absl::StatusOr<std::optional<Version>> there(std::nullopt);
  if (caught_up.ok()) {
    there = kv.StoredLive(storage);
  } else {
    there = caught_up;
  }
  if (!there.ok()) {
    if (!move.force) {
      return absl::Status(
          there.status().code(),
          Cat(there.status().message(),
              ". The record stays where it is; with force=true its newest version known here is "
              "brought home, whatever the KV secret holds"));
    }
    const absl::Status why = there.status();
    there = kv.NewestCopy(storage);
    RETURN_IF_ERROR(there.status());
    warnings.push_back(Cat("the KV secret can't be read (", why.message(), "): ",
                           there->has_value() ? "this is the newest version known here"
                                              : "and no version of it is known here"));
  }
  RETURN_IF_ERROR(kv.ArchiveOpenWrites(storage));
  if (!there->has_value()) return absl::OkStatus();
  mek::VersionDoc from = std::move((*there)->doc);

  RETURN_IF_ERROR(CheckReasonHides(move.reason, from.record));
  ASSIGN_OR_RETURN(const VersionPtr here, homes.mount().Live(storage));
  // This very request came so far before, and nothing was changed in the KV secret since.
  if (here != nullptr && !request.id.empty() && here->doc.request_id == request.id &&
      SameRecord(here->doc.record, from.record) && here->doc.staged_kid == from.staged_kid &&
      HasMarks(here->doc.marks, from.marks)) {
    return absl::OkStatus();
  }
  if (here != nullptr) {
    if (const absl::Status conflict = mek::CheckNoConflict(from.record, here->doc.record);
        !conflict.ok()) {
      if (!move.force) {
        return absl::Status(conflict.code(),
                            Cat(conflict.message(),
                                ". With force=true the KV secret's stays in the record, as its "
                                "readers have it, and the mount's goes to the archive"));
      }
      warnings.push_back(Cat(conflict.message(), ": the mount's went to the archive"));
    }
  }
  ASSIGN_OR_RETURN(std::set<std::uint64_t> gone, GoneMeanwhile(storage));
  // Numbers are not given twice.
  const std::uint64_t live =
      std::max(here != nullptr ? here->number : 0, gone.empty() ? 0 : *gone.rbegin());
  mek::VersionDoc doc = Adopted(std::move(from), live + 1, here != nullptr ? &here->doc : nullptr,
                                request, move, mount.Now());
  AddDeleted(std::move(gone), doc);
  RETURN_IF_ERROR(ArchiveWhatLacks(mount, storage, homes.mount(), doc));
  RETURN_IF_ERROR(ArchiveWhatLacks(mount, storage, homes.copies(), doc));
  RETURN_IF_ERROR(Append(homes.mount(), storage, live + 1, std::move(doc)));
  warnings.emplace_back(
      "the KV secret stays as it is: its readers go on with it, and get what is rotated from now "
      "on only from this mount");
  return absl::OkStatus();
}

// The same secret by another way, or another one that is the same by now.
absl::Status MoveWithinKv(openbao::Storage& storage, HomeStore& homes, const Move& move,
                          std::vector<std::string>& warnings) {
  if (move.from->settings.connection.NamesSameSecret(move.to->settings.connection)) {
    // Credentials that are refused don't take the place of others. Else the record may be in a bad
    // way, or out of reach for now, and needs them the more.
    absl::Status login = move.to->kv->secret().client().CheckLogin();
    if (absl::IsFailedPrecondition(login)) return login;
    if (const absl::Status read = move.to->kv->Live(storage).status(); !read.ok()) {
      if (!move.force && move.from->kv != nullptr && move.from->kv->Live(storage).ok()) {
        return absl::FailedPreconditionError(Cat(
            "with this the record can't be read (", read.message(),
            "), and with what is set now it can. Nothing was changed; with force=true it is set "
            "all the same"));
      }
      warnings.push_back(Cat("set, though the record can't be read now: ", read.message()));
    }
    return absl::OkStatus();
  }
  ASSIGN_OR_RETURN(const VersionPtr there, move.to->kv->Live(storage));
  ASSIGN_OR_RETURN(const std::optional<Version> known, move.to->kv->NewestCopy(storage));
  const bool same = there != nullptr && known.has_value() && there->number == known->number &&
                    SameRecord(there->doc.record, known->doc.record);
  if (!same) {
    return absl::FailedPreconditionError(
        "this is another secret: it doesn't hold the record's newest version. Bring the record "
        "home first (config/home type=mount), then move it there. Nothing was changed");
  }
  return homes.PutSecret(storage, move.to->settings.connection);
}

// What was destroyed in one home may be in what the other one brought along.
absl::Status WipeDestroyed(Mount& mount, openbao::Storage& storage, KvStore& kv) {
  mek::KeyMarks marks;
  ASSIGN_OR_RETURN(const VersionPtr in_mount, mount.records().mount().Live(storage));
  if (in_mount != nullptr) AddMarks(in_mount->doc.marks, marks);
  ASSIGN_OR_RETURN(const std::optional<Version> in_kv, kv.NewestCopy(storage));
  if (in_kv.has_value()) AddMarks(in_kv->doc.marks, marks);
  return DestroyAgain(mount, storage, marks);
}

}  // namespace

absl::Status MoveHome(Mount& mount, const openbao::Request& request, const Move& move,
                      std::vector<std::string>& warnings) {
  const bool from_kv = move.from->settings.in_kv;
  const bool to_kv = move.to->settings.in_kv;
  if (from_kv && to_kv) {
    RETURN_IF_ERROR(MoveWithinKv(*request.storage, mount.records(), move, warnings));
  } else if (to_kv) {
    RETURN_IF_ERROR(MoveIntoKv(mount, request, move, warnings));
    RETURN_IF_ERROR(WipeDestroyed(mount, *request.storage, *move.to->kv));
  } else if (from_kv) {
    RETURN_IF_ERROR(MoveIntoMount(mount, request, move, warnings));
    RETURN_IF_ERROR(WipeDestroyed(mount, *request.storage, *move.from->kv));
  }
  return mount.records().Put(*request.storage, *move.to);
}

}  // namespace engine
