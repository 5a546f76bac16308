#include "mek/schedule.h"

#include <gtest/gtest.h>

#include "absl/time/time.h"

namespace mek {
namespace {

const absl::Time kStart = absl::FromCivil(absl::CivilHour(2026, 11, 25, 10), absl::UTCTimeZone());

RotationPlan Nightly(absl::Duration window) {
  RotationPlan plan;
  plan.schedule = *CronSchedule::Parse("0 3 * * *");
  plan.window = window;
  return plan;
}
const absl::Time kNight = kStart + absl::Hours(17);  // 03:00 on the 26th

TEST(Schedule, NothingIsDueWithoutAPlan) {
  const RotationDue due =
      WhenToRotate({}, {kStart, std::nullopt, kStart}, kStart + absl::Hours(100'000));
  EXPECT_EQ(due.due, std::nullopt);
  EXPECT_EQ(due.missed, std::nullopt);
  EXPECT_EQ(due.next, std::nullopt);
}

TEST(Schedule, APeriodRunsFromTheNewestKey) {
  const RotationPlan plan{.period = absl::Hours(24)};
  const RotationPast past{kStart, std::nullopt, kStart};
  EXPECT_EQ(WhenToRotate(plan, past, kStart + absl::Hours(24) - absl::Seconds(1)).due,
            std::nullopt);
  EXPECT_EQ(WhenToRotate(plan, past, kStart).next, kStart + absl::Hours(24));
  EXPECT_EQ(WhenToRotate(plan, past, kStart + absl::Hours(24)).due, kStart + absl::Hours(24));
  // A clock far ahead makes one rotation due, not many.
  EXPECT_EQ(WhenToRotate(plan, past, kStart + absl::Hours(240)).due, kStart + absl::Hours(24));
  // A clock that was set back makes none due.
  EXPECT_EQ(WhenToRotate(plan, past, kStart - absl::Hours(87'600)).due, std::nullopt);
}

TEST(Schedule, ATimeIsServedOnce) {
  const RotationPlan plan = Nightly(absl::ZeroDuration());
  const RotationPast before{kStart, std::nullopt, kStart};
  EXPECT_EQ(WhenToRotate(plan, before, kNight - absl::Seconds(1)).due, std::nullopt);
  EXPECT_EQ(WhenToRotate(plan, before, kNight - absl::Seconds(1)).next, kNight);
  EXPECT_EQ(WhenToRotate(plan, before, kNight).due, kNight);
  const RotationPast after{kNight, kNight, kStart};
  EXPECT_EQ(WhenToRotate(plan, after, kNight + absl::Hours(1)).due, std::nullopt);
  EXPECT_EQ(WhenToRotate(plan, after, kNight + absl::Hours(1)).next, kNight + absl::Hours(24));
}

TEST(Schedule, AManualRotationTakesNoTimeAway) {
  const RotationPast past{kNight - absl::Minutes(1), std::nullopt, kStart};
  EXPECT_EQ(WhenToRotate(Nightly(absl::ZeroDuration()), past, kNight).due, kNight);
}

TEST(Schedule, SeveralMissedTimesAreServedByOne) {
  const RotationPast past{kStart, std::nullopt, kStart};
  EXPECT_EQ(WhenToRotate(Nightly(absl::ZeroDuration()), past, kNight + absl::Hours(75)).due,
            kNight + absl::Hours(72));
}

TEST(Schedule, ATimeIsMissedWhenItsWindowIsOver) {
  const RotationPlan plan = Nightly(absl::Hours(2));
  const RotationPast past{kStart, std::nullopt, kStart};
  EXPECT_EQ(WhenToRotate(plan, past, kNight + absl::Hours(2) - absl::Seconds(1)).due, kNight);
  const RotationDue late = WhenToRotate(plan, past, kNight + absl::Hours(2));
  EXPECT_EQ(late.due, std::nullopt);
  EXPECT_EQ(late.missed, kNight);
  EXPECT_EQ(late.next, kNight + absl::Hours(24));
}

TEST(Schedule, TimesFarAheadAreNotBelieved) {
  const absl::Time wrong = kStart + absl::Hours(24 * 3650);
  EXPECT_EQ(WhenToRotate({.period = absl::Hours(24)}, {wrong, std::nullopt, kStart},
                         kStart + absl::Hours(24))
                .due,
            kStart + absl::Hours(24));
  EXPECT_EQ(WhenToRotate(Nightly(absl::ZeroDuration()), {kStart, wrong, kStart}, kNight).due,
            kNight);
  // A small step back serves no time twice.
  EXPECT_EQ(WhenToRotate(Nightly(absl::ZeroDuration()), {kStart, kNight, kStart},
                         kNight - absl::Hours(12))
                .due,
            std::nullopt);
}

TEST(Schedule, NoTimeBeforeThePlanCounts) {
  const RotationPast past{kStart, std::nullopt, kNight + absl::Hours(1)};
  const RotationDue due =
      WhenToRotate(Nightly(absl::ZeroDuration()), past, kNight + absl::Hours(2));
  EXPECT_EQ(due.due, std::nullopt);
  EXPECT_EQ(due.missed, std::nullopt);
  EXPECT_EQ(due.next, kNight + absl::Hours(24));
}

}  // namespace
}  // namespace mek
