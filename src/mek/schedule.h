// When the Master Encryption Key is rotated by itself. Pure: times come in, a decision comes out.
#ifndef MEK_SCHEDULE_H_
#define MEK_SCHEDULE_H_

#include <optional>

#include "absl/time/time.h"
#include "mek/cron.h"

namespace mek {

// What the configuration asks for: a bound on the newest key's age (transit's auto_rotate_period),
// or times of the calendar with a window after each, or neither.
struct RotationPlan {
  absl::Duration period = absl::ZeroDuration();  // zero: none
  std::optional<CronSchedule> schedule = std::nullopt;
  absl::Duration window = absl::ZeroDuration();  // zero: a time stays due until the next one
};

// What the record remembers.
struct RotationPast {
  absl::Time newest_key;                // when the newest key was made, whoever asked for it
  std::optional<absl::Time> last_slot;  // the time of the schedule that was last served
  absl::Time plan_set;                  // no earlier time of the schedule counts
};

struct RotationDue {
  std::optional<absl::Time> due;     // it is time: the moment that is being served
  std::optional<absl::Time> missed;  // the last time of the schedule went by, its window too
  std::optional<absl::Time> next;    // otherwise, when it will be time
};

// Times more than a year ahead of `now` are not believed. A period runs from the newest key, so a
// manual rotation begins it anew. A time of the calendar is served once, however many manual
// rotations there are, and a manual rotation takes none away but one that was missed or
// at which the automatic one fails. Several missed times are served by one rotation.
RotationDue WhenToRotate(const RotationPlan& plan, const RotationPast& past, absl::Time now);

}  // namespace mek

#endif  // MEK_SCHEDULE_H_
