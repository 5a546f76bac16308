#ifndef ENGINE_AUTOMATIC_H_
#define ENGINE_AUTOMATIC_H_

#include <algorithm>
#include <optional>
#include <string>
#include <string_view>

#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace engine {

// What became of the rotations and activations that the engine tries by itself: after a failure it
// waits before the next attempt, longer each time. In memory only, since a restart is a good moment
// to try again. Thread-safe.
class AutomaticRotation {
 public:
  // What is tried: for people, after "the automatic".
  static constexpr char kRotation[] = "rotation";
  static constexpr char kActivation[] = "activation";

  struct Failure {
    std::string what;
    std::string why;
    absl::Time time;
    int attempts = 0;
  };

  // What another thing ran into keeps nothing waiting.
  bool MayTry(std::string_view what, absl::Duration monotonic) {
    absl::MutexLock lock(&mutex_);
    return !HasFailed(what) || monotonic >= not_before_;
  }
  void Failed(std::string what, std::string why, absl::Time now, absl::Duration monotonic) {
    absl::MutexLock lock(&mutex_);
    const int attempts = HasFailed(what) ? failure_->attempts + 1 : 1;
    failure_ = Failure{std::move(what), std::move(why), now, attempts};
    absl::Duration wait = kFirstWait;
    for (int i = 1; i < attempts && wait < kLongestWait; ++i) wait *= 2;
    not_before_ = monotonic + std::min(wait, kLongestWait);
  }
  void Succeeded() {
    absl::MutexLock lock(&mutex_);
    failure_.reset();
  }
  // The failure that is not yet followed by a success.
  std::optional<Failure> failure() {
    absl::MutexLock lock(&mutex_);
    return failure_;
  }

  // True once for each missed time of the schedule, so that the log says it once.
  bool IsNews(absl::Time missed) {
    absl::MutexLock lock(&mutex_);
    if (missed_ == missed) return false;
    missed_ = missed;
    return true;
  }

 private:
  static constexpr absl::Duration kFirstWait = absl::Minutes(1);
  static constexpr absl::Duration kLongestWait = absl::Hours(1);

  bool HasFailed(std::string_view what) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return failure_.has_value() && failure_->what == what;
  }

  absl::Mutex mutex_;
  std::optional<Failure> failure_ ABSL_GUARDED_BY(mutex_);
  absl::Duration not_before_ ABSL_GUARDED_BY(mutex_);
  std::optional<absl::Time> missed_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace engine

#endif  // ENGINE_AUTOMATIC_H_
