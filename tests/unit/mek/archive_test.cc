#include "mek/archive.h"

#include <gtest/gtest.h>

#include <string>

#include "absl/strings/str_replace.h"
#include "base/json.h"
#include "mek/document.h"
#include "support/status_matchers.h"
#include "unit/mek/samples.h"

namespace mek {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing_support::IsOk;
using ::testing_support::StatusIs;

ArchiveEntry TwoSets() {
  ArchiveEntry entry("a");
  EXPECT_THAT(entry.Add({Set::kKeys, MakeJwk("a", 1)}, kNow, 7, DropReason::kDropped), IsOk());
  EXPECT_THAT(entry.Add({Set::kPrivateJwks, MakeJwk("a", 11)}, kNow, 7, DropReason::kRetired),
              IsOk());
  return entry;
}

TEST(ArchiveEntry, SurvivesStorageByteForByte) {
  const std::string odd = absl::StrReplaceAll(std::string(MakeJwk("a", 2).json()),
                                              {{R"("kid")", R"( "x":1.0e2, "k\u0069d")"}});
  ArchiveEntry entry("a");
  ASSERT_THAT(entry.Add({Set::kKeys, *Jwk::Parse(Set::kKeys, 0, base::SecretBytes(odd))},
                        kNow + absl::Nanoseconds(5), 12, DropReason::kRetired),
              IsOk());
  const base::SecretBytes stored = *entry.Serialize();
  const absl::StatusOr<ArchiveEntry> read = ArchiveEntry::Parse("a", stored.view());
  ASSERT_THAT(read, IsOk());
  ASSERT_EQ(read->keys().size(), 1u);
  EXPECT_EQ(read->kid(), "a");
  EXPECT_EQ(read->keys()[0].key.jwk.json(), odd);
  EXPECT_EQ(read->keys()[0].key.set, Set::kKeys);
  EXPECT_EQ(read->keys()[0].dropped_time, kNow + absl::Nanoseconds(5));
  EXPECT_EQ(read->keys()[0].dropped_by_version, 12u);
  EXPECT_EQ(read->keys()[0].reason, DropReason::kRetired);
  EXPECT_EQ(*read->Serialize(), stored);
}

TEST(ArchiveEntry, HoldsOneKeyOfEachSet) {
  const ArchiveEntry entry = TwoSets();
  EXPECT_EQ(entry.Find(Set::kKeys)->key.jwk.key(), K(1));
  EXPECT_EQ(entry.Find(Set::kPrivateJwks)->key.jwk.key(), K(11));
  EXPECT_EQ(ArchiveEntry("a").Find(Set::kKeys), nullptr);
}

TEST(ArchiveEntry, AddingAgainChangesNothingOrOnlyWhyAndWhen) {
  ArchiveEntry entry = TwoSets();
  ASSERT_THAT(entry.Add({Set::kKeys, MakeJwk("a", 1)}, kNow, 7, DropReason::kDropped), IsOk());
  EXPECT_EQ(*entry.Serialize(), *TwoSets().Serialize());
  ASSERT_THAT(entry.Add({Set::kKeys, MakeJwk("a", 1)}, kNow, 9, DropReason::kRetired), IsOk());
  EXPECT_EQ(entry.keys().size(), 2u);
  EXPECT_EQ(entry.Find(Set::kKeys)->reason, DropReason::kRetired);
  EXPECT_EQ(entry.Find(Set::kKeys)->dropped_by_version, 9u);
}

TEST(ArchiveEntry, KeepsEveryKeyOfAKidAndKnowsWhichLeftLast) {
  ArchiveEntry entry = TwoSets();
  const SetKey second{Set::kPrivateJwks, MakeJwk("a", 12)};
  EXPECT_FALSE(entry.Holds(second));
  ASSERT_THAT(entry.Add({Set::kPrivateJwks, MakeJwk("a", 12)}, kNow, 8, DropReason::kExternal),
              IsOk());
  EXPECT_TRUE(entry.Holds(second));
  EXPECT_TRUE(entry.Holds({Set::kPrivateJwks, MakeJwk("a", 11)}));
  EXPECT_FALSE(entry.Holds({Set::kKeys, MakeJwk("a", 12)}));
  EXPECT_EQ(entry.Find(Set::kPrivateJwks)->key.jwk.key(), K(12));
  const absl::StatusOr<ArchiveEntry> read = ArchiveEntry::Parse("a", entry.Serialize()->view());
  ASSERT_THAT(read, IsOk());
  ASSERT_EQ(read->keys().size(), 3u);
  EXPECT_EQ(read->Find(Set::kPrivateJwks)->reason, DropReason::kExternal);
  // The first one leaves once more.
  ASSERT_THAT(entry.Add({Set::kPrivateJwks, MakeJwk("a", 11)}, kNow, 9, DropReason::kDropped),
              IsOk());
  EXPECT_EQ(entry.keys().size(), 3u);
  EXPECT_EQ(entry.Find(Set::kPrivateJwks)->key.jwk.key(), K(11));
  EXPECT_EQ(entry.Find(Set::kPrivateJwks)->dropped_by_version, 9u);
}

TEST(ArchiveEntry, ARecordMayHoldOneOfItsKeysAndNoOther) {
  ArchiveEntry entry = TwoSets();
  ASSERT_THAT(entry.Add({Set::kPrivateJwks, MakeJwk("a", 12)}, kNow, 8, DropReason::kDropped),
              IsOk());
  for (const int seed : {11, 12}) {
    EXPECT_THAT(entry.CheckNoConflict(MakeRecord({{"a", 1}}, {{"a", seed}}), {}), IsOk());
  }
  EXPECT_THAT(entry.CheckNoConflict(MakeRecord({{"b", 1}}, {{"b", 1}}), {}), IsOk());
  const Record other = MakeRecord({{"a", 1}}, {{"a", 13}});
  EXPECT_THAT(entry.CheckNoConflict(other, {}),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("kid a in private_jwks")));
  EXPECT_THAT(entry.CheckNoConflict(other, {{Set::kPrivateJwks, "a"}}), IsOk());
  EXPECT_THAT(entry.CheckNoConflict(MakeRecord({{"a", 2}}, {{"a", 11}}), {}),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("kid a in keys")));
}

