// Key ids: which are safe in the readers' templates, and the time in those that are UUID version 1.
#ifndef MEK_KID_H_
#define MEK_KID_H_

#include <optional>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/random.h"

namespace mek {

// What IsValidKid accepts, for error messages.
inline constexpr std::string_view kKidRule =
    "a string of 1 to 128 of the characters A-Z a-z 0-9 . _ - and neither \".\" nor \"..\"";

// [A-Za-z0-9._-]{1,128}, not "." or "..": the readers' templates put kids into JSON unescaped, and
// ours are storage path segments.
bool IsValidKid(std::string_view kid);

// The time in a UUID version 1 (RFC 9562 section 5.1), to 100 ns. As in ESS, letter case, variant
// and node are not looked at. nullopt if `kid` is not the 36-character form of a version 1.
std::optional<absl::Time> UuidV1Time(std::string_view kid);

// A kid for a message: itself, or its length where it is longer than a UUID. The text of a 256-bit
// key is longer too, and may have been put in a kid's place by mistake.
std::string ShownKid(std::string_view kid);

// A UUIDv1 whose time is `now`, or 1 ms after `latest_known` if that is later; with a random clock
// sequence and a random node id with the multicast bit (RFC 9562 section 6.10). FAILED_PRECONDITION
// if a UUIDv1 can't hold the time, INTERNAL if the random source fails or gives the same byte only.
absl::StatusOr<std::string> NewKid(absl::Time now, std::optional<absl::Time> latest_known,
                                   base::Random& random);

}  // namespace mek

#endif  // MEK_KID_H_
