// A rotation schedule in crontab's form. The input is its text.
#include <array>
#include <cstdint>
#include <string_view>

#include "absl/time/time.h"
#include "fuzz/fuzz.h"
#include "mek/cron.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const absl::StatusOr<mek::CronSchedule> schedule =
      mek::CronSchedule::Parse(fuzz::Text(data, size));
  if (!schedule.ok()) {
    REQUIRE(schedule.status().code() == absl::StatusCode::kInvalidArgument);
    return 0;
  }
  // Around a leap year's end of February, and in the middle of a minute.
  constexpr std::array<std::int64_t, 4> kTimes{0, 951'782'399, 1'780'000'000, 4'107'542'400};
  for (const std::int64_t seconds : kTimes) {
    const absl::Time time = absl::FromUnixSeconds(seconds);
    const absl::Time next = schedule->Next(time);
    const absl::Time last = schedule->Last(time);
    REQUIRE(last <= time && time < next && next < absl::InfiniteFuture());
    REQUIRE(absl::ToUnixSeconds(next) % 60 == 0 && absl::ToUnixSeconds(last) % 60 == 0);
    // Neither passes one over, and both mean the same times.
    REQUIRE(schedule->Last(next) == next && schedule->Next(last) == next);
    REQUIRE(schedule->Last(next - absl::Seconds(1)) == last);
    const absl::Duration gap = schedule->LeastGap(time);
    REQUIRE(gap >= absl::Minutes(1) && gap <= schedule->Next(next) - next);
  }
  return 0;
}