TEST(ArchiveEntry, RefusesAnotherKid) {
  ArchiveEntry entry = TwoSets();
  EXPECT_THAT(entry.Add({Set::kKeys, MakeJwk("b", 1)}, kNow, 8, DropReason::kDropped),
              StatusIs(absl::StatusCode::kInternal, HasSubstr("kid b does not belong")));
  EXPECT_EQ(*entry.Serialize(), *TwoSets().Serialize());
}

TEST(ArchiveEntry, RefusesAnEntryOfAnotherPath) {
  EXPECT_THAT(ArchiveEntry::Parse("b", TwoSets().Serialize()->view()),
              StatusIs(absl::StatusCode::kDataLoss,
                       HasSubstr("the archive entry of kid b is damaged in storage")));
}

TEST(ArchiveEntry, RefusesWhatIsWellSealedButNotAnEntry) {
  const auto parse = [](std::string_view keys) {
    const std::string body = Cat(R"({"kid":"a","keys":)", keys, "}");
    return ArchiveEntry::Parse("a", WriteDocument(1, *base::ParseJson(body))->view()).status();
  };
  const auto key = [](std::string_view set, std::string_view jwk, std::string_view reason) {
    base::Json value = base::Json::object();
    value["set"] = base::JsonText(set);
    value["jwk"] = base::JsonText(jwk);
    value["dropped_time"] = base::JsonText(TimeText(kNow));
    value["dropped_by_version"] = 7u;
    value["reason"] = base::JsonText(reason);
    return Dump(value);
  };
  const std::string jwk(MakeJwk("a", 1).json());
  EXPECT_THAT(parse(Cat("[", key("keys", jwk, "dropped"), "]")), IsOk());
  const std::pair<std::string, std::string_view> kCases[] = {
      {"7", "keys is missing or not an array"},
      {"[7]", "set is missing or not a string"},
      {Cat("[", key("other", jwk, "dropped"), "]"), "set is neither"},
      {Cat("[", key("keys", "{}", "dropped"), "]"), "kid is missing"},
      {Cat("[", key("keys", MakeJwk("b", 1).json(), "dropped"), "]"), "key of another kid"},
      {Cat("[", key("keys", jwk, "lost"), "]"), "reason has no known value"},
      {Cat("[", key("keys", jwk, "dropped"), ",", key("keys", jwk, "dropped"), "]"),
       "a key stands in it twice"}};
  const auto with = [&](std::string_view member, base::Json value) {
    base::Json whole = *base::ParseJson(key("keys", jwk, "dropped"));
    whole[base::JsonString(member)] = std::move(value);
    return Cat("[", Dump(whole), "]");
  };
  EXPECT_THAT(parse(with("jwk", 7)),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("jwk is missing or not a string")));
  EXPECT_THAT(parse(with("reason", nullptr)),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("reason is missing")));
  EXPECT_THAT(parse(with("dropped_time", base::JsonText("today"))),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("dropped_time is not a time")));
  EXPECT_THAT(parse(with("dropped_by_version", -1)),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("dropped_by_version is missing")));
  for (const auto& [keys, message] : kCases) {
    EXPECT_THAT(parse(keys),
                StatusIs(absl::StatusCode::kDataLoss,
                         AllOf(HasSubstr(std::string(message)), Not(HasSubstr("oct")))));
  }
}

TEST(ArchiveEntry, RefusesAnEntryWithoutAKidAndATimeThatCannotBeReadBack) {
  EXPECT_THAT(
      ArchiveEntry::Parse("a", WriteDocument(1, *base::ParseJson(R"({"keys":[]})"))->view()),
      StatusIs(absl::StatusCode::kDataLoss, HasSubstr("kid is missing")));
  ArchiveEntry entry("a");
  ASSERT_THAT(
      entry.Add({Set::kKeys, MakeJwk("a", 1)}, absl::InfiniteFuture(), 1, DropReason::kDropped),
      IsOk());
  EXPECT_THAT(entry.Serialize(), StatusIs(absl::StatusCode::kInternal, HasSubstr("years")));
}

TEST(DropReasonName, OfNoReasonIsOneThatIsRefused) {
  const auto none = static_cast<DropReason>(3);
  EXPECT_EQ(DropReasonName(none), "");
  ArchiveEntry entry("a");
  ASSERT_THAT(entry.Add({Set::kKeys, MakeJwk("a", 1)}, kNow, 1, none), IsOk());
  EXPECT_THAT(ArchiveEntry::Parse("a", entry.Serialize()->view()),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("reason has no known value")));
}

TEST(ArchiveEntry, NoticesEveryCutAndEveryFlippedBit) {
  const std::string good(TwoSets().Serialize()->view());
  for (std::size_t i = 0; i < good.size(); ++i) {
    EXPECT_THAT(ArchiveEntry::Parse("a", good.substr(0, i)),
                StatusIs(absl::StatusCode::kDataLoss, testing::_));
    for (int bit = 0; bit < 8; ++bit) {
      std::string bad = good;
      bad[i] = static_cast<char>(bad[i] ^ 1 << bit);
      ASSERT_THAT(ArchiveEntry::Parse("a", bad), StatusIs(absl::StatusCode::kDataLoss, testing::_))
          << i;
    }
  }
}

}  // namespace
}  // namespace mek
