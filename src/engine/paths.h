// The mount's paths, one function a file path_*.cc. Each path's handlers hold a reference to the
// mount, which must outlive them.
#ifndef ENGINE_PATHS_H_
#define ENGINE_PATHS_H_

#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/kv_time.h"
#include "engine/mount.h"
#include "sdk/framework/path.h"

namespace engine {

// Where readers find the record, and the same path with KV v2's "data/".
inline constexpr char kRecordPath[] = "encryption/keys/stored_data";

// What a handler answers, and how it is bound to its mount.
using Answer = absl::StatusOr<std::optional<openbao::Response>>;
inline openbao::Handler Bind(Mount& mount, Answer (*handler)(Mount&, const openbao::Request&,
                                                             const openbao::FieldData&)) {
  return [&mount, handler](const openbao::Request& request, const openbao::FieldData& data) {
    const kvclient::Allowance allowance = KvAllowance(request);
    return handler(mount, request, data);
  };
}

std::vector<openbao::Path> ConfigPaths(Mount& mount);
std::vector<openbao::Path> HomePaths(Mount& mount);
std::vector<openbao::Path> ImportPaths(Mount& mount);
std::vector<openbao::Path> KeysPaths(Mount& mount);
std::vector<openbao::Path> ReadersPaths(Mount& mount);
std::vector<openbao::Path> RecordPaths(Mount& mount);
std::vector<openbao::Path> RepairPaths(Mount& mount);
std::vector<openbao::Path> RollbackPaths(Mount& mount);
std::vector<openbao::Path> RotatePaths(Mount& mount);
std::vector<openbao::Path> StatusPaths(Mount& mount);
std::vector<openbao::Path> VerifyPaths(Mount& mount);
std::vector<openbao::Path> VersionsPaths(Mount& mount);

}  // namespace engine

#endif  // ENGINE_PATHS_H_
