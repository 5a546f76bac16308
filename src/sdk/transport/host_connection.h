#ifndef SDK_TRANSPORT_HOST_CONNECTION_H_
#define SDK_TRANSPORT_HOST_CONNECTION_H_

#include <grpcpp/channel.h>

#include <cstddef>
#include <list>
#include <memory>

#include "absl/synchronization/mutex.h"
#include "goplugin/broker.h"
#include "openbao/backend.grpc.pb.h"

namespace openbao {

// How many mounts keep their connection to the server while they have no use for it. One takes
// about 130 KiB of this process, and opening one a TLS handshake, some milliseconds of both.
inline constexpr std::size_t kMostConnections = 32;

class HostConnection;

// The open connections of a process: of more than `most` the one that was used least lately is
// given up. Thread-safe.
class ConnectionPool {
 public:
  explicit ConnectionPool(std::size_t most) : most_(most) {}
  ConnectionPool(const ConnectionPool&) = delete;
  ConnectionPool& operator=(const ConnectionPool&) = delete;

 private:
  friend class HostConnection;

  const std::size_t most_;
  absl::Mutex mutex_;
  // From the last used to the first.
  std::list<HostConnection*> open_ ABSL_GUARDED_BY(mutex_);
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
  const goplugin::Connect connect_;
  ConnectionPool& pool_;
  std::shared_ptr<Stubs> stubs_ ABSL_GUARDED_BY(pool_.mutex_);
  std::list<HostConnection*>::iterator place_ ABSL_GUARDED_BY(pool_.mutex_);
};

}  // namespace openbao

#endif  // SDK_TRANSPORT_HOST_CONNECTION_H_
