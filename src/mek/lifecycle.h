// A key's life, after the key states of NIST SP 800-57 Part 1 Rev. 5, section 7: a key is made
// staged (pre-activation) or current (active), then retained (deactivated: it opens, and seals no
// more), retired (out of the readers' sets, archived), compromised, destroyed. Nothing here happens
// by a timer.
#ifndef MEK_LIFECYCLE_H_
#define MEK_LIFECYCLE_H_

#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "mek/record.h"

namespace mek {

enum class KeyState { kStaged, kCurrent, kRetained, kRetired, kCompromised, kDestroyed };
inline constexpr KeyState kKeyStates[] = {KeyState::kStaged,      KeyState::kCurrent,
                                          KeyState::kRetained,    KeyState::kRetired,
                                          KeyState::kCompromised, KeyState::kDestroyed};
// "staged", "current", …
std::string_view KeyStateName(KeyState state);

using KidTimes = std::map<std::string, absl::Time, std::less<>>;

// What is known of keys beside where they are, by kid, and since when.
struct KeyMarks {
  // What an operator has said. Both are final, and stay with the record.
  KidTimes compromised = {};
  KidTimes destroyed = {};
  // Keys of the record that came into both sets in another way than by being made: restored,
  // imported, put. Readers have them only since then.
  KidTimes added = {};
};

// Where a kid stands; nullopt for one that is neither in the record, marked, nor `archived`.
std::optional<KeyState> StateOf(std::string_view kid, const Record& record,
                                const std::optional<std::string>& staged_kid, const KeyMarks& marks,
                                bool archived);

enum class KeyAction { kRetire, kRestore, kCompromised, kDestroy };
inline constexpr KeyAction kKeyActions[] = {KeyAction::kRetire, KeyAction::kRestore,
                                            KeyAction::kCompromised, KeyAction::kDestroy};

// OK, or FAILED_PRECONDITION with the reason and what to do instead. `is_current`: the kid is the
// current one, whatever its state (a compromised key can be).
//
//   action       from                              to
//   retire       retained                          retired
//   restore      retired                           retained
//   compromised  staged current retained retired   compromised
//   destroy      retained retired compromised      destroyed      (never the current one)
absl::Status CheckKeyAction(KeyAction action, std::string_view kid, KeyState state,
                            bool is_current);

}  // namespace mek

#endif  // MEK_LIFECYCLE_H_
