#ifndef ENGINE_UNION_H_
#define ENGINE_UNION_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/mount.h"
#include "sdk/framework/field.h"

namespace engine {

// The parameter newer_keys=keep|drop.
openbao::Field NewerKeysField();

// Warns of the keys that a change of the live version drops from the record.
std::string DropWarning(const std::vector<mek::SetKey>& dropped, const Version& live);

// `target` in the place of `live`: with the keys of `live` that it lacks at the end of each set, or
// for `drop` as it is, with a DropWarning. Keys that were retired or compromised stay out, with a
// warning. FAILED_PRECONDITION if the target's current key is compromised. The operation is left to
// the caller.
absl::StatusOr<Change> WithNewerKeys(Mount& mount, openbao::Storage& storage, mek::Record target,
                                     const Version& live, bool drop);

// The record in what `bao kv get -format=json` prints: {"data":{"data":{…},"metadata":{…}}, …}.
// INVALID_ARGUMENT if it is none.
absl::StatusOr<mek::Record> RecordOfBackup(const base::Json& backup);

// Warns if the change makes a key current that readers have not had.
void AddNewToReaders(const Version& live, Change& change);

}  // namespace engine

#endif  // ENGINE_UNION_H_
