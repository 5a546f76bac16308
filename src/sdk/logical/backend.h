#ifndef SDK_LOGICAL_BACKEND_H_
#define SDK_LOGICAL_BACKEND_H_

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/logger.h"
#include "sdk/logical/request.h"

namespace openbao {

// What the host tells of itself (openbao sdk/logical SystemView). Each call is an RPC. Thread-safe.
class SystemView {
 public:
  virtual ~SystemView() = default;
  // A standby that serves reads and forwards writes. Fixed for the life of a backend instance.
  virtual absl::StatusOr<bool> PerformanceStandby() = 0;
};

// Paths the host treats specially. An entry is an exact path, or a prefix if it ends in '*'.
struct SpecialPaths {
  std::vector<std::string> root;               // need a root token or sudo
  std::vector<std::string> unauthenticated;    // need no token
  std::vector<std::string> local_storage;      // storage prefixes that are not replicated
  std::vector<std::string> seal_wrap_storage;  // storage prefixes to be seal-wrapped
};

// What a factory gets. The pointers are good while calls are served, not in a backend's destructor.
struct BackendConfig {
  base::Logger* logger = nullptr;
  SystemView* system = nullptr;
  // Those of the mount (`bao secrets enable -options`), and the host's own: plugin_name,
  // plugin_type, plugin_version.
  std::map<std::string, std::string> options;
  std::string uuid;
};

// One mount. The host calls from many threads at once.
class Backend {
 public:
  virtual ~Backend() = default;

  // Once, before the first request. At unseal the host only logs a failure, so requests must fail
  // closed by themselves.
  virtual absl::Status Initialize(Storage& storage) = 0;
  // nullopt: nothing to answer (the host makes a read of it a 404).
  virtual absl::StatusOr<std::optional<Response>> HandleRequest(const Request& request) = 0;
  virtual SpecialPaths Special() const { return {}; }
  // A storage entry was changed by another node. Best effort: may be missing.
  virtual void InvalidateKey(std::string_view key) = 0;
};

// Makes the backend of one mount. Must not touch storage: the host may be probing the plugin.
using BackendFactory =
    std::function<absl::StatusOr<std::unique_ptr<Backend>>(const BackendConfig&)>;

}  // namespace openbao

#endif  // SDK_LOGICAL_BACKEND_H_
