#include "mek/rotation.h"

#include <gtest/gtest.h>

#include <string>

#include "mek/kid.h"
#include "support/fakes.h"
#include "support/status_matchers.h"
#include "unit/mek/samples.h"

namespace mek {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing_support::IsOk;
using ::testing_support::SeededRandom;
using ::testing_support::StatusIs;

NewKey Generate(const Record* live, PrivateJwks mode, std::uint64_t seed = 1) {
  SeededRandom random(seed);
  return GenerateKey(live, std::nullopt, mode, kNow, random).value();
}

void ExpectReadsBack(const Record& record) {
  const absl::StatusOr<Record> again = Record::Parse(record.ToJson());
  ASSERT_THAT(again, IsOk());
  EXPECT_EQ(Dump(*again), Dump(record));
}

TEST(GenerateKey, FollowsTheRecordUnlessToldOtherwise) {
  const Record independent = TwoKeys();
  const Record mirrored = MakeRecord({{kMidKid, 1}}, {{kMidKid, 1}});
  const auto same = [](const NewKey& key) { return key.keys_k == key.private_k; };
  EXPECT_FALSE(same(Generate(nullptr, PrivateJwks::kAuto)));
  EXPECT_FALSE(same(Generate(&independent, PrivateJwks::kAuto)));
  EXPECT_TRUE(same(Generate(&mirrored, PrivateJwks::kAuto)));
  EXPECT_TRUE(same(Generate(nullptr, PrivateJwks::kMirror)));
  EXPECT_TRUE(same(Generate(&independent, PrivateJwks::kMirror)));
  EXPECT_FALSE(same(Generate(&mirrored, PrivateJwks::kIndependent)));
}

TEST(GenerateKey, TakesAKidLaterThanEveryKnownOne) {
  SeededRandom random(1);
  const Record record = TwoKeys();
  const absl::Time before = *UuidV1Time(kOldKid);
  const auto time = [&](std::optional<absl::Time> archived, absl::Time now) {
    return *UuidV1Time(GenerateKey(&record, archived, PrivateJwks::kAuto, now, random)->kid);
  };
  EXPECT_EQ(time(std::nullopt, kNow), kNow);
  EXPECT_EQ(time(std::nullopt, before), *UuidV1Time(kMidKid) + absl::Milliseconds(1));
  EXPECT_EQ(time(kNow, before), kNow + absl::Milliseconds(1));
  EXPECT_EQ(time(before, before), *UuidV1Time(kMidKid) + absl::Milliseconds(1));
}

TEST(GenerateKey, MakesNothingFromABadRandomSource) {
  const Record record = TwoKeys();
  const std::string noise = "12345678", zeros(1, '\0'), one(K(1).view()), private_two(K(12).view()),
                    fresh(K(99).view());
  const struct {
    std::vector<std::string> script;
    std::string_view message;
  } kCases[] = {
      {{""}, "random source failed"},
      {{noise, ""}, "random source failed"},
      {{noise, fresh, ""}, "random source failed"},
      {{zeros}, "same byte only"},
      {{noise, zeros}, "same byte only"},
      {{noise, fresh, zeros}, "same byte only"},
      {{noise, fresh, fresh}, "repeated itself"},
      {{noise}, "repeated itself"},
      {{noise, one}, "repeated an existing key"},
      {{noise, private_two}, "repeated an existing key"},
      {{noise, fresh, one}, "repeated an existing key"},
  };
  for (const auto& bad : kCases) {
    for (const PrivateJwks mode : {PrivateJwks::kMirror, PrivateJwks::kIndependent}) {
      ScriptedRandom random(bad.script);
      EXPECT_THAT(GenerateKey(&record, std::nullopt, mode, kNow, random).status(),
                  StatusIs(absl::StatusCode::kInternal, HasSubstr(std::string(bad.message))));
    }
  }
}

TEST(Init, IsARecordOfOneKeyAsTheBootstrapMakesIt) {
  const Record record = *Init(MakeNewKey(kNewKid, 5, 15));
  EXPECT_EQ(Dump(record),
            Dump(Fields(Jwks({{kNewKid, 5}}), Jwks({{kNewKid, 15}}), kNewKid, Mapping(kNewKid))));
  ExpectReadsBack(record);
  EXPECT_THAT(Init(NewKey{"a/b", K(1), K(2)}),
              StatusIs(absl::StatusCode::kInternal, HasSubstr("form")));
  EXPECT_THAT(Init(NewKey{"a", base::SecretBytes(33), K(1)}),
              StatusIs(absl::StatusCode::kInternal, HasSubstr("form")));
  EXPECT_THAT(Rotate(record, NewKey{"a/b", K(1), K(2)}),
              StatusIs(absl::StatusCode::kInternal, HasSubstr("form")));
  EXPECT_THAT(Init(NewKey{"a", K(1), base::SecretBytes(31)}),
              StatusIs(absl::StatusCode::kInternal, HasSubstr("form")));
}

TEST(Rotate, PutsTheNewKeyFirstInBothSetsAndFlipsTheSelectors) {
  const Record rotated = *Rotate(TwoKeys(), MakeNewKey(kNewKid, 5, 15));
  EXPECT_EQ(Dump(rotated), Dump(Fields(Jwks({{kNewKid, 5}, {kMidKid, 1}, {kOldKid, 2}}),
                                       Jwks({{kNewKid, 15}, {kMidKid, 11}, {kOldKid, 12}}), kNewKid,
                                       Mapping(kNewKid))));
  ExpectReadsBack(rotated);
}

TEST(Rotate, KeepsEveryOldKeyOfEveryGoodRecord) {
  for (const RecordFile& file : RecordFiles()) {
    if (!file.valid) continue;
    const Record record = *Record::Parse(file.data);
    SeededRandom random(7);
    const NewKey key = *GenerateKey(&record, std::nullopt, PrivateJwks::kAuto, kNow, random);
    for (const Record& after : {*Rotate(record, key), *Stage(record, key)}) {
      EXPECT_THAT(KeysMissingIn(record, after), IsEmpty()) << file.name;
      EXPECT_EQ(after.set(Set::kKeys).Find(key.kid)->key(), key.keys_k);
      EXPECT_EQ(after.set(Set::kPrivateJwks).Find(key.kid)->key(), key.private_k);
      EXPECT_EQ(after.mirrored(), record.mirrored()) << file.name;
      ExpectReadsBack(after);
    }
  }
}

TEST(Rotate, NeverCopiesOneSetOverTheOther) {
  const Record rotated = *Rotate(TwoKeys(), Generate(nullptr, PrivateJwks::kIndependent));
  for (const Jwk& jwk : rotated.set(Set::kKeys).keys()) {
    EXPECT_FALSE(rotated.set(Set::kPrivateJwks).Find(jwk.kid())->key() == jwk.key());
  }
}

TEST(Rotate, RefusesAKidThatIsThere) {
  for (const std::string_view kid : {kMidKid, kOldKid}) {
    EXPECT_THAT(Rotate(TwoKeys(), MakeNewKey(kid, 5, 15)),
                StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("already")));
    EXPECT_THAT(Stage(TwoKeys(), MakeNewKey(kid, 5, 15)),
                StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("already")));
  }
}

