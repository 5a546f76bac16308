#ifndef BASE_CLOCK_H_
#define BASE_CLOCK_H_

#include "absl/time/clock.h"
#include "absl/time/time.h"

namespace base {

// Where the time of day comes from. Implementations are thread-safe.
class Clock {
 public:
  virtual ~Clock() = default;
  virtual absl::Time Now() = 0;
};

class SystemClock final : public Clock {
 public:
  absl::Time Now() override { return absl::Now(); }
};

}  // namespace base

#endif  // BASE_CLOCK_H_
