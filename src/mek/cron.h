#ifndef MEK_CRON_H_
#define MEK_CRON_H_

#include <bitset>
#include <optional>
#include <string_view>

#include "absl/status/statusor.h"
#include "absl/time/civil_time.h"
#include "absl/time/time.h"

namespace mek {

// A schedule in crontab's five fields, in UTC (crontab(5), POSIX crontab): minute (0-59), hour
// (0-23), day of the month (1-31), month (1-12 or jan-dec), day of the week (0-7 or sun-sat, 0 and
// 7 are Sunday). A field is a list of *, N, N-M, each with /STEP. If both days are restricted
// (don't begin with *), either one is enough. Or one of @hourly, @daily, @midnight, @weekly,
// @monthly,
// @yearly, @annually. Immutable value type.
class CronSchedule {
 public:
  // INVALID_ARGUMENT says which field is wrong and what was expected; or that no day ever matches.
  static absl::StatusOr<CronSchedule> Parse(std::string_view text);

  // The first time of the schedule after `time`, and the last one at or before it. There always is
  // one: Parse saw to it. `time`: finite.
  absl::Time Next(absl::Time time) const;
  absl::Time Last(absl::Time time) const;

  // The least time between two consecutive times of the schedule among the next hundred after
  // `time`.
  absl::Duration LeastGap(absl::Time time) const;

 private:
  CronSchedule() = default;
  bool MatchesDay(absl::CivilDay day) const;
  // What Next is; nullopt if no day ever matches.
  std::optional<absl::Time> Find(absl::Time time) const;

  std::bitset<60> minutes_;
  std::bitset<24> hours_;
  std::bitset<32> days_;
  std::bitset<13> months_;
  std::bitset<8> weekdays_;  // 0: Sunday
  bool any_day_ = false;
  bool any_weekday_ = false;
};

}  // namespace mek

#endif  // MEK_CRON_H_
