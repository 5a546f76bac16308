#ifndef GOPLUGIN_LEAVING_H_
#define GOPLUGIN_LEAVING_H_

#include <string_view>

#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "goplugin/posix.h"

namespace goplugin {

enum class LeaveReason { kNone, kHostGone, kShutdown, kSignal };

std::string_view Name(LeaveReason reason);

// The decision to leave: several parties take it, one waits for it. Thread-safe. Must outlive all
// whom it is given to.
class Leaving {
 public:
  Leaving();

  // Takes the decision, for good. Of several reasons the last one is kept.
  void Leave(LeaveReason reason);

  // kNone until the decision is taken.
  LeaveReason reason() const;

  // Waits for that very reason, `timeout` at most; says whether it is the reason now.
  bool WaitFor(LeaveReason reason, absl::Duration timeout) const;

  // Becomes readable, and stays so, when the decision is taken: for poll(2).
  int fd() const { return event_.get(); }

 private:
  const Fd event_;
  mutable absl::Mutex mutex_;
  LeaveReason reason_ ABSL_GUARDED_BY(mutex_) = LeaveReason::kNone;
};

}  // namespace goplugin

#endif  // GOPLUGIN_LEAVING_H_
