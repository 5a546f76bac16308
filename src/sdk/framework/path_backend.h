#ifndef SDK_FRAMEWORK_PATH_BACKEND_H_
#define SDK_FRAMEWORK_PATH_BACKEND_H_

#include <atomic>
#include <concepts>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "sdk/framework/path.h"
#include "sdk/logical/backend.h"

namespace openbao {

// What all mounts of a plugin have in common. It takes tens of KiB, so make it once a process.
struct PathTable {
  std::string title;             // "my-plugin"
  std::string version;           // "v0.1.0"
  std::string description = {};  // the root help's text
  std::vector<Path> paths;
  SpecialPaths special = {};
};

// INVALID_ARGUMENT with the first mistake in the paths that would show only when somebody asks for
// them: a name in a pattern without a field, an operation that is never dispatched or has no
// handler, and the like. For a plugin's own tests, or its start.
absl::Status CheckTable(const PathTable& table);

// A backend made of paths: routes by operation and path, types the parameters, answers help,
// forwards from standbys. What is a mount's own belongs to a class derived from it, which the
// handlers get by For, below. Thread-safe if the handlers are.
class PathBackend : public Backend {
 public:
  // `table` is shared and not null; `system` must outlive this object.
  PathBackend(std::shared_ptr<const PathTable> table, SystemView& system);

  // Asks the host nothing: a mount that joins need not wait until its connection stands.
  absl::Status Initialize(Storage&) override { return absl::OkStatus(); }
  absl::StatusOr<std::optional<Response>> HandleRequest(const Request& request) override;
  SpecialPaths Special() const override { return table_->special; }
  void InvalidateKey(std::string_view) override {}

 protected:
  // This node turned out to be no standby. Called once, by the first request or tick before it is
  // served, without storage and under a lock that every other request waits for meanwhile.
  virtual void OnActive() {}
  // The host's tick: every 60 s on the active node, and once when the mount is removed. Requests
  // run beside it. The host sends a mount's next one when it has the answer to the last, for which
  // it waits 90 s, so ticks overlap only if one takes longer than that.
  virtual absl::Status OnTick(const Request&) { return absl::OkStatus(); }

 private:
  // Whether this node is a performance standby; asked of the host until it has answered once.
  absl::StatusOr<bool> IsStandby();
  absl::StatusOr<std::optional<Response>> Help(const Request& request) const;
  absl::StatusOr<std::optional<Response>> Dispatch(const Request& request);

  const std::shared_ptr<const PathTable> table_;
  SystemView& system_;
  absl::Mutex first_answer_;
  enum class Standby { kUnknown, kNo, kYes };
  std::atomic<Standby> standby_ = Standby::kUnknown;
};

// A handler for a class derived from PathBackend: `handler` is a function or a member of `Mount`
// that is given (Mount&, const Request&, const FieldData&). Its path belongs into the table of that
// class only.
template <std::derived_from<PathBackend> Mount, class F>
Handler For(F handler) {
  return [handler = std::move(handler)](PathBackend& backend, const Request& request,
                                        const FieldData& data) {
    return std::invoke(handler, static_cast<Mount&>(backend), request, data);
  };
}

}  // namespace openbao

#endif  // SDK_FRAMEWORK_PATH_BACKEND_H_
