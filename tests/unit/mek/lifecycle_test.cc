#include "mek/lifecycle.h"

#include <gtest/gtest.h>

#include <iterator>
#include <map>
#include <string>

#include "support/status_matchers.h"
#include "unit/mek/samples.h"

namespace mek {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing_support::IsOk;
using ::testing_support::StatusIs;

// Every action in every state: "" if it is allowed, else what the refusal says.
TEST(Lifecycle, EveryTransitionIsAllowedOrRefused) {
  const std::map<KeyAction, std::map<KeyState, std::string>> kTable{
      {KeyAction::kRetire,
       {{KeyState::kStaged, "is staged: activate it, or abandon it"},
        {KeyState::kCurrent, "rotate first"},
        {KeyState::kRetained, ""},
        {KeyState::kRetired, "is retired already"},
        {KeyState::kCompromised, "final"},
        {KeyState::kDestroyed, "is destroyed"}}},
      {KeyAction::kRestore,
       {{KeyState::kStaged, "is staged, so it is in the record"},
        {KeyState::kCurrent, "is current, so it is in the record"},
        {KeyState::kRetained, "is retained, so it is in the record"},
        {KeyState::kRetired, ""},
        {KeyState::kCompromised, "final"},
        {KeyState::kDestroyed, "no longer exists"}}},
      {KeyAction::kCompromised,
       {{KeyState::kStaged, ""},
        {KeyState::kCurrent, ""},
        {KeyState::kRetained, ""},
        {KeyState::kRetired, ""},
        {KeyState::kCompromised, "already"},
        {KeyState::kDestroyed, "is destroyed"}}},
      {KeyAction::kDestroy,
       {{KeyState::kStaged, "is staged and can't be destroyed"},
        {KeyState::kCurrent, "is current and can't be destroyed: rotate first"},
        {KeyState::kRetained, ""},
        {KeyState::kRetired, ""},
        {KeyState::kCompromised, ""},
        {KeyState::kDestroyed, "is destroyed already"}}}};
  for (const KeyAction action : kKeyActions) {
    for (const KeyState state : kKeyStates) {
      const std::string& refusal = kTable.at(action).at(state);
      const absl::Status checked =
          CheckKeyAction(action, "kid-1", state, state == KeyState::kCurrent);
      if (refusal.empty()) {
        EXPECT_THAT(checked, IsOk()) << KeyStateName(state);
      } else {
        EXPECT_THAT(checked, StatusIs(absl::StatusCode::kFailedPrecondition,
                                      AllOf(HasSubstr("kid kid-1"), HasSubstr(refusal))))
            << KeyStateName(state);
      }
    }
  }
}

// As a newer writer's would be.
TEST(Lifecycle, AStateOrActionThatIsNoneAllowsNothing) {
  const auto no_state = static_cast<KeyState>(std::size(kKeyStates));
  const auto no_action = static_cast<KeyAction>(std::size(kKeyActions));
  for (const KeyAction action : {KeyAction::kRetire, KeyAction::kRestore, KeyAction::kCompromised,
                                 KeyAction::kDestroy, no_action}) {
    EXPECT_THAT(CheckKeyAction(action, "k", no_state, false),
                StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("kid k is destroyed")));
  }
  EXPECT_THAT(CheckKeyAction(no_action, "k", KeyState::kCurrent, true),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("rotate first")));
  EXPECT_EQ(KeyStateName(no_state), "destroyed");
}

TEST(Lifecycle, ACompromisedCurrentKeyIsNotDestroyed) {
  EXPECT_THAT(CheckKeyAction(KeyAction::kDestroy, "k", KeyState::kCompromised, true),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("rotate first")));
}

TEST(Lifecycle, AStateFollowsFromRecordArchiveAndMarks) {
  const Record record = *Stage(TwoKeys(), MakeNewKey(kNewKid, 5, 15));
  const std::string current = record.current_kid();
  const std::string other(kOldKid);
  const std::optional<std::string> staged = std::string(kNewKid);
  KeyMarks marks;
  const auto state = [&](std::string_view kid, bool archived = false) {
    return StateOf(kid, record, staged, marks, archived);
  };
  EXPECT_EQ(state(current), KeyState::kCurrent);
  EXPECT_EQ(state(kNewKid), KeyState::kStaged);
  EXPECT_EQ(state(other), KeyState::kRetained);
  EXPECT_EQ(state(other, true), KeyState::kRetained);
  EXPECT_EQ(state("gone", true), KeyState::kRetired);
  EXPECT_EQ(state("gone"), std::nullopt);
  EXPECT_EQ(StateOf(kNewKid, record, std::nullopt, marks, false), KeyState::kRetained);
  for (const std::string& kid : {current, std::string(kNewKid), other}) {
    marks.compromised.emplace(kid, kNow);
    EXPECT_EQ(state(kid), KeyState::kCompromised);
  }
  marks.compromised.emplace("gone", kNow);
  EXPECT_EQ(state("gone", true), KeyState::kCompromised);
  marks.destroyed.emplace("gone", kNow);
  EXPECT_EQ(state("gone"), KeyState::kDestroyed);
  EXPECT_EQ(state("gone", true), KeyState::kDestroyed);
}

TEST(Lifecycle, StatesHaveTheirNames) {
  std::string names;
  for (const KeyState state : kKeyStates) names += std::string(KeyStateName(state)) + " ";
  EXPECT_EQ(names, "staged current retained retired compromised destroyed ");
}

}  // namespace
}  // namespace mek
