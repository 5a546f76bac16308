#ifndef ENGINE_RECORD_STORE_H_
#define ENGINE_RECORD_STORE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "mek/version_doc.h"
#include "sdk/logical/storage.h"

namespace engine {

// One version of the record, numbered from 1, with gaps only where versions went with a destroyed
// key; the highest is live.
struct Version {
  std::uint64_t number;
  mek::VersionDoc doc;
};

// A version that several requests may use at the same time.
using VersionPtr = std::shared_ptr<const Version>;

// Not by make_shared: its memory is given back, and wiped, with the last user, however long a
// weak_ptr to it lasts.
inline VersionPtr Share(Version version) { return VersionPtr(new Version(std::move(version))); }

// A document that is stored under `key` and is not a version that counts.
struct StoredDoc {
  std::string key;
  mek::VersionDoc doc;
};

// Versions as they are stored. Thread-safe.
class VersionLog {
 public:
  virtual ~VersionLog() = default;

  // nullopt if there is no such version, or no more.
  virtual absl::StatusOr<std::optional<Version>> Get(openbao::Storage& storage,
                                                     std::uint64_t number) = 0;
  // The numbers of the versions there are, ascending.
  virtual absl::StatusOr<std::vector<std::uint64_t>> List(openbao::Storage& storage) = 0;
  // Puts another document in the place of a version other than the live one.
  virtual absl::Status Rewrite(openbao::Storage& storage, std::uint64_t number,
                               const base::SecretBytes& document) = 0;
  // Deletes a version other than the live one. Precondition: there is one of that number.
  virtual absl::Status Prune(openbao::Storage& storage, std::uint64_t number) = 0;
};

// Where a mount's record lives: an append-only log of versions. Thread-safe; Append and Prune are
// called by one at a time, who holds the mount's lock.
//
// Errors besides the storage's own: DATA_LOSS for a stored version that is damaged,
// FAILED_PRECONDITION for one that a newer plugin wrote, neither of which is ever overwritten;
// ABORTED from Append if the live version is not the one before `version` any more, and nothing was
// written.
class RecordStore : public VersionLog {
 public:
  // The live version; nullptr before the first.
  virtual absl::StatusOr<VersionPtr> Live(openbao::Storage& storage) = 0;
  // The same, as it is stored, where Live may answer from memory: for what is deleted because
  // others hold the keys, and for a move. DATA_LOSS also if it isn't what Live answers.
  virtual absl::StatusOr<std::optional<Version>> StoredLive(openbao::Storage& storage) = 0;
  // How many versions there are; nullopt where only List can tell.
  virtual absl::StatusOr<std::optional<std::size_t>> Count(openbao::Storage&) {
    return std::nullopt;
  }
  // Makes `version`, whose VersionDoc::Serialize is `document`, the live one. One write: afterwards
  // the live version is the old one or this one. After an error it may be either; the store
  // remembers what it tried and settles it by reading before anything else is appended.
  virtual absl::Status Append(openbao::Storage& storage, const VersionPtr& version,
                              const base::SecretBytes& document) = 0;
  // Takes note of what others have changed where the record lives. The caller holds the mount's
  // lock.
  virtual absl::Status CatchUp(openbao::Storage&) { return absl::OkStatus(); }
  // Something was changed by another node: forget what was remembered of the storage.
  virtual void Invalidate() = 0;
};

}  // namespace engine

#endif  // ENGINE_RECORD_STORE_H_
