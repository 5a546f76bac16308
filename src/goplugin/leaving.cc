#include "goplugin/leaving.h"

namespace goplugin {

std::string_view Name(LeaveReason reason) {
  switch (reason) {
    case LeaveReason::kNone:
      return "none";
    case LeaveReason::kHostGone:
      return "the host is gone";
    case LeaveReason::kShutdown:
      return "the host asked for it";
    case LeaveReason::kSignal:
      return "SIGTERM";
  }
  return "unknown";
}

Leaving::Leaving() : event_(MakeEvent()) {}

void Leaving::Leave(LeaveReason reason) {
  absl::MutexLock lock(&mutex_);
  reason_ = reason;
  Raise(event_);
}

LeaveReason Leaving::reason() const {
  absl::MutexLock lock(&mutex_);
  return reason_;
}

bool Leaving::WaitFor(LeaveReason reason, absl::Duration timeout) const {
  const auto is_it = [&]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return reason_ == reason; };
  absl::MutexLock lock(&mutex_);
  return mutex_.AwaitWithTimeout(absl::Condition(&is_it), timeout);
}

}  // namespace goplugin
