// Each alarm of plugin/deploy/README.md ("What to watch") goes off in the state that it is for.
// What other hands do to a KV secret is in kv_home_test.cc.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "absl/strings/match.h"
#include "absl/time/time.h"
#include "support/status_matchers.h"
#include "support/test_mount.h"

namespace testing_support {
namespace {

using base::Json;
using openbao::Operation;
using ::testing::AllOf;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

class Alarms : public ::testing::Test {
 protected:
  void SetUp() override { ASSERT_THAT(mount_.Write("init"), IsOk()); }
  void Config(Json settings) { ASSERT_THAT(mount_.Write("config", std::move(settings)), IsOk()); }
  void Stage() { ASSERT_THAT(mount_.Write("rotate", Json{{"activation", "staged"}}), IsOk()); }
  Json Status() { return *mount_.Read("status"); }
  std::string Shown(const char* field) {
    return std::string(Status().at(field).get_ref<const base::JsonString&>());
  }
  // How long ago a field's time was.
  absl::Duration Ago(const char* field) {
    absl::Time time;
    std::string error;
    EXPECT_TRUE(absl::ParseTime(absl::RFC3339_full, Shown(field), &time, &error)) << error;
    return mount_.clock().Now() - time;
  }
  // Writes of versions fail from now on.
  void FailWrites() {
    mount_.storage().set_plan([](const FakeStorage::Call& call) {
      return call.name == "put" && absl::StartsWith(call.key, "versions/") ? Fault::kErrorBefore
                                                                           : Fault::kNone;
    });
  }