TEST(Rotate, HoldsAThousandKeysInOrder) {
  SeededRandom random(11);
  absl::StatusOr<Record> record =
      Init(*GenerateKey(nullptr, std::nullopt, PrivateJwks::kAuto, kNow, random));
  std::vector<std::string> kids = {record->current_kid()};
  while (kids.size() < 1000) {
    const NewKey key = *GenerateKey(&*record, std::nullopt, PrivateJwks::kAuto, kNow, random);
    record = Rotate(*record, key);
    ASSERT_THAT(record, IsOk());
    kids.insert(kids.begin(), key.kid);
  }
  EXPECT_EQ(record->Kids(Set::kKeys), kids);
  EXPECT_EQ(record->Kids(Set::kPrivateJwks), kids);
  EXPECT_EQ(record->LatestKidTime(), kNow + absl::Milliseconds(999));
  ExpectReadsBack(*record);
}

TEST(Stage, AppendsToBothSetsAndLeavesTheSelectors) {
  const Record staged = *Stage(TwoKeys(), MakeNewKey(kNewKid, 5, 15));
  EXPECT_EQ(Dump(staged), Dump(Fields(Jwks({{kMidKid, 1}, {kOldKid, 2}, {kNewKid, 5}}),
                                      Jwks({{kMidKid, 11}, {kOldKid, 12}, {kNewKid, 15}}), kMidKid,
                                      Mapping(kMidKid))));
}

TEST(Promote, OfAStagedKeyEqualsAnImmediateRotation) {
  const NewKey key = MakeNewKey(kNewKid, 5, 15);
  EXPECT_EQ(Dump(*Promote(*Stage(TwoKeys(), key), kNewKid)), Dump(*Rotate(TwoKeys(), key)));
}

TEST(Promote, NeedsTheKidInBothSetsAndNotCurrent) {
  const Record record = MakeRecord({{"a", 1}, {"b", 2}}, {{"a", 11}, {"c", 13}});
  EXPECT_THAT(Promote(record, "a"),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("current already")));
  EXPECT_THAT(Promote(record, "b"),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("private_jwks lacks it")));
  EXPECT_THAT(Promote(record, "c"),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr(": keys lacks it")));
  EXPECT_THAT(Promote(record, "d"),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("kid d is in neither")));
  EXPECT_THAT(Promote(record, "\"x"),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("this kid is in neither")));
}

