#ifndef ENGINE_DESTROY_H_
#define ENGINE_DESTROY_H_

#include <cstdint>
#include <set>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/mount.h"

namespace engine {

// Destroys a key for good: one version takes it out of the record and says that it is destroyed;
// then every stored version that holds it is written anew without it, or deleted where it was the
// current one, and so is its archive entry. The entry "destroying" remembers the kid until all is
// done, so that a crash in between is made good on the next tick. NOT_FOUND for an unknown kid,
// FAILED_PRECONDITION for one that may not be destroyed (mek/lifecycle.h).
//
// What the storage itself keeps of the past (snapshots, backups) is out of the engine's reach.
absl::StatusOr<Outcome> DestroyKey(Mount& mount, const openbao::Request& request,
                                   const WriteOptions& write, const std::string& kid);

// Has every destroyed key wiped once more: after a move, what the record's new home brought along
// may hold some. The caller holds the mount's lock.
absl::Status DestroyAgain(Mount& mount, openbao::Storage& storage, const mek::KeyMarks& marks);

// The numbers of the mount's versions that went with a destroyed key while the record lived in a KV
// secret. Those of the newest are not told by the mount's log itself.
absl::StatusOr<std::set<std::uint64_t>> GoneMeanwhile(openbao::Storage& storage);

// Whether the entries "destroying" and "destroyed_versions" can be read.
absl::Status CheckDestroying(openbao::Storage& storage);

// Goes on where a crash or an error left off. At most one read if there is nothing to do. Takes the
// mount's lock.
absl::Status FinishDestroying(Mount& mount, const openbao::Request& request);

}  // namespace engine

#endif  // ENGINE_DESTROY_H_
