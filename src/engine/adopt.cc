#include "engine/adopt.h"

#include <optional>
#include <string>
#include <utility>

#include "base/status_macros.h"
#include "base/text.h"
#include "mek/rotation.h"

namespace engine {
namespace {

using base::Cat;

bool SameRecord(const mek::Record& a, const mek::Record& b) {
  return SameContent(a.ToJson(), b.ToJson());
}

// The keys of every version in `log` that `live` lacks, into the archive.
absl::Status ArchiveWhatLacks(Mount& mount, openbao::Storage& storage, VersionLog& log,
                              const mek::Record& live) {
  ASSIGN_OR_RETURN(const std::vector<std::uint64_t> numbers, log.List(storage));
  for (const std::uint64_t number : numbers) {
    ASSIGN_OR_RETURN(const std::optional<Version> version, log.Get(storage, number));
    if (!version.has_value()) continue;
    RETURN_IF_ERROR(ArchiveMissing(mount.archive(), storage,
                                   mek::KeysMissingIn(version->doc.record, live), mount.Now(),
                                   number));
  }
  return absl::OkStatus();
}

void AddMarks(const mek::KeyMarks& more, mek::KeyMarks& marks) {
  marks.compromised.insert(more.compromised.begin(), more.compromised.end());
  marks.destroyed.insert(more.destroyed.begin(), more.destroyed.end());
  marks.added.insert(more.added.begin(), more.added.end());
}

// `from`'s document as the version `number` of another home, in which none of its numbers mean
// anything.
mek::VersionDoc Adopted(mek::VersionDoc from, std::uint64_t number, const openbao::Request& request,
                        const Move& move, absl::Time now) {
  from.operation = "adopt";
  from.created_time = now;
  from.reason = move.reason;
  from.entity_id = request.entity_id;
  from.display_name = request.display_name;
  from.request_id = request.id;
  from.rotated_version = number;
  from.rolled_back_to.reset();
  from.deleted_versions.clear();
  from.requests.clear();
  if (!request.id.empty()) from.Stamp(request.id, number);
  return from;
}

absl::Status DifferentRecords(const Version& here, const Version& there) {
  return absl::FailedPreconditionError(
      Cat("the KV secret holds another record (version ", there.number, ", current kid ",
          there.doc.record.current_kid(), ") than this mount (version ", here.number,
          ", current kid ", here.doc.record.current_kid(),
          "). With force=true the KV secret's, which its readers have, is taken, and the keys that "
          "it lacks go to the archive, where keys/KID/restore finds them. Nothing was changed"));
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
  if (!known || !metadata.has_value()) RETURN_IF_ERROR(kv.Forget(storage));
  RETURN_IF_ERROR(homes.PutSecret(storage, connection));
  RETURN_IF_ERROR(kv.CatchUp(storage));
  ASSIGN_OR_RETURN(std::optional<Version> there, kv.Live(storage));
  ASSIGN_OR_RETURN(std::optional<Version> here, homes.mount().Live(storage));
  if (!here.has_value()) return absl::OkStatus();
  if (!there.has_value()) {
    RETURN_IF_ERROR(ArchiveWhatLacks(mount, storage, homes.mount(), here->doc.record));
    const mek::VersionDoc doc = Adopted(std::move(here->doc), 1, request, move, mount.Now());
    ASSIGN_OR_RETURN(const base::SecretBytes document, doc.Serialize());
    return kv.Append(storage, 0, document);
  }
  const bool same = SameRecord(here->doc.record, there->doc.record);
  if (!same && !move.force) return DifferentRecords(*here, *there);
  RETURN_IF_ERROR(mek::CheckNoConflict(there->doc.record, here->doc.record));
  RETURN_IF_ERROR(ArchiveWhatLacks(mount, storage, homes.mount(), there->doc.record));
  mek::VersionDoc doc = std::move(there->doc);
  if (same) {
    mek::KeyMarks marks = std::move(doc.marks);
    const absl::Time written = doc.created_time;
    doc = Adopted(std::move(here->doc), there->number, request, move, written);
    AddMarks(marks, doc.marks);
  } else {
    AddMarks(here->doc.marks, doc.marks);
    warnings.emplace_back(
        "the KV secret's record was taken in the place of the mount's; the keys that it lacks are "
        "in the archive, and keys/KID/restore brings them back");
  }
  ASSIGN_OR_RETURN(const base::SecretBytes document, doc.Serialize());
  return kv.Rewrite(storage, there->number, document);
}

absl::Status MoveIntoMount(Mount& mount, const openbao::Request& request, const Move& move,
                           std::vector<std::string>& warnings) {
  openbao::Storage& storage = *request.storage;
  HomeStore& homes = mount.records();
  KvStore& kv = *move.from->kv;
  const absl::Status caught_up = kv.CatchUp(storage);
  absl::StatusOr<std::optional<Version>> there(std::nullopt);
  if (caught_up.ok()) {
    there = kv.Live(storage);
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
    warnings.push_back(Cat("the KV secret can't be read (", there.status().message(),
                           "): this is the newest version known here"));
    there = kv.NewestCopy(storage);
  }
  RETURN_IF_ERROR(there.status());
  if (!there->has_value()) return absl::OkStatus();
  mek::VersionDoc from = std::move((*there)->doc);

  ASSIGN_OR_RETURN(const std::optional<Version> here, homes.mount().Live(storage));
  std::vector<std::uint64_t> deleted;
  if (here.has_value()) {
    RETURN_IF_ERROR(mek::CheckNoConflict(from.record, here->doc.record));
    RETURN_IF_ERROR(ArchiveWhatLacks(mount, storage, homes.mount(), from.record));
    AddMarks(here->doc.marks, from.marks);
    deleted = here->doc.deleted_versions;
  }
  RETURN_IF_ERROR(ArchiveWhatLacks(mount, storage, homes.copies(), from.record));
  const std::uint64_t live = here.has_value() ? here->number : 0;
  mek::VersionDoc doc = Adopted(std::move(from), live + 1, request, move, mount.Now());
  doc.deleted_versions = std::move(deleted);
  ASSIGN_OR_RETURN(const base::SecretBytes document, doc.Serialize());
  RETURN_IF_ERROR(homes.mount().Append(storage, live, document));
  warnings.emplace_back(
      "the KV secret stays as it is: its readers go on with it, and get what is rotated from now "
      "on "
      "only from this mount");
  return absl::OkStatus();
}

// The same secret by another way, or another one that is the same by now.
absl::Status MoveWithinKv(openbao::Storage& storage, HomeStore& homes, const Move& move) {
  ASSIGN_OR_RETURN(const std::optional<Version> there, move.to->kv->Live(storage));
  if (move.from->settings.connection.NamesSameSecret(move.to->settings.connection)) {
    return absl::OkStatus();
  }
  ASSIGN_OR_RETURN(const std::optional<Version> known, move.to->kv->NewestCopy(storage));
  const bool same = there.has_value() && known.has_value() && there->number == known->number &&
                    SameRecord(there->doc.record, known->doc.record);
  if (!same) {
    return absl::FailedPreconditionError(
        "this is another secret: it doesn't hold the record's newest version. Bring the record "
        "home "
        "first (config/home type=mount), then move it there. Nothing was changed");
  }
  return homes.PutSecret(storage, move.to->settings.connection);
}

}  // namespace

absl::Status MoveHome(Mount& mount, const openbao::Request& request, const Move& move,
                      std::vector<std::string>& warnings) {
  const bool from_kv = move.from->settings.in_kv;
  const bool to_kv = move.to->settings.in_kv;
  if (from_kv && to_kv) {
    RETURN_IF_ERROR(MoveWithinKv(*request.storage, mount.records(), move));
  } else if (to_kv) {
    RETURN_IF_ERROR(MoveIntoKv(mount, request, move, warnings));
  } else if (from_kv) {
    RETURN_IF_ERROR(MoveIntoMount(mount, request, move, warnings));
  }
  return mount.records().Put(*request.storage, *move.to);
}

}  // namespace engine