TEST(Retire, TakesAKidOutOfBothSetsButNeverTheCurrent) {
  const Record retired = *Retire(TwoKeys(), kOldKid);
  EXPECT_EQ(Dump(retired), Dump(MakeRecord({{kMidKid, 1}}, {{kMidKid, 11}})));
  const Record one_sided = MakeRecord({{"a", 1}}, {{"a", 11}, {"c", 13}});
  EXPECT_EQ(Dump(*Retire(one_sided, "c")), Dump(MakeRecord({{"a", 1}}, {{"a", 11}})));
  EXPECT_THAT(Retire(TwoKeys(), kMidKid),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("is current")));
  EXPECT_THAT(Retire(TwoKeys(), "x"), StatusIs(absl::StatusCode::kNotFound, HasSubstr("kid x")));
}

TEST(Restore, BringsARetiredKeyBackAtTheEnd) {
  const Record record = *Rotate(TwoKeys(), MakeNewKey(kNewKid, 5, 15));
  const Record retired = *Retire(record, kMidKid);
  const Record restored = *Restore(retired, KeysMissingIn(record, retired));
  EXPECT_THAT(restored.Kids(Set::kKeys), ElementsAre(kNewKid, kOldKid, kMidKid));
  EXPECT_THAT(restored.Kids(Set::kPrivateJwks), ElementsAre(kNewKid, kOldKid, kMidKid));
  EXPECT_THAT(KeysMissingIn(record, restored), IsEmpty());
  EXPECT_EQ(Dump(*Restore(restored, KeysMissingIn(record, retired))), Dump(restored));
  ExpectReadsBack(restored);
}

TEST(Restore, RefusesAnotherKeyUnderAKnownKid) {
  std::vector<SetKey> keys;
  keys.push_back({Set::kPrivateJwks, MakeJwk(kOldKid, 99)});
  EXPECT_THAT(Restore(TwoKeys(), keys),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       AllOf(HasSubstr(Cat("kid ", kOldKid, " in private_jwks")),
                             HasSubstr("Nothing was changed"))));
}

std::vector<SetKey> Lost(Set set, std::string_view kid, int seed) {
  std::vector<SetKey> lost;
  lost.push_back({set, MakeJwk(kid, seed)});
  return lost;
}

TEST(Repair, PutsALostKeyAtTheEndAndAnOverwrittenOneInItsPlace) {
  // b's payload key was overwritten with b's key of keys, and c is gone from both sets.
  const Record damaged = MakeRecord({{"a", 1}, {"b", 2}}, {{"a", 11}, {"b", 2}});
  std::vector<SetKey> lost = Lost(Set::kPrivateJwks, "b", 12);
  lost.push_back({Set::kKeys, MakeJwk("c", 3)});
  lost.push_back({Set::kPrivateJwks, MakeJwk("c", 13)});
  lost.push_back({Set::kPrivateJwks, MakeJwk("a", 11)});  // it is there
  for (const bool chosen : {false, true}) {
    const auto repaired = Repair(damaged, lost, chosen);
    ASSERT_THAT(repaired, IsOk());
    EXPECT_EQ(
        repaired->record.ToJson(),
        MakeRecord({{"a", 1}, {"b", 2}, {"c", 3}}, {{"a", 11}, {"b", 12}, {"c", 13}}).ToJson());
    EXPECT_THAT(repaired->added,
                ElementsAre(KeyRef{Set::kKeys, "c"}, KeyRef{Set::kPrivateJwks, "c"}));
    EXPECT_THAT(repaired->replaced, ElementsAre(KeyRef{Set::kPrivateJwks, "b"}));
  }
  const auto nothing = Repair(damaged, {}, false);
  ASSERT_THAT(nothing, IsOk());
  EXPECT_EQ(nothing->record.ToJson(), damaged.ToJson());
  EXPECT_THAT(nothing->added, IsEmpty());
  EXPECT_THAT(nothing->replaced, IsEmpty());
}

