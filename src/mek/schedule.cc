#include "mek/schedule.h"

#include <algorithm>

namespace mek {

RotationDue WhenToRotate(const RotationPlan& plan, const RotationPast& past, absl::Time now) {
  RotationDue result;
  if (plan.period > absl::ZeroDuration()) {
    const absl::Time at = past.newest_key + plan.period;
    (at <= now ? result.due : result.next) = at;
    return result;
  }
  if (!plan.schedule.has_value()) return result;
  const absl::Time served = std::max(past.plan_set, past.last_slot.value_or(past.plan_set));
  const std::optional<absl::Time> last = plan.schedule->Last(now);
  if (last.has_value() && *last > served) {
    const bool in_window = plan.window == absl::ZeroDuration() || now < *last + plan.window;
    (in_window ? result.due : result.missed) = last;
  }
  if (!result.due.has_value()) result.next = plan.schedule->Next(std::max(now, served));
  return result;
}

}  // namespace mek
