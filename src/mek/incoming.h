// Rules for what comes from outside, beyond a record's own: a record that is brought in, and free
// text beside it. What is known already may stay as it is.
#ifndef MEK_INCOMING_H_
#define MEK_INCOMING_H_

#include <set>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "mek/record.h"

namespace mek {

// How far ahead of our clock the time of a kid that comes in may be. Every later kid must be later
// still, so one in the far future would leave none to make.
inline constexpr absl::Duration kMaxKidLead = absl::Hours(24 * 365);

// True if `text` contains a key of `record`, or its beginning: base64url or hex, 16 characters or
// more.
bool ShowsKey(std::string_view text, const Record& record);

// INVALID_ARGUMENT if one of `unknown`, kids of `incoming` never seen before, has a time more than
// kMaxKidLead after `now`, or shows a key of the record. Messages show no such kid.
absl::Status CheckIncoming(const Record& incoming, const std::set<std::string>& unknown,
                           absl::Time now);

}  // namespace mek

#endif  // MEK_INCOMING_H_
