// Rotation by itself, by age and by the calendar.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/text.h"
#include "support/status_matchers.h"
#include "support/test_mount.h"

namespace testing_support {
namespace {

using base::Json;
using openbao::Operation;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

std::string Text(const Json& value) {
  return std::string(value.get_ref<const base::JsonString&>());
}

class Schedule : public ::testing::Test {
 protected:
  void SetUp() override { ASSERT_THAT(mount_.Write("init"), IsOk()); }
  void Config(Json settings) { ASSERT_THAT(mount_.Write("config", std::move(settings)), IsOk()); }
  TestMount mount_;  // its clock begins on Friday 2027-01-15 at 08:00
};

TEST_F(Schedule, RotatesWhenTheNewestKeyIsOfAge) {
  Config({{"auto_rotate_period", "24h"}});
  EXPECT_EQ(Text(mount_.Read("status")->at("next_rotation_time")),
            "2027-01-16T08:00:00.000000000Z");
  mount_.Run(absl::Hours(24) - absl::Minutes(1));
  EXPECT_EQ(mount_.LiveVersion(), 1u);
  mount_.Run(absl::Minutes(1));
  EXPECT_EQ(mount_.LiveVersion(), 2u);
  EXPECT_THAT(Text(mount_.Read("versions/2")->at("reason")),
              HasSubstr("automatic: the newest key is older than auto_rotate_period 24h"));
  mount_.Run(absl::Hours(72));
  EXPECT_EQ(mount_.LiveVersion(), 5u);
}

TEST_F(Schedule, AManualRotationBeginsThePeriodAnew) {
  Config({{"auto_rotate_period", "24h"}});
  mount_.Run(absl::Hours(20));
  ASSERT_THAT(mount_.Write("rotate"), IsOk());
  mount_.Run(absl::Hours(24) - absl::Minutes(1));
  EXPECT_EQ(mount_.LiveVersion(), 2u);
  mount_.Run(absl::Minutes(2));
  EXPECT_EQ(mount_.LiveVersion(), 3u);
}

TEST_F(Schedule, RotatesOnceAtEachTimeOfTheCalendar) {
  Config({{"rotation_schedule", "0 3 * * *"}});
  mount_.Run(absl::Hours(19) - absl::Minutes(1));
  EXPECT_EQ(mount_.LiveVersion(), 1u);
  mount_.Run(absl::Minutes(1));
  EXPECT_EQ(mount_.LiveVersion(), 2u);
  EXPECT_THAT(Text(mount_.Read("versions/2")->at("reason")),
              HasSubstr("rotation_schedule, 2027-01-16T03:00:00"));
  mount_.Restart();  // as after a change of leader
  mount_.Run(absl::Hours(23));
  EXPECT_EQ(mount_.LiveVersion(), 2u);
  mount_.Run(absl::Hours(1));
  EXPECT_EQ(mount_.LiveVersion(), 3u);
}

TEST_F(Schedule, AManualRotationLeavesTheCalendarAsItIs) {
  Config({{"rotation_schedule", "0 3 * * *"}});
  mount_.Run(absl::Hours(18));
  ASSERT_THAT(mount_.Write("rotate"), IsOk());
  mount_.Run(absl::Hours(1));
  EXPECT_EQ(mount_.LiveVersion(), 3u);
}

TEST_F(Schedule, MissedTimesAreMadeUpForByOneRotation) {
  Config({{"rotation_schedule", "0 3 * * *"}});
  mount_.clock().Advance(absl::Hours(100));
  mount_.Run(absl::Hours(2));
  EXPECT_EQ(mount_.LiveVersion(), 2u);
}

TEST_F(Schedule, AfterItsWindowATimeIsMissedAndSaidOnce) {
  Config({{"rotation_schedule", "0 3 * * *"}, {"rotation_window", "2h"}});
  mount_.clock().Advance(absl::Hours(21));  // 05:00
  mount_.Run(absl::Minutes(10));
  EXPECT_EQ(mount_.LiveVersion(), 1u);
  EXPECT_EQ(Text(mount_.Read("status")->at("phase")), "overdue");
  const std::string log = mount_.log().text();
  const std::size_t said = log.find("a scheduled rotation was missed");
  ASSERT_NE(said, std::string::npos);
  EXPECT_EQ(log.find("a scheduled rotation was missed", said + 1), std::string::npos);
  mount_.Run(absl::Hours(22));
  EXPECT_EQ(mount_.LiveVersion(), 2u);
}

TEST_F(Schedule, AManualRotationMakesUpForAMissedTime) {
  for (const char* activation : {"immediate", "staged"}) {
    SCOPED_TRACE(activation);
    Config({{"rotation_schedule", "0 3 * * *"}, {"rotation_window", "2h"}});
    mount_.clock().Advance(absl::Hours(24));  // past 05:00
    mount_.Run(absl::Minutes(1));
    ASSERT_EQ(Text(mount_.Read("status")->at("phase")), "overdue");
    const std::string next = Text(mount_.Read("status")->at("next_rotation_time"));
    ASSERT_THAT(mount_.Write("rotate", Json{{"activation", activation}}), IsOk());
    if (std::string_view(activation) == "staged") {
      ASSERT_THAT(mount_.Write("activate", Json{{"force", true}}), IsOk());
    }
    EXPECT_EQ(Text(mount_.Read("status")->at("phase")), "propagating");
    // The next time is not taken away.
    EXPECT_EQ(Text(mount_.Read("status")->at("next_rotation_time")), next);
    const std::uint64_t version = mount_.LiveVersion();
    mount_.Run(absl::Hours(24));
    EXPECT_EQ(mount_.LiveVersion(), version + 1);
    EXPECT_THAT(Text(mount_.Read(absl::StrCat("versions/", version + 1))->at("reason")),
                HasSubstr("automatic: rotation_schedule"));
  }
}

TEST_F(Schedule, AManualRotationMakesUpForATimeAtWhichTheAutomaticOneFails) {
  Config({{"rotation_schedule", "0 3 * * *"}});
  mount_.Run(absl::Hours(19) - absl::Minutes(1));
  mount_.random().set_fail(true);
  mount_.Run(absl::Hours(1));
  ASSERT_EQ(Text(mount_.Read("status")->at("phase")), "overdue");
  mount_.random().set_fail(false);
  ASSERT_THAT(mount_.Write("rotate"), IsOk());
  EXPECT_EQ(Text(mount_.Read("status")->at("phase")), "propagating");
  EXPECT_EQ(Text(mount_.Read("status")->at("next_rotation_time")),
            "2027-01-17T03:00:00.000000000Z");
  mount_.Run(absl::Hours(2));
  EXPECT_EQ(mount_.LiveVersion(), 2u);
  mount_.Run(absl::Hours(22));
  EXPECT_EQ(mount_.LiveVersion(), 3u);
}

// The engine is about to serve it: that is what was agreed with others.
TEST_F(Schedule, AManualRotationLeavesATimeThatIsDueToTheEngine) {
  Config({{"rotation_schedule", "0 3 * * *"}});
  mount_.clock().Advance(absl::Hours(20));
  ASSERT_THAT(mount_.Write("rotate"), IsOk());
  mount_.Run(absl::Minutes(1));
  EXPECT_EQ(mount_.LiveVersion(), 3u);
}

TEST_F(Schedule, SkipsWhileAKeyIsStaged) {
  Config({{"rotation_schedule", "0 3 * * *"}, {"grace_period", "23h"}, {"activation", "staged"}});
  mount_.Run(absl::Hours(19));  // 03:00: staged
  EXPECT_NE(Text(mount_.Read("status")->at("staged_kid")), "");
  Config({{"grace_period", "30h"}, {"activation", "immediate"}});
  mount_.Run(absl::Hours(24));  // 03:00 the next day: skipped
  EXPECT_EQ(mount_.LiveVersion(), 2u);
  mount_.Run(absl::Hours(6));  // activated at 09:00; the skipped time is not made up for
  EXPECT_EQ(mount_.LiveVersion(), 3u);
  EXPECT_EQ(Text(mount_.Read("versions/3")->at("operation")), "activate");
  mount_.Run(absl::Hours(17));
  EXPECT_EQ(mount_.LiveVersion(), 3u);
  mount_.Run(absl::Hours(1));  // 03:00
  EXPECT_EQ(mount_.LiveVersion(), 4u);
}

TEST_F(Schedule, AFailureIsShownAndTriedAgainLaterEachTime) {
  Config({{"auto_rotate_period", "24h"}});
  mount_.Run(absl::Hours(24) - absl::Minutes(1));
  mount_.random().set_fail(true);
  mount_.Run(absl::Minutes(60));
  EXPECT_EQ(mount_.LiveVersion(), 1u);
  const auto status = mount_.Call(Operation::kRead, "status");
  EXPECT_EQ(Text((*status)->data.at("phase")), "overdue");
  EXPECT_THAT(Text((*status)->data.at("automatic_failure")), HasSubstr("random source"));
  // At minutes 1, 2, 4, 8, 16, 32 of the hour.
  EXPECT_THAT(Text((*status)->data.at("next_step")), HasSubstr("has failed 6 times"));
  mount_.random().set_fail(false);
  mount_.Run(absl::Minutes(60));
  EXPECT_EQ(mount_.LiveVersion(), 2u);
  EXPECT_FALSE(mount_.Read("status")->contains("automatic_failure"));
}

TEST_F(Schedule, WritingTheSamePlanAgainTakesNoDueTimeAway) {
  const Json plan{{"rotation_schedule", "0 3 * * *"}, {"rotation_window", "2h"}};
  Config(plan);
  mount_.Run(absl::Hours(19) - absl::Minutes(1));
  mount_.random().set_fail(true);
  mount_.Run(absl::Minutes(10));
  ASSERT_EQ(mount_.LiveVersion(), 1u);
  Config(plan);
  Config({{"rotation_window", "4h"}});
  Config({{"auto_rotate_period", 0}});
  EXPECT_EQ(Text(mount_.Read("status")->at("phase")), "overdue");
  mount_.random().set_fail(false);
  mount_.Run(absl::Hours(1));
  EXPECT_EQ(mount_.LiveVersion(), 2u);
}

TEST_F(Schedule, AWiderWindowTakesATimeThatWasMissed) {
  Config({{"rotation_schedule", "0 3 * * *"}, {"rotation_window", "2h"}});
  mount_.clock().Advance(absl::Hours(22));
  mount_.Run(absl::Minutes(1));
  ASSERT_EQ(mount_.LiveVersion(), 1u);
  const auto written = mount_.Call(Operation::kUpdate, "config", Json{{"rotation_window", "6h"}});
  ASSERT_THAT(written, IsOk());
  EXPECT_THAT((*written)->warnings, ElementsAre(HasSubstr("begins within a minute")));
  // It was due already.
  const auto again = mount_.Call(Operation::kUpdate, "config", Json{{"rotation_window", "8h"}});
  EXPECT_THAT((*again)->warnings, IsEmpty());
  mount_.Run(absl::Minutes(1));
  EXPECT_EQ(mount_.LiveVersion(), 2u);
}

TEST_F(Schedule, NoRotationIsAnnouncedWhileAKeyIsStaged) {
  ASSERT_THAT(mount_.Write("rotate", Json{{"activation", "staged"}}), IsOk());
  mount_.clock().Advance(absl::Hours(2));
  const auto written =
      mount_.Call(Operation::kUpdate, "config", Json{{"auto_rotate_period", "1h"}});
  ASSERT_THAT(written, IsOk());
  EXPECT_THAT((*written)->warnings, IsEmpty());
}

TEST_F(Schedule, ANewPlanServesNoTimeBeforeIt) {
  Config({{"rotation_schedule", "0 3 * * *"}});
  mount_.clock().Advance(absl::Hours(20));
  Config({{"rotation_schedule", "0 2 * * *"}});
  mount_.Run(absl::Hours(1));
  EXPECT_EQ(mount_.LiveVersion(), 1u);
}

TEST_F(Schedule, APlanThatWasSetInTheFutureCountsOnceItIsWrittenAgain) {
  mount_.clock().Step(absl::Hours(24 * 3650));
  Config({{"rotation_schedule", "0 3 * * *"}});
  mount_.clock().Step(-absl::Hours(24 * 3650));
  Config({{"rotation_schedule", "0 3 * * *"}});
  mount_.Run(absl::Hours(20));
  EXPECT_EQ(mount_.LiveVersion(), 2u);
}

TEST_F(Schedule, AbandoningAStagedKeyRotatesNothing) {
  Config({{"rotation_schedule", "0 3 * * *"}, {"grace_period", "23h"}, {"activation", "staged"}});
  ASSERT_THAT(mount_.Write("rotate"), IsOk());
  mount_.Run(absl::Hours(20));  // past 03:00
  EXPECT_EQ(Text(mount_.Read("status")->at("next_rotation_time")), "");
  ASSERT_THAT(mount_.Write("rollback", Json{{"version", 1}}), IsOk());
  mount_.Run(absl::Hours(1));
  EXPECT_EQ(mount_.LiveVersion(), 3u);
  EXPECT_EQ(Text(mount_.Read("status")->at("next_rotation_time")),
            "2027-01-17T03:00:00.000000000Z");
}

TEST_F(Schedule, AFailureIsForgottenWhenNothingIsDueAnyMore) {
  Config({{"auto_rotate_period", "24h"}});
  mount_.random().set_fail(true);
  mount_.Run(absl::Hours(24));
  EXPECT_TRUE(mount_.Read("status")->contains("automatic_failure"));
  mount_.random().set_fail(false);
  ASSERT_THAT(mount_.Write("rotate"), IsOk());
  mount_.Run(absl::Minutes(1));
  EXPECT_FALSE(mount_.Read("status")->contains("automatic_failure"));
  EXPECT_EQ(mount_.LiveVersion(), 2u);
}

TEST_F(Schedule, AClockThatWasTenYearsAheadStopsNoRotation) {
  const absl::Duration kAhead = absl::Hours(24 * 3650);
  Config({{"rotation_schedule", "0 3 * * *"}});
  mount_.clock().Step(kAhead);
  mount_.Run(absl::Hours(24));  // one for all the times that seem to be missed, one at 03:00
  ASSERT_EQ(mount_.LiveVersion(), 3u);
  mount_.clock().Step(-kAhead);
  mount_.Run(absl::Hours(24));  // the time before, which was not served in truth, and the next
  EXPECT_EQ(mount_.LiveVersion(), 5u);
}

TEST_F(Schedule, ALostAnswerMakesNoSecondRotation) {
  Config({{"auto_rotate_period", "24h"}});
  mount_.Run(absl::Hours(24) - absl::Minutes(1));
  bool once = true;
  mount_.storage().set_plan([&](const FakeStorage::Call& call) {
    const bool hit = once && call.name == "put" && absl::StartsWith(call.key, "versions/");
    if (hit) once = false;
    return hit ? Fault::kLostAfter : Fault::kNone;
  });
  mount_.Run(absl::Hours(2));
  EXPECT_EQ(mount_.LiveVersion(), 2u);
  EXPECT_FALSE(mount_.Read("status")->contains("automatic_failure"));
}

TEST_F(Schedule, SettingsThatDoNotGoTogetherAreRefused) {
  const auto content = mount_.storage().content();
  const struct {
    Json settings;
    const char* message;
  } kCases[] = {
      {{{"auto_rotate_period", "24h"}, {"rotation_schedule", "@daily"}}, "both set"},
      {{{"auto_rotate_period", "59m"}}, "1h or more"},
      {{{"rotation_schedule", "*/5 * * * *"}}, "1h or more"},
      {{{"rotation_schedule", "61 * * * *"}}, "rotation_schedule: the minute"},
      {{{"rotation_window", "2h"}}, "beside a rotation_schedule"},
      {{{"rotation_schedule", "@daily"}, {"rotation_window", "10m"}}, "1h or more beside"},
      {{{"auto_rotate_period", "48h"}, {"activation", "staged"}}, "longer than the grace_period"},
      {{{"rotation_schedule", "@daily"}, {"activation", "staged"}}, "longer than the grace_period"},
      {{{"required_acks", "a b"}}, "names of consumers"},
      {{{"max_versions", 1}}, "2 to 10000"},
      {{{"max_versions", 10001}}, "2 to 10000"},
      {{{"reader_timeout", 0}}, "reader_timeout: expected 10m or more"},
      {{{"activate_early", true}, {"reader_margin", "24h"}}, "less than reader_timeout"},
      {{{"activation", "later"}}, "one of immediate, staged"},
  };
  for (const auto& test : kCases) {
    EXPECT_THAT(mount_.Write("config", test.settings),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(test.message)));
  }
  EXPECT_EQ(mount_.storage().content(), content);
}

TEST_F(Schedule, SettingsSurviveARestart) {
  Config({{"activation", "staged"},
          {"grace_period", "36h"},
          {"required_acks", "nvcf-api,api-keys"},
          {"activate_early", true},
          {"reader_margin", "10m"},
          {"reader_timeout", "12h"},
          {"rotation_schedule", "0 3 1 * *"},
          {"rotation_window", "4h"},
          {"max_versions", 50},
          {"private_jwks", "mirror"}});
  const Json before = *mount_.Read("config");
  EXPECT_EQ(before.at("required_acks"), Json::array({"nvcf-api", "api-keys"}));
  mount_.Restart();
  EXPECT_EQ(*mount_.Read("config"), before);
}

}  // namespace
}  // namespace testing_support
