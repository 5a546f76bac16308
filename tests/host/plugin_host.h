// OpenBao's side of go-plugin, played against the real plugin binary: starts it, speaks mutual TLS
// with it, gives it storage through the broker, sends it requests, and starts it again when it is
// dead, as OpenBao does (sdk/plugin, internal/builtin/plugin/v5).
#ifndef TESTS_HOST_PLUGIN_HOST_H_
#define TESTS_HOST_PLUGIN_HOST_H_

#include <atomic>
#include <cstdint>
#include <list>
#include <memory>
#include <string>
#include <string_view>

#include "absl/synchronization/mutex.h"
#include "base/json.h"
#include "host/storage_server.h"
#include "unit/goplugin/host.h"

namespace testing_support {

// One request, as a client of the server makes it.
struct HostRequest {
  std::string operation = "update";
  std::string path = {};
  base::Json data = base::Json::object();
  std::string id = {};  // a new one if empty
  // How often the host sends it again when it finds the plugin dead.
  int replays = 1;
  // The client goes away after this long.
  absl::Duration patience = absl::Seconds(20);
};

// What the client gets.
struct HostReply {
  int code = 0;  // the HTTP status
  // Not by default: nlohmann's constructor of null is noexcept, and calls one that may throw.
  base::Json data = base::Json(base::Json::value_t::null);
  std::string error = {};
  // True if no answer of the plugin's is behind it: the outcome is not known to the client.
  bool lost = false;

  bool ok() const { return code == 200 || code == 204; }
  std::uint64_t version() const { return data.at("version").get<std::uint64_t>(); }
};

// One mount. Thread-safe, but for set_content and the like in the middle of requests.
class PluginHost {
 public:
  PluginHost();
  ~PluginHost();

  // Starts the plugin if it doesn't run, and sets the mount up.
  HostReply Send(HostRequest request);
  HostReply Write(std::string_view path, base::Json data = base::Json::object());
  HostReply Read(std::string_view path, base::Json data = base::Json::object());

  // A new backend in the same process, as after a seal or a change of leader.
  void Renew();
  // kill -9, and its end.
  void Kill();

  StorageHub& hub() { return hub_; }
  TxStore& store() { return hub_.store(); }
  // How many processes were started so far.
  int starts();
  // What the plugins printed on stderr.
  std::string Log() const;

 private:
  struct Process;

  // The process that runs, started and set up if there is none. nullptr if it can't be started.
  std::shared_ptr<Process> Running();
  std::shared_ptr<Process> Start() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool SetUp(Process& process);
  void Bury(std::shared_ptr<Process> process) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // True if the process was found dead.
  bool FoundDead(const std::shared_ptr<Process>& process);
  HostReply SendTo(Process& process, const HostRequest& request);

  const goplugin::TemporaryDirectory directory_;
  const goplugin::Host host_;
  StorageHub hub_;
  absl::Mutex mutex_;
  std::shared_ptr<Process> running_ ABSL_GUARDED_BY(mutex_);
  // Dead, but a call to our storage may still be under way.
  std::list<std::shared_ptr<Process>> dead_ ABSL_GUARDED_BY(mutex_);
  int starts_ ABSL_GUARDED_BY(mutex_) = 0;
  std::atomic<int> requests_ = 0;
};

}  // namespace testing_support

#endif  // TESTS_HOST_PLUGIN_HOST_H_
