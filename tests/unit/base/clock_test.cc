#include "base/clock.h"

#include <gtest/gtest.h>

namespace base {
namespace {

TEST(SystemClock, GoesOnWithTheTimeOfDayAndNeverBackOtherwise) {
  SystemClock clock;
  const absl::Time before = absl::Now();
  const absl::Duration start = clock.Monotonic();
  const absl::Time now = clock.Now();
  absl::SleepFor(absl::Milliseconds(2));
  EXPECT_GE(now, before);
  EXPECT_LE(now - before, absl::Minutes(1));
  EXPECT_GE(clock.Monotonic() - start, absl::Milliseconds(2));
}

}  // namespace
}  // namespace base
