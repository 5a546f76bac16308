#include "mek/lifecycle.h"

#include <algorithm>

#include "base/text.h"

namespace mek {
namespace {

using base::Cat;

absl::Status Conflict(std::string_view kid, std::string_view why) {
  return absl::FailedPreconditionError(Cat("kid ", kid, " ", why));
}

absl::Status CheckRetire(std::string_view kid, KeyState state) {
  switch (state) {
    case KeyState::kRetained:
      return absl::OkStatus();
    case KeyState::kCurrent:
      return Conflict(kid, "is current, and readers seal with it: rotate first, then retire it");
    case KeyState::kStaged:
      return Conflict(kid,
                      "is staged: activate it, or abandon it by a rollback to a version "
                      "before it, then it can be retired");
    case KeyState::kRetired:
      return Conflict(kid, "is retired already");
    case KeyState::kCompromised:
      return Conflict(kid,
                      "is compromised, which is final. It stays in the record so that what it "
                      "sealed can be sealed anew; then destroy it");
    case KeyState::kDestroyed:
      break;
  }
  return Conflict(kid, "is destroyed");
}

absl::Status CheckRestore(std::string_view kid, KeyState state) {
  switch (state) {
    case KeyState::kRetired:
      return absl::OkStatus();
    case KeyState::kCurrent:
    case KeyState::kStaged:
    case KeyState::kRetained:
      return Conflict(kid, Cat("is ", KeyStateName(state),
                               ", so it is in the record: there is nothing to restore"));
    case KeyState::kCompromised:
      return Conflict(kid, "is compromised, which is final: it does not come back to readers");
    case KeyState::kDestroyed:
      break;
  }
  return Conflict(kid, "is destroyed: its key no longer exists here");
}

absl::Status CheckCompromised(std::string_view kid, KeyState state) {
  switch (state) {
    case KeyState::kStaged:
    case KeyState::kCurrent:
    case KeyState::kRetained:
    case KeyState::kRetired:
      return absl::OkStatus();
    case KeyState::kCompromised:
      return Conflict(kid, "is marked as compromised already");
    case KeyState::kDestroyed:
      break;
  }
  return Conflict(kid, "is destroyed");
}

absl::Status CheckDestroy(std::string_view kid, KeyState state, bool is_current) {
  switch (is_current ? KeyState::kCurrent : state) {
    case KeyState::kRetained:
    case KeyState::kRetired:
    case KeyState::kCompromised:
      return absl::OkStatus();
    case KeyState::kStaged:
      return Conflict(kid,
                      "is staged and can't be destroyed: activate it, or abandon it by a "
                      "rollback to a version before it");
    case KeyState::kCurrent:
      return Conflict(kid, "is current and can't be destroyed: rotate first");
    case KeyState::kDestroyed:
      break;
  }
  return Conflict(kid, "is destroyed already");
}

}  // namespace

std::string_view KeyStateName(KeyState state) {
  switch (state) {
    case KeyState::kStaged:
      return "staged";
    case KeyState::kCurrent:
      return "current";
    case KeyState::kRetained:
      return "retained";
    case KeyState::kRetired:
      return "retired";
    case KeyState::kCompromised:
      return "compromised";
    case KeyState::kDestroyed:
      break;
  }
  return "destroyed";
}

std::optional<KeyState> StateOf(std::string_view kid, const Record& record,
                                const std::optional<std::string>& staged_kid, const KeyMarks& marks,
                                bool archived) {
  if (marks.destroyed.contains(kid)) return KeyState::kDestroyed;
  const bool in_record = record.HasKid(kid);
  if (!in_record && !archived) return std::nullopt;
  if (marks.compromised.contains(kid)) return KeyState::kCompromised;
  if (kid == record.current_kid()) return KeyState::kCurrent;
  if (staged_kid.has_value() && kid == *staged_kid) return KeyState::kStaged;
  return in_record ? KeyState::kRetained : KeyState::kRetired;
}

absl::Status CheckKeyAction(KeyAction action, std::string_view kid, KeyState state,
                            bool is_current) {
  switch (action) {
    case KeyAction::kRetire:
      return CheckRetire(kid, state);
    case KeyAction::kRestore:
      return CheckRestore(kid, state);
    case KeyAction::kCompromised:
      return CheckCompromised(kid, state);
    case KeyAction::kDestroy:
      break;
  }
  return CheckDestroy(kid, state, is_current);
}

}  // namespace mek
