#include "mek/cron.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/status_macros.h"
#include "base/text.h"

namespace mek {
namespace {

// 29 February comes again after eight years at the latest (2096 to 2104), and on the same day of
// the week after forty (2088 to 2128).
constexpr int kYearsAhead = 41;
constexpr int kGapsCompared = 100;
constexpr std::size_t kMaxText = 256;

constexpr std::array<std::pair<std::string_view, std::string_view>, 7> kNamed{{
    {"@hourly", "0 * * * *"},
    {"@daily", "0 0 * * *"},
    {"@midnight", "0 0 * * *"},
    {"@weekly", "0 0 * * 0"},
    {"@monthly", "0 0 1 * *"},
    {"@yearly", "0 0 1 1 *"},
    {"@annually", "0 0 1 1 *"},
}};

constexpr std::array<std::string_view, 12> kMonths{"jan", "feb", "mar", "apr", "may", "jun",
                                                   "jul", "aug", "sep", "oct", "nov", "dec"};
constexpr std::array<std::string_view, 7> kWeekdays{"sun", "mon", "tue", "wed",
                                                    "thu", "fri", "sat"};

struct FieldRule {
  std::string_view name;
  int least;
  int most;
  std::span<const std::string_view> names = {};  // the first one stands for `least`
};

constexpr FieldRule kMinute{"minute", 0, 59};
constexpr FieldRule kHour{"hour", 0, 23};
constexpr FieldRule kDay{"day of the month", 1, 31};
constexpr FieldRule kMonth{"month", 1, 12, kMonths};
constexpr FieldRule kWeekday{"day of the week", 0, 7, kWeekdays};

absl::Status Refuse(const FieldRule& rule) {
  return absl::InvalidArgumentError(
      base::Cat("the ", rule.name, " of a schedule: expected *, a number from ", rule.least, " to ",
                rule.most, rule.names.empty() ? "" : " or a name of three letters",
                ", a range such as 1-5, a step such as */15, or a list of these with commas"));
}

std::optional<int> Value(absl::string_view text, const FieldRule& rule) {
  const std::string lower = absl::AsciiStrToLower(text);
  if (const auto name = std::ranges::find(rule.names, lower); name != rule.names.end()) {
    return rule.least + static_cast<int>(name - rule.names.begin());
  }
  int value = 0;
  const bool digits = !text.empty() && std::ranges::all_of(text, absl::ascii_isdigit);
  if (!digits || !absl::SimpleAtoi(text, &value)) return std::nullopt;
  return value >= rule.least && value <= rule.most ? std::optional(value) : std::nullopt;
}

// One element of a list: *, N or N-M, and perhaps /STEP. N/STEP goes on to the field's end.
template <std::size_t kSize>
bool AddRange(absl::string_view text, const FieldRule& rule, std::bitset<kSize>& values) {
  const std::vector<absl::string_view> stepped = absl::StrSplit(text, absl::MaxSplits('/', 1));
  const std::vector<absl::string_view> bounds = absl::StrSplit(stepped[0], absl::MaxSplits('-', 1));
  int step = 1;
  if (stepped.size() == 2) {
    const FieldRule steps{"step", 1, rule.most};
    const std::optional<int> given = Value(stepped[1], steps);
    if (!given.has_value()) return false;
    step = *given;
  }
  int first = rule.least;
  int last = rule.most;
  if (stepped[0] != "*") {
    const std::optional<int> low = Value(bounds[0], rule);
    if (!low.has_value()) return false;
    first = *low;
    if (bounds.size() == 2) {
      const std::optional<int> high = Value(bounds[1], rule);
      if (!high.has_value() || *high < first) return false;
      last = *high;
    } else if (stepped.size() == 1) {
      last = first;
    }
  }
  for (int value = first; value <= last; value += step) {
    values.set(static_cast<std::size_t>(value));
  }
  return true;
}

template <std::size_t kSize>
absl::Status ReadField(absl::string_view text, const FieldRule& rule, std::bitset<kSize>& values) {
  for (const absl::string_view part : absl::StrSplit(text, ',')) {
    if (!AddRange(part, rule, values)) return Refuse(rule);
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<CronSchedule> CronSchedule::Parse(std::string_view text) {
  const auto named =
      std::ranges::find(kNamed, text, &std::pair<std::string_view, std::string_view>::first);
  if (named != kNamed.end()) text = named->second;
  const std::vector<absl::string_view> fields = absl::StrSplit(
      base::ToAbsl(text.substr(0, kMaxText)), absl::ByAnyChar(" \t"), absl::SkipEmpty());
  if (fields.size() != 5 || text.size() > kMaxText) {
    return absl::InvalidArgumentError(
        "a schedule: expected five fields, minute hour day month weekday (\"0 3 1 */3 *\": at "
        "03:00 UTC on the first day of every third month), or @hourly, @daily, @weekly, @monthly, "
        "@yearly (on a command line '\\@daily', as bao takes what follows an @ for a file)");
  }
  CronSchedule schedule;
  RETURN_IF_ERROR(ReadField(fields[0], kMinute, schedule.minutes_));
  RETURN_IF_ERROR(ReadField(fields[1], kHour, schedule.hours_));
  RETURN_IF_ERROR(ReadField(fields[2], kDay, schedule.days_));
  RETURN_IF_ERROR(ReadField(fields[3], kMonth, schedule.months_));
  RETURN_IF_ERROR(ReadField(fields[4], kWeekday, schedule.weekdays_));
  if (schedule.weekdays_[7]) schedule.weekdays_.set(0);
  schedule.any_day_ = fields[2].front() == '*';
  schedule.any_weekday_ = fields[4].front() == '*';
  if (!schedule.Find(absl::UnixEpoch()).has_value()) {
    return absl::InvalidArgumentError(
        "a schedule: no date ever matches its day of the month and month");
  }
  return schedule;
}

bool CronSchedule::MatchesDay(absl::CivilDay day) const {
  const bool in_month = days_[static_cast<std::size_t>(day.day())];
  // Abseil counts from Monday.
  const auto from_monday = static_cast<std::size_t>(absl::GetWeekday(day));
  const bool in_week = weekdays_[(from_monday + 1) % 7];
  return any_day_ || any_weekday_ ? in_month && in_week : in_month || in_week;
}

std::optional<absl::Time> CronSchedule::Find(absl::Time time) const {
  const absl::TimeZone utc = absl::UTCTimeZone();
  absl::CivilMinute minute = absl::ToCivilMinute(time, utc);
  const absl::CivilYear end = absl::CivilYear(minute) + kYearsAhead;
  for (++minute; absl::CivilYear(minute) <= end;) {
    if (!months_[static_cast<std::size_t>(minute.month())]) {
      minute = absl::CivilMinute(absl::CivilMonth(minute) + 1);
    } else if (!MatchesDay(absl::CivilDay(minute))) {
      minute = absl::CivilMinute(absl::CivilDay(minute) + 1);
    } else if (!hours_[static_cast<std::size_t>(minute.hour())]) {
      minute = absl::CivilMinute(absl::CivilHour(minute) + 1);
    } else if (!minutes_[static_cast<std::size_t>(minute.minute())]) {
      ++minute;
    } else {
      return absl::FromCivil(minute, utc);
    }
  }
  return std::nullopt;
}

absl::Time CronSchedule::Next(absl::Time time) const {
  return Find(time).value_or(absl::InfiniteFuture());
}

absl::Time CronSchedule::Last(absl::Time time) const {
  // Looks back over ever longer spans until one holds a time of the schedule: some span does, as no
  // two times of it are further apart than kYearsAhead.
  for (absl::Duration span = absl::Hours(1);; span *= 2) {
    absl::Time last = Next(time - span);
    if (last > time) continue;
    for (absl::Time next = Next(last); next <= time; next = Next(next)) last = next;
    return last;
  }
}

absl::Duration CronSchedule::LeastGap(absl::Time time) const {
  absl::Duration least = absl::InfiniteDuration();
  absl::Time at = Next(time);
  for (int i = 0; i < kGapsCompared; ++i) {
    const absl::Time next = Next(at);
    least = std::min(least, next - at);
    at = next;
  }
  return least;
}

}  // namespace mek
