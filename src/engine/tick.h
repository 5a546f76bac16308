#ifndef ENGINE_TICK_H_
#define ENGINE_TICK_H_

#include "absl/status/status.h"
#include "engine/mount.h"

namespace engine {

// What the engine does by itself, once a minute on the active node, when the host's tick comes:
// finishes destroying a key, activates a staged key whose time has come, rotates on schedule, keeps
// what was counted and seen, prunes old versions. Each is tried whatever became of the others; the
// first failure is returned, for the host's log.
absl::Status Tick(Mount& mount, const openbao::Request& request);

}  // namespace engine

#endif  // ENGINE_TICK_H_
