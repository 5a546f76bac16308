#ifndef SDK_FRAMEWORK_PATH_BACKEND_H_
#define SDK_FRAMEWORK_PATH_BACKEND_H_

#include <atomic>
#include <functional>
#include <string>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "sdk/framework/path.h"
#include "sdk/logical/backend.h"

namespace openbao {

// A backend made of paths: routes by operation and path, types the parameters, answers help,
// forwards from standbys. Owns its paths; thread-safe if their handlers are.
class PathBackend : public Backend {
 public:
  struct Config {
    std::string title;        // "openbao-plugin-secrets-mek"
    std::string version;      // "v0.1.0"
    std::string description;  // the root help's text
    std::vector<Path> paths;
    SpecialPaths special;
    // This node turned out to be no standby. Called once, before the first request is served.
    std::function<void()> on_active;
    // The host's tick, every 60 s on the active node.
    std::function<absl::Status(const Request&)> on_tick;
    std::function<void(std::string_view key)> on_invalidate;
  };

  // `system` must outlive this object.
  PathBackend(Config config, SystemView& system);

  // Asks the host nothing: a mount that joins need not wait until its connection stands.
  absl::Status Initialize(Storage&) override { return absl::OkStatus(); }
  absl::StatusOr<std::optional<Response>> HandleRequest(const Request& request) override;
  SpecialPaths Special() const override { return config_.special; }
  void InvalidateKey(std::string_view key) override;

 private:
  // Whether this node is a performance standby; asked of the host until it has answered once.
  absl::StatusOr<bool> IsStandby();
  absl::StatusOr<std::optional<Response>> Help(const Request& request) const;
  absl::StatusOr<std::optional<Response>> Dispatch(const Request& request);

  const Config config_;
  SystemView& system_;
  absl::Mutex first_answer_;
  enum class Standby { kUnknown, kNo, kYes };
  std::atomic<Standby> standby_ = Standby::kUnknown;
};

}  // namespace openbao

#endif  // SDK_FRAMEWORK_PATH_BACKEND_H_
