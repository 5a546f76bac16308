// The unix socket on which the host finds us.
#ifndef GOPLUGIN_LISTENER_H_
#define GOPLUGIN_LISTENER_H_

#include <functional>
#include <memory>
#include <string>
#include <thread>

#include "absl/status/statusor.h"
#include "base/logger.h"
#include "goplugin/posix.h"

namespace goplugin {

// Makes a directory of its own (mode 0700), a socket (0600) in it, and accepts connections of this
// process's user and of root, as the kernel says who they are (SO_PEERCRED). So no one else reaches
// the HTTP/2 and TLS code behind. Not thread-safe.
class Listener {
 public:
  // Takes over an accepted, non-blocking connection. Called by the listener's own thread.
  using Take = std::function<void(Fd connection)>;

  // Listens, but accepts nothing yet. `directory` must exist. INVALID_ARGUMENT if the path would be
  // longer than a unix address holds, or can't stand in the handshake line. The logger must outlive
  // the listener.
  static absl::StatusOr<std::unique_ptr<Listener>> Open(const std::string& directory,
                                                        base::Logger* logger);
  // Closes.
  ~Listener();

  const std::string& path() const { return path_; }

  // Accepts from now on, in a thread of its own. Once only.
  void Start(Take take);

  // Accepts no more and removes socket and directory. Connections taken over go on. Idempotent.
  void Close();

 private:
  Listener(std::string directory, Fd lock, base::Logger* logger);
  void AcceptUntilClosed(const Take& take);
  bool Welcome(const Fd& connection);

  const std::string directory_;
  const std::string path_;
  base::Logger* const logger_;
  // Locked as long as this process lives: see RemoveAbandonedSockets.
  Fd lock_;
  Fd socket_;
  const Fd closing_;
  std::thread thread_;
};

// Removes what listeners of this user, killed before they could close, left behind in `directory`.
void RemoveAbandonedSockets(const std::string& directory);

}  // namespace goplugin

#endif  // GOPLUGIN_LISTENER_H_
