#include <gtest/gtest.h>

#include <set>
#include <string>

#include "mek/rotation.h"
#include "support/status_matchers.h"
#include "unit/mek/samples.h"

namespace mek {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing_support::StatusIs;

TEST(RollbackKeeping, IsTheTargetAndTheNewerKeysAtTheEnd) {
  const Record target = TwoKeys();
  const Record live = *Rotate(*Rotate(target, MakeNewKey("n1", 5, 15)), MakeNewKey("n2", 6, 16));
  const Record back = *RollbackKeeping(target, live, {});
  EXPECT_EQ(Dump(back), Dump(Fields(Jwks({{kMidKid, 1}, {kOldKid, 2}, {"n2", 6}, {"n1", 5}}),
                                    Jwks({{kMidKid, 11}, {kOldKid, 12}, {"n2", 16}, {"n1", 15}}),
                                    kMidKid, Mapping(kMidKid))));
  EXPECT_THAT(KeysMissingIn(live, back), IsEmpty());
  EXPECT_THAT(KeysMissingIn(target, back), IsEmpty());
}

TEST(RollbackKeeping, TakesOtherFieldsAndMappingFromTheTarget) {
  const Record target = *Record::Parse(RecordData("fifth_field"));
  const Record live = *Rotate(target, MakeNewKey("n1", 5, 15));
  const base::Json back = RollbackKeeping(target, live, {})->ToJson();
  EXPECT_EQ(*base::FindString(back, "note"), "owner: platform");
  EXPECT_EQ(*base::FindString(back, "jwe_mapping"), target.jwe_mapping());
}

TEST(RollbackKeeping, TreatsEachSetByItself) {
  const Record target = MakeRecord({{"a", 1}}, {{"a", 11}, {"p", 13}});
  const Record live = MakeRecord({{"b", 2}, {"a", 1}}, {{"b", 12}, {"a", 11}, {"q", 14}});
  const Record back = *RollbackKeeping(target, live, {});
  EXPECT_THAT(back.Kids(Set::kKeys), ElementsAre("a", "b"));
  EXPECT_THAT(back.Kids(Set::kPrivateJwks), ElementsAre("a", "p", "b", "q"));
}

TEST(RollbackKeeping, LeavesOutWhatWasRetiredSince) {
  const Record target =
      MakeRecord({{"a", 1}, {"r", 2}, {"s", 3}}, {{"a", 11}, {"r", 12}, {"s", 13}});
  const Record live = MakeRecord({{"b", 4}, {"a", 1}}, {{"b", 14}, {"a", 11}, {"s", 13}});
  const std::set<KeyRef> retired = {{Set::kKeys, "r"}, {Set::kPrivateJwks, "r"}, {Set::kKeys, "s"}};
  const Record back = *RollbackKeeping(target, live, retired);
  EXPECT_THAT(back.Kids(Set::kKeys), ElementsAre("a", "b"));
  EXPECT_THAT(back.Kids(Set::kPrivateJwks), ElementsAre("a", "s", "b"));
}

TEST(RollbackKeeping, KeepsALiveKeyWhateverStaysOut) {
  const Record target = MakeRecord({{"a", 1}, {"r", 2}}, {{"a", 11}, {"r", 12}});
  const Record live = MakeRecord({{"b", 4}, {"r", 2}, {"a", 1}}, {{"b", 14}, {"r", 12}, {"a", 11}});
  const Record back = *RollbackKeeping(target, live, {{Set::kKeys, "r"}, {Set::kPrivateJwks, "b"}});
  EXPECT_THAT(KeysMissingIn(live, back), IsEmpty());
}

TEST(RollbackKeeping, RefusesATargetWhoseCurrentKeyStaysOut) {
  const Record target = TwoKeys();
  const Record live = *Rotate(target, MakeNewKey("n1", 5, 15));
  for (const Set set : kSets) {
    EXPECT_THAT(RollbackKeeping(target, live, {{set, std::string(kMidKid)}}),
                StatusIs(absl::StatusCode::kFailedPrecondition,
                         HasSubstr(Cat("kid ", kMidKid, ", current in the version"))));
  }
}

TEST(RollbackKeeping, RefusesAnotherKeyUnderTheSameSetAndKid) {
  const Record live = MakeRecord({{"b", 4}, {kMidKid, 1}}, {{"b", 14}, {kMidKid, 99}});
  EXPECT_THAT(RollbackKeeping(TwoKeys(), live, {}),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr(Cat("kid ", kMidKid, " in private_jwks stands for another key"))));
}

}  // namespace
}  // namespace mek
