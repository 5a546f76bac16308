// The paths of every mount, one function a file path_*.cc. They hold nothing of any mount.
#ifndef ENGINE_PATHS_H_
#define ENGINE_PATHS_H_

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/mount.h"
#include "sdk/framework/path.h"
#include "sdk/framework/path_backend.h"

namespace engine {

// Where readers find the record, and the same path with KV v2's "data/".
inline constexpr char kRecordPath[] = "encryption/keys/stored_data";

using Answer = absl::StatusOr<std::optional<openbao::Response>>;
using MountHandler =
    std::function<Answer(Mount&, const openbao::Request&, const openbao::FieldData&)>;
// Gives each request to `handler` with the mount that it came to, and sets the time that it may
// take at a KV server. The backend must be an engine (engine.cc).
openbao::Handler Bind(MountHandler handler);

// What all mounts share: the paths below, and what the host is told of them.
std::shared_ptr<const openbao::PathTable> MakeTable(std::string version);

std::vector<openbao::Path> ConfigPaths();
std::vector<openbao::Path> HomePaths();
std::vector<openbao::Path> ImportPaths();
std::vector<openbao::Path> KeysPaths();
std::vector<openbao::Path> ReadersPaths();
std::vector<openbao::Path> RecordPaths();
std::vector<openbao::Path> RepairPaths();
std::vector<openbao::Path> RollbackPaths();
std::vector<openbao::Path> RotatePaths();
std::vector<openbao::Path> StatusPaths();
std::vector<openbao::Path> VerifyPaths();
std::vector<openbao::Path> VersionsPaths();

}  // namespace engine

#endif  // ENGINE_PATHS_H_