  TestMount mount_;  // its clock begins on Friday 2027-01-15 at 08:00
};

TEST_F(Alarms, ARotationThatFailsIsOverdueAndSaysWhyAndWhenItIsTriedAgain) {
  Config({{"auto_rotate_period", "24h"}});
  mount_.random().set_fail(true);
  mount_.clock().Advance(absl::Hours(24));
  EXPECT_EQ(Shown("phase"), "overdue");
  EXPECT_EQ(Shown("next_step"), "a rotation is due, and begins within a minute");
  mount_.Run(absl::Hours(2));
  EXPECT_THAT(Shown("automatic_failure"), HasSubstr("random source"));
  EXPECT_EQ(Shown("phase"), "overdue");
  EXPECT_GT(Ago("next_step_time"), absl::Hours(1));
  EXPECT_THAT(
      Shown("next_step"),
      AllOf(HasSubstr("a rotation is due"), HasSubstr("automatic rotation has failed 7 times"),
            HasSubstr("tried again within an hour"), HasSubstr(Shown("automatic_failure"))));
  EXPECT_THAT((*mount_.Call(Operation::kRead, "status"))->warnings,
              Not(Contains(HasSubstr("has failed"))));
}

TEST_F(Alarms, AMissedTimeIsOverdueAndSaysWhichAndWhatToDo) {
  Config({{"rotation_schedule", "0 3 * * *"}, {"rotation_window", "2h"}});
  mount_.clock().Advance(absl::Hours(21));
  mount_.Run(absl::Hours(2));
  EXPECT_EQ(Shown("phase"), "overdue");
  EXPECT_THAT(Shown("next_step"),
              AllOf(HasSubstr("2027-01-16T03:00:00"), HasSubstr("rotation_window is over"),
                    HasSubstr("write rotate")));
}

TEST_F(Alarms, AStagedKeyThatWaitsForAnAcknowledgementIsStagedLongerThanTheGracePeriod) {
  Config({{"grace_period", "24h"}, {"required_acks", "api-keys"}});
  Stage();
  mount_.Run(absl::Hours(24));
  EXPECT_EQ(Status().at("missing_acks"), Json::array({"api-keys"}));
  mount_.Run(absl::Hours(1) + absl::Minutes(1));
  EXPECT_EQ(Shown("phase"), "staged");
  EXPECT_GT(Ago("staged_time"), absl::Hours(25));
  EXPECT_THAT(Shown("waiting_for"), HasSubstr("api-keys"));
}

TEST_F(Alarms, AStagedKeyWhoseActivationFailsIsStagedLongerThanTheGracePeriod) {
  Config({{"grace_period", "24h"}});
  Stage();
  mount_.Run(absl::Hours(24) - absl::Minutes(1));
  FailWrites();
  mount_.Run(absl::Hours(1) + absl::Minutes(2));
  EXPECT_EQ(Shown("phase"), "staged");
  EXPECT_GT(Ago("staged_time"), absl::Hours(25));
  EXPECT_THAT(Shown("automatic_failure"), HasSubstr("storage failed"));
  EXPECT_THAT(
      Shown("next_step"),
      AllOf(HasSubstr("may become current"), HasSubstr("automatic activation has failed"),
            HasSubstr("tried again within an hour"), HasSubstr(Shown("automatic_failure"))));
}

TEST_F(Alarms, ARotationThatFailedSaysNothingOfAnActivation) {
  Config({{"auto_rotate_period", "24h"}, {"grace_period", "1m"}});
  mount_.random().set_fail(true);
  mount_.clock().Advance(absl::Hours(24));
  mount_.Run(absl::Hours(2));
  mount_.random().set_fail(false);
  Stage();
  mount_.clock().Advance(absl::Minutes(1));
  EXPECT_EQ(Shown("next_step"), "the staged key becomes current within a minute");
  EXPECT_THAT((*mount_.Call(Operation::kRead, "status"))->warnings,
              Contains(HasSubstr("automatic rotation has failed")));
  // Nor does it wait for the next attempt at a rotation.
  mount_.Run(absl::Minutes(1));
  EXPECT_EQ(Shown("last_operation"), "activate");
}

TEST_F(Alarms, AReaderThatDoesNotFetchIsBehind) {
  mount_.Record();
  mount_.clock().Advance(absl::Minutes(1));
  ASSERT_THAT(mount_.Write("rotate"), IsOk());
  mount_.Run(absl::Minutes(31));
  EXPECT_GT(Ago("last_change_time"), absl::Minutes(30));
  EXPECT_EQ(Status().at("readers_behind"), 1u);
  EXPECT_EQ(Status().at("behind").size(), 1u);
  mount_.Record();
  EXPECT_EQ(Status().at("readers_behind"), 0u);
}

TEST_F(Alarms, AReaderThatIsGoneIsCountedNoMore) {
  mount_.Record();
  EXPECT_EQ(Status().at("readers"), 1u);
  mount_.Run(absl::Hours(25));
  EXPECT_EQ(Status().at("readers"), 0u);
}

TEST_F(Alarms, ARecordThatIsGoneFromStorageIsEmpty) {
  EXPECT_NE(Shown("phase"), "empty");
  for (const auto& [key, value] : mount_.storage().content()) mount_.storage().Erase(key);
  mount_.Restart();
  EXPECT_EQ(Shown("phase"), "empty");
}

TEST_F(Alarms, ADamagedRecordIsAnErrorOfStatus) {
  ASSERT_THAT(mount_.Write("rotate"), IsOk());
  mount_.storage().Set("versions/0000000002", "x");
  mount_.Restart();
  EXPECT_THAT(mount_.Read("status"),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("version 2 is damaged")));
}

TEST_F(Alarms, ThereAreWarningsOnlyWhereThereIsSomethingToDo) {
  EXPECT_THAT((*mount_.Call(Operation::kRead, "status"))->warnings, IsEmpty());
  ASSERT_THAT(mount_.Write("keys/" + Shown("current_kid") + "/compromised"), IsOk());
  EXPECT_THAT((*mount_.Call(Operation::kRead, "status"))->warnings, Not(IsEmpty()));
}

}  // namespace
}  // namespace testing_support
