#include "mek/cron.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>

#include "absl/time/time.h"
#include "support/status_matchers.h"

namespace mek {
namespace {

using ::testing::HasSubstr;
using ::testing_support::IsOk;
using ::testing_support::StatusIs;

absl::Time At(std::string_view text) {
  absl::Time time;
  std::string error;
  EXPECT_TRUE(absl::ParseTime("%Y-%m-%d %H:%M:%E*S", std::string(text), &time, &error)) << error;
  return time;
}

std::string Shown(absl::Time time) {
  return absl::FormatTime("%a %Y-%m-%d %H:%M:%S", time, absl::UTCTimeZone());
}

std::string Next(std::string_view schedule, std::string_view after) {
  const absl::StatusOr<CronSchedule> parsed = CronSchedule::Parse(schedule);
  EXPECT_THAT(parsed, IsOk()) << schedule;
  return parsed.ok() ? Shown(parsed->Next(At(after))) : "";
}

TEST(Cron, FindsTheNextTime) {
  const struct {
    std::string_view schedule, after, next;
  } kCases[] = {
      {"* * * * *", "2026-11-25 10:00:00", "Wed 2026-11-25 10:01:00"},
      {"* * * * *", "2026-11-25 10:00:59.9", "Wed 2026-11-25 10:01:00"},
      {"0 3 * * *", "2026-11-25 03:00:00", "Thu 2026-11-26 03:00:00"},
      {"0 3 * * *", "2026-11-25 02:59:59", "Wed 2026-11-25 03:00:00"},
      {"0 3 1 */3 *", "2026-11-25 10:00:00", "Fri 2027-01-01 03:00:00"},
      {"*/15 9-17 * * mon-fri", "2026-11-27 17:45:00", "Mon 2026-11-30 09:00:00"},
      {"5/20 * * * *", "2026-11-25 10:26:00", "Wed 2026-11-25 10:45:00"},
      {"0 0 29 2 *", "2096-03-01 00:00:00", "Fri 2104-02-29 00:00:00"},
      // Both days must match, as a field begins with *: the same day of the month is a Sunday again
      // after 11 years, and 29 February after up to 40 (crontab(5); the calendar's own gap at
      // 2100).
      {"7 4 11 dec */7", "1994-12-11 04:07:00", "Sun 2005-12-11 04:07:00"},
      {"0 0 29 2 */7", "2088-02-29 00:00:00", "Sun 2128-02-29 00:00:00"},
      {"0 0 31 * *", "2026-11-25 10:00:00", "Thu 2026-12-31 00:00:00"},
      {"0 0 * * 0", "2026-11-25 10:00:00", "Sun 2026-11-29 00:00:00"},
      {"0 0 * * 7", "2026-11-25 10:00:00", "Sun 2026-11-29 00:00:00"},
      {"0 0 * * 5-7", "2026-11-28 10:00:00", "Sun 2026-11-29 00:00:00"},
      {"0 0 1 JAN *", "2026-11-25 10:00:00", "Fri 2027-01-01 00:00:00"},
      // Both days restricted: either is enough. A star with a step restricts nothing else.
      {"0 0 13 * fri", "2026-11-25 10:00:00", "Fri 2026-11-27 00:00:00"},
      {"0 0 13 * fri", "2026-12-11 10:00:00", "Sun 2026-12-13 00:00:00"},
      {"0 0 */2 * fri", "2026-11-25 10:00:00", "Fri 2026-11-27 00:00:00"},
      {"0 0 13 * *", "2026-11-25 10:00:00", "Sun 2026-12-13 00:00:00"},
      {"1,31 0,12 * * *", "2026-11-25 00:31:00", "Wed 2026-11-25 12:01:00"},
      {"@hourly", "2026-11-25 10:00:00", "Wed 2026-11-25 11:00:00"},
      {"@daily", "2026-11-25 10:00:00", "Thu 2026-11-26 00:00:00"},
      {"@midnight", "2026-11-25 10:00:00", "Thu 2026-11-26 00:00:00"},
      {"@weekly", "2026-11-25 10:00:00", "Sun 2026-11-29 00:00:00"},
      {"@monthly", "2026-11-25 10:00:00", "Tue 2026-12-01 00:00:00"},
      {"@yearly", "2026-11-25 10:00:00", "Fri 2027-01-01 00:00:00"},
      {"@annually", "2026-11-25 10:00:00", "Fri 2027-01-01 00:00:00"},
      {"  0\t3 * * *  ", "2026-11-25 10:00:00", "Thu 2026-11-26 03:00:00"},
  };
  for (const auto& test : kCases) {
    EXPECT_EQ(Next(test.schedule, test.after), test.next) << test.schedule << " " << test.after;
  }
}

TEST(Cron, FindsTheLastTime) {
  const struct {
    std::string_view schedule, at, last;
  } kCases[] = {
      {"0 3 * * *", "2026-11-25 03:00:00", "Wed 2026-11-25 03:00:00"},
      {"0 3 * * *", "2026-11-25 02:59:59", "Tue 2026-11-24 03:00:00"},
      {"0 * * * *", "2026-11-25 02:59:59", "Wed 2026-11-25 02:00:00"},
      {"0 3 1 */3 *", "2026-11-25 10:00:00", "Thu 2026-10-01 03:00:00"},
      {"0 0 29 2 *", "2104-02-28 23:59:59", "Wed 2096-02-29 00:00:00"},
      {"0 0 29 2 */7", "2128-02-28 23:59:59", "Sun 2088-02-29 00:00:00"},
      {"* * * * *", "2026-11-25 10:00:30", "Wed 2026-11-25 10:00:00"},
  };
  for (const auto& test : kCases) {
    const absl::StatusOr<CronSchedule> parsed = CronSchedule::Parse(test.schedule);
    ASSERT_THAT(parsed, IsOk());
    EXPECT_EQ(Shown(parsed->Last(At(test.at))), test.last) << test.schedule << " " << test.at;
  }
}

TEST(Cron, AgreesWithLookingAtEveryMinute) {
  const auto parsed = CronSchedule::Parse("17 */5 10-20/3 2,11,12 tue");
  ASSERT_THAT(parsed, IsOk());
  const auto matches = [](absl::CivilMinute at) {
    const bool day = (at.day() >= 10 && at.day() <= 20 && (at.day() - 10) % 3 == 0) ||
                     absl::GetWeekday(at) == absl::Weekday::tuesday;
    return at.minute() == 17 && at.hour() % 5 == 0 && day &&
           (at.month() == 2 || at.month() == 11 || at.month() == 12);
  };
  int found = 0;
  absl::CivilMinute minute(2026, 10, 28);
  for (; minute < absl::CivilMinute(2026, 12, 20); ++minute) {
    const absl::Time time = absl::FromCivil(minute, absl::UTCTimeZone());
    found += matches(minute) ? 1 : 0;
    ASSERT_EQ(parsed->Next(time - absl::Minutes(1)) == time, matches(minute)) << Shown(time);
    ASSERT_EQ(parsed->Last(time) == time, matches(minute)) << Shown(time);
  }
  EXPECT_EQ(found, 5 * (7 + 7));
}

TEST(Cron, RefusesWhatIsNoSchedule) {
  const struct {
    std::string_view schedule, message;
  } kCases[] = {
      {"", "five fields"},
      {"0 3 * *", "five fields"},
      {"0 3 * * * *", "five fields"},
      {"@never", "five fields"},
      {"60 * * * *", "minute of a schedule: expected *, a number from 0 to 59"},
      {"-1 * * * *", "minute"},
      {"* 24 * * *", "hour of a schedule"},
      {"* * 0 * *", "day of the month of a schedule: expected *, a number from 1 to 31"},
      {"* * 32 * *", "day of the month"},
      {"* * * 13 *", "month of a schedule"},
      {"* * * foo *", "or a name of three letters"},
      {"* * * * 8", "day of the week"},
      {"5-1 * * * *", "minute"},
      {"*/0 * * * *", "minute"},
      {"*/x * * * *", "minute"},
      {"1, * * * *", "minute"},
      {"9999999999 * * * *", "minute"},
      {"1-2-3 * * * *", "minute"},
      {"*-3 * * * *", "minute"},
      {"? * * * *", "minute"},
      {"0 0 30 2 *", "no date ever matches"},
      {"0 0 31 4,6,9,11 *", "no date ever matches"},
  };
  for (const auto& test : kCases) {
    EXPECT_THAT(CronSchedule::Parse(test.schedule),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(std::string(test.message))))
        << test.schedule;
  }
  // Longer than any schedule, whether its fields come first or last.
  for (const std::string& text :
       {std::string(300, ' ') + "* * * * *", "* * * * *" + std::string(300, ' ')}) {
    EXPECT_THAT(CronSchedule::Parse(text),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("five fields")));
  }
}

TEST(Cron, KnowsTheLeastGap) {
  const absl::Time now = At("2026-11-25 10:00:00");
  EXPECT_EQ(CronSchedule::Parse("*/15 * * * *")->LeastGap(now), absl::Minutes(15));
  EXPECT_EQ(CronSchedule::Parse("0 9,17 * * *")->LeastGap(now), absl::Hours(8));
  EXPECT_EQ(CronSchedule::Parse("0 0 1 * *")->LeastGap(now), absl::Hours(28 * 24));
}

}  // namespace
}  // namespace mek
