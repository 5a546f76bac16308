#include "mek/schedule.h"

#include <algorithm>

namespace mek {
namespace {

// A time further ahead was written while the clock was wrong, and would stop all rotation until it
// comes. Smaller steps back must not serve a time twice.
constexpr absl::Duration kSaneLead = absl::Hours(24 * 366);

}  // namespace

RotationDue WhenToRotate(const RotationPlan& plan, const RotationPast& past, absl::Time now) {
  RotationDue result;
  if (plan.period > absl::ZeroDuration()) {
    const bool is_sane = past.newest_key <= now + kSaneLead;
    const absl::Time at = (is_sane ? past.newest_key : std::min(past.plan_set, now)) + plan.period;
    (at <= now ? result.due : result.next) = at;
    return result;
  }
  if (!plan.schedule.has_value()) return result;
  absl::Time served = std::min(past.plan_set, now);
  if (past.last_slot.has_value() && *past.last_slot <= now + kSaneLead) {
    served = std::max(served, *past.last_slot);
  }
  const absl::Time last = plan.schedule->Last(now);
  if (last > served) {
    const bool in_window = plan.window == absl::ZeroDuration() || now < last + plan.window;
    (in_window ? result.due : result.missed) = last;
  }
  if (!result.due.has_value()) result.next = plan.schedule->Next(std::max(now, served));
  return result;
}

}  // namespace mek
