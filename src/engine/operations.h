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

// What to do when the current key is compromised: for people, as the end of a sentence.
std::string HowToLeaveKey(const std::optional<std::string>& staged_kid);

// FAILED_PRECONDITION if `kid`, current in what is to take the live version's place, is
// compromised: even where it is current as it is, for the staged key, which is the way out, would
// be given up.
absl::Status CheckNotCompromised(const mek::VersionDoc& live, const std::string& kid);

// Since when readers could fetch the live version's current key.
absl::Time AvailableSince(const mek::VersionDoc& doc);

// When it is time to rotate, by the settings.
mek::RotationDue RotationDueNow(const mek::VersionDoc& doc, const Config& config, absl::Time now);

}  // namespace engine

#endif  // ENGINE_OPERATIONS_H_
