#ifndef ENGINE_ARCHIVE_STORE_H_
#define ENGINE_ARCHIVE_STORE_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "engine/remembered.h"
#include "mek/archive.h"
#include "mek/version_doc.h"
#include "sdk/logical/storage.h"

namespace engine {

// The keys that left the record's sets, one entry "archive/KID" a kid ('.' in a kid stands as '~',
// since the host refuses ".." in a key). Thread-safe; Add is called by one at a time, who holds the
// mount's lock.
class ArchiveStore {
 public:
  using Kids = std::shared_ptr<const std::set<std::string>>;

  void MayRemember() { kids_.Allow(); }
  void Invalidate() { kids_.Forget(); }

  absl::StatusOr<Kids> List(openbao::Storage& storage);
  // nullopt if nothing of that kid is archived.
  absl::StatusOr<std::optional<mek::ArchiveEntry>> Get(openbao::Storage& storage,
                                                       const std::string& kid);
  // Whether that very key is archived, not only another of its kid.
  absl::StatusOr<bool> Holds(openbao::Storage& storage, const mek::SetKey& key);
  // Archives keys that are about to leave, or have left, with version `version`. Idempotent.
  absl::Status Add(openbao::Storage& storage, std::vector<mek::SetKey> keys, absl::Time now,
                   std::uint64_t version, mek::DropReason reason);
  // Deletes what is archived of that kid, for good.
  absl::Status Destroy(openbao::Storage& storage, const std::string& kid);

 private:
  Remembered<Kids> kids_;
};

// The latest time in a kid that is a UUIDv1.
std::optional<absl::Time> LatestKidTime(const std::set<std::string>& kids);

// What must be in the archive once `to` takes the place of `from`: the keys that `to` lacks, but
// for destroyed ones.
std::vector<mek::SetKey> KeysToArchive(const mek::Record& from, const mek::VersionDoc& to);

}  // namespace engine

#endif  // ENGINE_ARCHIVE_STORE_H_
