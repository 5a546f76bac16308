#ifndef BASE_CLOCK_H_
#define BASE_CLOCK_H_

#include <chrono>

#include "absl/time/clock.h"
#include "absl/time/time.h"

namespace base {

// Where time comes from. Implementations are thread-safe.
class Clock {
 public:
  virtual ~Clock() = default;
  // The time of day, which people and their tools may set forward or back.
  virtual absl::Time Now() = 0;
  // Time since some moment before; never goes back, and knows no time of day.
  virtual absl::Duration Monotonic() = 0;
};

class SystemClock final : public Clock {
 public:
  absl::Time Now() override { return absl::Now(); }
  absl::Duration Monotonic() override {
    return absl::FromChrono(std::chrono::steady_clock::now().time_since_epoch());
  }
};

}  // namespace base

#endif  // BASE_CLOCK_H_