// What is in keys under another kid, or not at all, is no copy.
TEST(Repair, ReplacesAKeyThatIsNowhereElseOnlyIfItsSuccessorWasChosen) {
  const struct {
    Record record;
    const char* kid;
    Record repaired;
  } kCases[] = {
      {MakeRecord({{"a", 1}}, {{"a", 11}}), "a", MakeRecord({{"a", 1}}, {{"a", 12}})},
      {MakeRecord({{"a", 1}}, {{"a", 11}, {"b", 1}}), "b",
       MakeRecord({{"a", 1}}, {{"a", 11}, {"b", 12}})},
  };
  for (const auto& [record, kid, repaired] : kCases) {
    const std::vector<SetKey> other = Lost(Set::kPrivateJwks, kid, 12);
    const auto by_itself = Repair(record, other, false);
    ASSERT_THAT(by_itself, IsOk());
    EXPECT_EQ(by_itself->record.ToJson(), record.ToJson());
    EXPECT_THAT(by_itself->left, ElementsAre(KeyRef{Set::kPrivateJwks, kid}));
    const auto chosen = Repair(record, other, true);
    ASSERT_THAT(chosen, IsOk());
    EXPECT_EQ(chosen->record.ToJson(), repaired.ToJson());
    EXPECT_THAT(chosen->replaced, ElementsAre(KeyRef{Set::kPrivateJwks, kid}));
  }
}

TEST(Repair, NeverReplacesAMekAndNeverGuesses) {
  const Record record = MakeRecord({{"a", 1}}, {{"a", 1}});
  // It keeps no other out, of either set.
  std::vector<SetKey> lost = Lost(Set::kKeys, "a", 2);
  lost.push_back({Set::kKeys, MakeJwk("c", 3)});
  lost.push_back({Set::kPrivateJwks, MakeJwk("a", 12)});
  for (const bool chosen : {false, true}) {
    const auto repaired = Repair(record, lost, chosen);
    ASSERT_THAT(repaired, IsOk());
    EXPECT_EQ(repaired->record.ToJson(), MakeRecord({{"a", 1}, {"c", 3}}, {{"a", 12}}).ToJson());
    EXPECT_THAT(repaired->added, ElementsAre(KeyRef{Set::kKeys, "c"}));
    EXPECT_THAT(repaired->replaced, ElementsAre(KeyRef{Set::kPrivateJwks, "a"}));
    EXPECT_THAT(repaired->left, ElementsAre(KeyRef{Set::kKeys, "a"}));
  }
  for (const char* kid : {"a", "b"}) {
    std::vector<SetKey> two = Lost(Set::kPrivateJwks, kid, 12);
    two.push_back({Set::kPrivateJwks, MakeJwk(kid, 13)});
    EXPECT_THAT(Repair(record, two, false),
                StatusIs(absl::StatusCode::kFailedPrecondition,
                         HasSubstr(Cat("two different keys were known as kid ", kid))));
  }
}

TEST(KeysMissingIn, NamesEachSetKidAndKeyThatIsDropped) {
  const Record from = MakeRecord({{"a", 1}, {"b", 2}}, {{"a", 11}, {"b", 12}, {"c", 13}});
  const Record to = MakeRecord({{"a", 1}}, {{"a", 11}, {"b", 99}});
  const std::vector<SetKey> missing = KeysMissingIn(from, to);
  ASSERT_EQ(missing.size(), 3u);
  EXPECT_EQ(missing[0].set, Set::kKeys);
  EXPECT_EQ(missing[0].jwk.kid(), "b");
  EXPECT_EQ(missing[0].jwk.key(), K(2));
  EXPECT_EQ(missing[1].set, Set::kPrivateJwks);
  EXPECT_EQ(missing[1].jwk.key(), K(12));
  EXPECT_EQ(missing[2].jwk.kid(), "c");
  EXPECT_THAT(KeysMissingIn(from, from), IsEmpty());
}

TEST(CheckNoConflict, RefusesAnotherKUnderTheSameSetAndKid) {
  const Record known = TwoKeys();
  EXPECT_THAT(CheckNoConflict(known, known), IsOk());
  EXPECT_THAT(CheckNoConflict(*Init(MakeNewKey(kNewKid, 1, 2)), known), IsOk());
  EXPECT_THAT(CheckNoConflict(MakeRecord({{kMidKid, 1}}, {{kMidKid, 99}}), known),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr(Cat("kid ", kMidKid, " in private_jwks"))));
  EXPECT_THAT(
      CheckNoConflict(MakeRecord({{kMidKid, 99}}, {{kMidKid, 11}}), known),
      StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr(Cat("kid ", kMidKid, " in keys"))));
  EXPECT_THAT(CheckNoConflict(known, SetKey{Set::kKeys, MakeJwk(kOldKid, 2)}), IsOk());
  EXPECT_THAT(CheckNoConflict(known, SetKey{Set::kKeys, MakeJwk("x", 2)}), IsOk());
  EXPECT_THAT(CheckNoConflict(known, SetKey{Set::kPrivateJwks, MakeJwk(kOldKid, 2)}),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr(Cat("kid ", kOldKid, " in private_jwks"))));
}

}  // namespace
}  // namespace mek
