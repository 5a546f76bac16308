#include "mek/kid.h"

#include <gtest/gtest.h>

#include <string>

#include "support/fakes.h"
#include "support/status_matchers.h"
#include "unit/mek/samples.h"

namespace mek {
namespace {

TEST(ShownKid, NeverShowsATextAsLongAsAKey) {
  EXPECT_EQ(ShownKid("6aa44e80-fb25-11f0-b358-d9f191b7584a"),
            "6aa44e80-fb25-11f0-b358-d9f191b7584a");
  EXPECT_EQ(ShownKid("legacy-2024.a_1"), "legacy-2024.a_1");
  EXPECT_EQ(ShownKid(std::string(43, 'k')), "(of 43 characters)");
  EXPECT_EQ(ShownKid(std::string(37, 'k')), "(of 37 characters)");
}

using ::testing::HasSubstr;
using ::testing::MatchesRegex;
using ::testing_support::SeededRandom;
using ::testing_support::StatusIs;

absl::Time Utc(std::string_view text) {
  absl::Time time;
  std::string error;
  EXPECT_TRUE(absl::ParseTime(absl::RFC3339_full, std::string(text), &time, &error)) << error;
  return time;
}

TEST(IsValidKid, AcceptsWhatTemplatesAndPathsCanHold) {
  for (const std::string& good : {std::string(kOldKid), std::string("legacy-2024.a_1"),
                                  std::string("..."), std::string("0"), std::string(128, 'Z')}) {
    EXPECT_TRUE(IsValidKid(good)) << good;
  }
  for (const std::string& bad :
       {std::string(), std::string("."), std::string(".."), std::string(129, 'a'),
        std::string("a/b"), std::string("a\"b"), std::string("a b"), std::string("a\nb"),
        std::string("\xc3\xa9"), std::string("a\0", 2)}) {
    EXPECT_FALSE(IsValidKid(bad)) << bad;
  }
}

// RFC 9562 appendix A.1.
TEST(UuidV1Time, ReadsTheVectorOfTheRfc) {
  EXPECT_EQ(UuidV1Time("C232AB00-9414-11EC-B3C8-9F6BDECED846"), Utc("2022-02-22T19:22:22Z"));
}

TEST(UuidV1Time, ReadsTheWholeRangeToATick) {
  EXPECT_EQ(UuidV1Time("00000000-0000-1000-8000-000000000000"), Utc("1582-10-15T00:00:00Z"));
  EXPECT_EQ(UuidV1Time("00000001-0000-1000-8000-000000000000"),
            Utc("1582-10-15T00:00:00.0000001Z"));
  EXPECT_EQ(UuidV1Time("13814000-1dd2-11b2-8000-000000000000"), absl::UnixEpoch());
  EXPECT_EQ(UuidV1Time("ffffffff-ffff-1fff-bfff-ffffffffffff"),
            Utc("5236-03-31T21:21:00.6846975Z"));
}

TEST(UuidV1Time, LooksAtNeitherVariantNorCaseNorNode) {
  const absl::Time time = Utc("2022-02-22T19:22:22Z");
  for (std::string_view kid :
       {"c232ab00-9414-11ec-b3c8-9f6bdeced846", "C232ab00-9414-11eC-33c8-9f6bdeced846",
        "c232ab00-9414-11ec-f3c8-000000000000"}) {
    EXPECT_EQ(UuidV1Time(kid), time) << kid;
  }
}

TEST(UuidV1Time, IsAbsentForAnythingElse) {
  for (std::string_view other :
       {"919108f7-52d1-4320-9bac-f847db4148a8", "1EC9414C-232A-6B00-B3C8-9F6BDECED846",
        "017F22E2-79B0-7CC3-98C4-DC0C0C07398F", "5df41881-3aed-3515-88a7-2f4a814cf09e",
        "legacy-2024.a_1", "c232ab009414-11ec-b3c8-9f6bdeced84600",
        "c232ab00-9414-11ec-b3c8-9f6bdeced84", "c232ab00-9414-11ec-b3c8-9f6bdeced8466",
        "c232ab0g-9414-11ec-b3c8-9f6bdeced846", "c232ab00x9414-11ec-b3c8-9f6bdeced846",
        "{c232ab00-9414-11ec-b3c8-9f6bdeced8}", ""}) {
    EXPECT_EQ(UuidV1Time(other), std::nullopt) << other;
  }
}

TEST(NewKid, IsAUuidV1OfNowWithARandomMulticastNode) {
  ScriptedRandom random({std::string("\xff\x01\x00\x02\x03\x04\x05\x06", 8)});
  EXPECT_EQ(*NewKid(Utc("2022-02-22T19:22:22Z"), std::nullopt, random),
            "c232ab00-9414-11ec-bf01-010203040506");
  SeededRandom seeded(1);
  for (int i = 0; i < 200; ++i) {
    const std::string kid = *NewKid(kNow, std::nullopt, seeded);
    EXPECT_THAT(kid, MatchesRegex("[0-9a-f]{8}-[0-9a-f]{4}-1[0-9a-f]{3}-[89ab][0-9a-f]{3}-"
                                  "[0-9a-f][13579bdf][0-9a-f]{10}"));
    EXPECT_EQ(UuidV1Time(kid), kNow);
  }
}

TEST(NewKid, ComesAMillisecondAfterTheLatestKnownIfThatIsLater) {
  SeededRandom random(2);
  const absl::Duration ms = absl::Milliseconds(1);
  const auto time = [&](absl::Time latest) { return *UuidV1Time(*NewKid(kNow, latest, random)); };
  EXPECT_EQ(time(kNow - absl::Hours(1)), kNow);
  EXPECT_EQ(time(kNow - ms), kNow);
  EXPECT_EQ(time(kNow - ms + absl::Nanoseconds(100)), kNow + absl::Nanoseconds(100));
  EXPECT_EQ(time(kNow), kNow + ms);
  EXPECT_EQ(time(kNow + absl::Hours(24 * 365)), kNow + absl::Hours(24 * 365) + ms);
  EXPECT_EQ(time(kNow + absl::Nanoseconds(1)), kNow + ms + absl::Nanoseconds(100));
}

TEST(NewKid, NeverGoesBackWhileTheClockDoes) {
  SeededRandom random(3);
  std::optional<absl::Time> latest;
  for (const absl::Duration jump : {absl::Hours(0), absl::Hours(-87600), absl::Hours(87600),
                                    absl::Nanoseconds(-150), absl::Hours(-1)}) {
    const absl::Time time = *UuidV1Time(*NewKid(kNow + jump, latest, random));
    if (latest.has_value()) {
      EXPECT_GE(time - *latest, absl::Milliseconds(1));
    }
    latest = time;
  }
}

TEST(NewKid, RefusesATimeThatAUuidCannotHold) {
  SeededRandom random(4);
  const absl::Time last = Utc("5236-03-31T21:21:00.6846975Z");
  EXPECT_EQ(UuidV1Time(*NewKid(kNow, last - absl::Milliseconds(1), random)), last);
  for (const auto& [now, latest] : {std::pair{kNow, std::optional(last)},
                                    {absl::InfiniteFuture(), std::nullopt},
                                    {Utc("1582-10-14T23:59:59Z"), std::nullopt},
                                    {absl::InfinitePast(), std::nullopt},
                                    {kNow, std::optional(absl::InfiniteFuture())}}) {
    EXPECT_THAT(NewKid(now, latest, random), StatusIs(absl::StatusCode::kFailedPrecondition,
                                                      HasSubstr("UUID version 1 can't hold")));
  }
}

TEST(NewKid, RefusesASourceThatFailsOrGivesOneByteOnly) {
  ScriptedRandom fails({""});
  EXPECT_THAT(NewKid(kNow, std::nullopt, fails),
              StatusIs(absl::StatusCode::kInternal, HasSubstr("random source failed")));
  for (const std::string& byte : {std::string(1, '\0'), std::string("\xff")}) {
    ScriptedRandom stuck({byte});
    EXPECT_THAT(NewKid(kNow, std::nullopt, stuck),
                StatusIs(absl::StatusCode::kInternal, HasSubstr("same byte only")));
  }
}

}  // namespace
}  // namespace mek
