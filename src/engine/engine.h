#ifndef ENGINE_ENGINE_H_
#define ENGINE_ENGINE_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "engine/mount.h"
#include "sdk/logical/backend.h"

namespace engine {

// The secrets engine of one mount. `sources` and what `config` points to outlive it.
absl::StatusOr<std::unique_ptr<openbao::Backend>> NewEngine(const openbao::BackendConfig& config,
                                                            const std::string& version,
                                                            Sources sources);

}  // namespace engine

#endif  // ENGINE_ENGINE_H_
