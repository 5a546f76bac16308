// go-plugin's broker (grpc_broker.go): the host opens further gRPC servers, tells us over one
// stream where each is, and names it by a number in some other request; we dial it.
#ifndef GOPLUGIN_BROKER_H_
#define GOPLUGIN_BROKER_H_

#include <grpcpp/grpcpp.h>

#include <cstdint>
#include <functional>
#include <memory>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace goplugin {

// How long a ConnInfo is waited for, at most (go-plugin's own limit).
inline constexpr absl::Duration kMaxDialWait = absl::Seconds(5);

// Makes a channel to one of the host's servers, with mutual TLS and no limits on message sizes,
// that connects at its first call. It belongs to the caller, and when it is gone, so is its
// connection. Thread-safe; may outlive the broker.
using Connect = std::function<std::shared_ptr<grpc::Channel>()>;

// What a plugin's services see of the broker; tests have their own. Implementations are
// thread-safe.
class Broker {
 public:
  virtual ~Broker() = default;

  // The way to the host's server `service_id`. Waits up to min(timeout, kMaxDialWait) for the host
  // to say where it is. Each service_id can be asked for once. DEADLINE_EXCEEDED: the host said
  // nothing of that server in time. UNAVAILABLE: the host is gone or we are leaving.
  // INVALID_ARGUMENT: what it said can't be dialled.
  virtual absl::StatusOr<Connect> Locate(std::uint32_t service_id, absl::Duration timeout) = 0;
};

}  // namespace goplugin

#endif  // GOPLUGIN_BROKER_H_
