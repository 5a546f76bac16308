#ifndef ENGINE_KV_TIME_H_
#define ENGINE_KV_TIME_H_

#include "absl/time/time.h"
#include "kvclient/allowance.h"
#include "sdk/logical/request.h"

namespace engine {

// One operation's talk with the KV server takes no longer than this in all. While our own server
// seals it waits for the operations under way, and may be that KV server.
inline constexpr absl::Duration kKvTime = absl::Seconds(5);
// What there is at least to settle a write of unknown outcome, after that time and without a
// caller.
inline constexpr absl::Duration kSettleTime = absl::Seconds(1);

// For the operation that `request`, which outlives it, asks for.
inline kvclient::Allowance KvAllowance(const openbao::Request& request) {
  return kvclient::Allowance(
      kKvTime, [context = request.context] { return context != nullptr && context->Cancelled(); });
}

}  // namespace engine

#endif  // ENGINE_KV_TIME_H_
