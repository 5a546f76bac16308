#ifndef SDK_TRANSPORT_HOST_CONNECTION_H_
#define SDK_TRANSPORT_HOST_CONNECTION_H_

#include <grpcpp/channel.h>

#include <cstddef>
#include <list>
#include <memory>

#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "goplugin/broker.h"
#include "openbao/backend.grpc.pb.h"

namespace openbao {

// How many mounts keep their connection to the server while they have no use for it. One takes
// about 130 KiB of this process, and opening one a TLS handshake, some milliseconds of both.
inline constexpr std::size_t kMostConnections = 32;

// How many connections are being opened at a time. The host's tick reaches all mounts at once, and
// after a restart each of them has to look at its storage: that many handshakes at a time would
// take more memory than anything else ever does.
inline constexpr int kMostOpening = 8;
// How long one may take, and how long others wait for their turn, before the call is made anyhow:
// it fails, or succeeds, by itself. Neither ends sooner when the request is given up.
inline constexpr absl::Duration kOpeningTime = absl::Seconds(2);
inline constexpr absl::Duration kTurnTime = absl::Seconds(10);

class HostConnection;

// The connections of a process: of more than `most` (at least 1) that are open the one that was
// used least lately is given up, and up to kMostOpening are opened at a time. Thread-safe.
class ConnectionPool {
 public:
  explicit ConnectionPool(std::size_t most, absl::Duration opening_time = kOpeningTime,
                          absl::Duration turn_time = kTurnTime)
      : most_(most), opening_time_(opening_time), turn_time_(turn_time) {}
  ConnectionPool(const ConnectionPool&) = delete;
  ConnectionPool& operator=(const ConnectionPool&) = delete;

 private:
  friend class HostConnection;

  // A channel that is connected, or can't be.
  std::shared_ptr<grpc::Channel> Open(const goplugin::Connect& connect);

  const std::size_t most_;
  const absl::Duration opening_time_;
  const absl::Duration turn_time_;
  absl::Mutex mutex_;
  // From the last used to the first.
  std::list<HostConnection*> open_ ABSL_GUARDED_BY(mutex_);
  absl::Mutex turns_;
  int opening_ ABSL_GUARDED_BY(turns_) = 0;
};

// A mount's connection to the server that the host runs for it: opened by its first use, and by the
// next one after the pool has given it up. Thread-safe.
class HostConnection {
 public:
  struct Stubs {
    explicit Stubs(const std::shared_ptr<grpc::Channel>& channel);

    std::unique_ptr<pb::Storage::StubInterface> storage;
    std::unique_ptr<pb::SystemView::StubInterface> system;
  };

  // `pool` must outlive this object.
  HostConnection(goplugin::Connect connect, ConnectionPool& pool);
  ~HostConnection();
  HostConnection(const HostConnection&) = delete;
  HostConnection& operator=(const HostConnection&) = delete;

  // Whoever makes a call holds the result until it is answered: given up or not, the connection is
  // closed only then.
  std::shared_ptr<Stubs> Use();

 private:
  // What is open, and from now on the last used; nullptr if nothing is.
  std::shared_ptr<Stubs> UseOpen();

  const goplugin::Connect connect_;
  ConnectionPool& pool_;
  // Held while it is opened, so that this is done once. Locked before the pool's.
  absl::Mutex opening_;
  std::shared_ptr<Stubs> stubs_ ABSL_GUARDED_BY(pool_.mutex_);
  std::list<HostConnection*>::iterator place_ ABSL_GUARDED_BY(pool_.mutex_);
};

}  // namespace openbao

#endif  // SDK_TRANSPORT_HOST_CONNECTION_H_
