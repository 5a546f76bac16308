// What both a caller and the engine's own tick do to the record.
#ifndef ENGINE_OPERATIONS_H_
#define ENGINE_OPERATIONS_H_

#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "engine/mount.h"

namespace engine {

struct RotateOptions {
  bool staged = false;
  bool force = false;  // over a staged key, which becomes a retained one
  // The time of the schedule that this rotation serves; left out, as by a person: the one that was
  // missed, or that the engine has tried to serve and failed, if any.
  std::optional<absl::Time> serves = std::nullopt;
};

// A fresh key: first in both sets and current, or staged at their end. NOT_FOUND without a record,
// FAILED_PRECONDITION while a key is staged.
absl::StatusOr<Outcome> RotateRecord(Mount& mount, const openbao::Request& request,
                                     const WriteOptions& write, const RotateOptions& options);

// The staged key becomes current. FAILED_PRECONDITION if none is staged, or it is not time yet
// (mek/activation.h) and `force` is not set.
absl::StatusOr<Outcome> ActivateStaged(Mount& mount, const openbao::Request& request,
                                       const WriteOptions& write, bool force);

// Since when readers could fetch the live version's current key.
absl::Time AvailableSince(const mek::VersionDoc& doc);

// When it is time to rotate, by the settings.
mek::RotationDue RotationDueNow(const mek::VersionDoc& doc, const Config& config, absl::Time now);

}  // namespace engine

#endif  // ENGINE_OPERATIONS_H_
