#include "mek/activation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace mek {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

ActivationRules Rules() {
  return {.grace_period = absl::Hours(48),
          .required_acks = {"nvcf-api", "api-keys"},
          .activate_early = false,
          .reader_margin = absl::Minutes(30)};
}

Spread Complete() {
  return {.elapsed = absl::Hours(48),
          .acknowledged = {"api-keys", "another", "nvcf-api"},
          .readers = 3,
          .behind = 0,
          .all_fetched_for = absl::Minutes(30),
          .unknown_readers = false};
}

TEST(Activation, NeedsTheGracePeriodAndEveryAck) {
  EXPECT_TRUE(CheckActivation(Rules(), Complete()).ready);

  Spread early = Complete();
  early.elapsed = absl::Hours(45) - absl::Milliseconds(1);
  const ActivationState waiting = CheckActivation(Rules(), early);
  EXPECT_FALSE(waiting.ready);
  EXPECT_EQ(waiting.grace_left, absl::Hours(3) + absl::Milliseconds(1));
  EXPECT_THAT(waiting.waiting_for, ElementsAre("the grace period: 3h1s left"));

  Spread unheard = Complete();
  unheard.acknowledged = {"api-keys"};
  const ActivationState missing = CheckActivation(Rules(), unheard);
  EXPECT_FALSE(missing.ready);
  EXPECT_THAT(missing.missing_acks, ElementsAre("nvcf-api"));
  EXPECT_THAT(missing.waiting_for, ElementsAre("acknowledgement by nvcf-api"));

  unheard.elapsed = absl::ZeroDuration();
  EXPECT_EQ(CheckActivation(Rules(), unheard).waiting_for.size(), 2u);
}

TEST(Activation, IsEarlyOnlyWhereChosenAndEveryKnownReaderHasTheKey) {
  ActivationRules rules = Rules();
  Spread spread = Complete();
  spread.elapsed = absl::Hours(1);
  EXPECT_FALSE(CheckActivation(rules, spread).ready);
  rules.activate_early = true;
  EXPECT_TRUE(CheckActivation(rules, spread).ready);

  const struct {
    void (*change)(Spread&);
    const char* why;
  } kObstacles[] = {
      {[](Spread& s) { s.unknown_readers = true; }, "can't be told from others"},
      {[](Spread& s) { s.readers = 0; }, "no reader was seen yet"},
      {[](Spread& s) { s.behind = 1; }, "1 of 3 readers have not fetched"},
      {[](Spread& s) { s.all_fetched_for = absl::Minutes(30) - absl::Seconds(1); },
       "29m59s ago, and reader_margin is 30m"},
  };
  for (const auto& obstacle : kObstacles) {
    Spread blocked = spread;
    obstacle.change(blocked);
    const ActivationState state = CheckActivation(rules, blocked);
    EXPECT_FALSE(state.ready) << obstacle.why;
    EXPECT_THAT(state.waiting_for, ElementsAre(HasSubstr(obstacle.why)));
    // After the grace period none of it matters.
    blocked.elapsed = absl::Hours(48);
    EXPECT_TRUE(CheckActivation(rules, blocked).ready) << obstacle.why;
  }
  // Acknowledgements are needed however early.
  spread.acknowledged.clear();
  EXPECT_THAT(CheckActivation(rules, spread).waiting_for,
              ElementsAre("acknowledgement by nvcf-api, api-keys"));
}

TEST(Activation, DurationsReadAsPeopleWriteThem) {
  EXPECT_EQ(DurationText(absl::ZeroDuration()), "0s");
  EXPECT_EQ(DurationText(absl::Milliseconds(999)), "0s");
  EXPECT_EQ(DurationText(absl::Hours(48)), "48h");
  EXPECT_EQ(DurationText(absl::Seconds(3723)), "1h2m3s");
}

}  // namespace
}  // namespace mek
