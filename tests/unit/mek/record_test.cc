#include "mek/record.h"

#include <gtest/gtest.h>

#include <map>
#include <string>

#include "absl/strings/str_replace.h"
#include "mek/kid.h"
#include "support/status_matchers.h"
#include "unit/mek/samples.h"

namespace mek {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing_support::IsOk;
using ::testing_support::StatusIs;

// What each broken record of tests/records is refused with.
const std::map<std::string, std::string> kRefusals = {
    {"current_absent", "current_kid 6aa44e80-fb25-11f0-80ec-e7f54dabb96d is not in keys"},
    {"current_not_first",
     "current_kid must be the first key of keys: 6aa44e80-fb25-11f0-9d6a-c3cd380208a9 "
     "is keys[1]"},
    {"deep_json",
     "keys does not decode to JSON that readers can rely on: JSON nested deeper than 64"},
    {"duplicate_kid", "(kid 6aa44e80-fb25-11f0-9d6a-c3cd380208a9): the same kid stands twice"},
    {"duplicate_member",
     "keys does not decode to JSON that readers can rely on: a JSON member stands twice"},
    {"empty_current_kid", "current_kid is empty"},
    {"empty_jwe_mapping", "jwe_mapping is empty"},
    {"empty_keys", "keys is empty"},
    {"empty_private_jwks", "private_jwks is empty"},
    {"keys_is_array", "keys decodes to no JSON object with an array \"keys\""},
    {"keys_not_base64", "keys is not base64"},
    {"keys_not_json", "keys does not decode to JSON that readers can rely on: not valid JSON"},
    {"kid_number", "keys[1]: kid is not a string"},
    {"kid_quote", "keys[1]: kid must be a string of 1 to 128 of the characters"},
    {"kid_too_long", "keys[1]: kid must be a string of 1 to 128 of the characters"},
    {"long_key",
     "keys[1] (kid 6aa44e80-fb25-11f0-9d6a-c3cd380208a9): k is 33 bytes long: expected 32 bytes"},
    {"mapping_empty", "jwe_mapping has no payload_jwe_kid"},
    {"mapping_mismatch",
     "jwe_mapping.payload_jwe_kid must equal current_kid: expected "
     "53d1ce80-41de-11f1-b0e0-39c08712b8bc, found 6aa44e80-fb25-11f0-9d6a-c3cd380208a9"},
    {"mapping_not_json", "jwe_mapping does not hold JSON that readers can rely on: not valid JSON"},
    {"missing_current_kid", "current_kid is missing"},
    {"missing_jwe_mapping", "jwe_mapping is missing"},
    {"missing_keys", "keys is missing"},
    {"missing_private_jwks", "private_jwks is missing"},
    {"no_k", "k is missing"},
    {"no_keys", "keys holds no key"},
    {"no_kid", "kid is missing"},
    {"number_current_kid", "current_kid is not a string"},
    {"number_jwe_mapping", "jwe_mapping is not a string"},
    {"number_keys", "keys is not a string"},
    {"number_private_jwks", "private_jwks is not a string"},
    {"padded_k", "k is not base64url"},
    {"private_lacks_current",
     "private_jwks lacks current_kid 53d1ce80-41de-11f1-b0e0-39c08712b8bc"},
    {"private_short_key",
     "private_jwks[0] (kid 53d1ce80-41de-11f1-b0e0-39c08712b8bc): k is 8 bytes long"},
    {"short_key", "keys[0] (kid 53d1ce80-41de-11f1-b0e0-39c08712b8bc): k is 16 bytes long"},
    {"std_base64_k", "k is not base64url"},
    {"wrong_alg", "alg must be \"A256GCM\""},
    {"wrong_kty", "keys[1] (kid 6aa44e80-fb25-11f0-9d6a-c3cd380208a9): kty must be \"oct\""},
    {"wrong_use", "use must be \"enc\""},
};

TEST(Record, KeepsEveryGoodRecordAsItIs) {
  int good = 0;
  for (const RecordFile& file : RecordFiles()) {
    if (!file.valid) continue;
    ++good;
    const absl::StatusOr<Record> record = Record::Parse(file.data);
    ASSERT_THAT(record, IsOk()) << file.name;
    EXPECT_EQ(Dump(*record), Dump(file.data)) << file.name;
    EXPECT_EQ(Dump(record->Clone()), Dump(file.data)) << file.name;
  }
  EXPECT_EQ(good, 9);
}

TEST(Record, RefusesEveryBrokenRecordByTheRuleItBreaks) {
  std::size_t broken = 0;
  for (const RecordFile& file : RecordFiles()) {
    if (file.valid) continue;
    ++broken;
    const auto refusal = kRefusals.find(file.name);
    ASSERT_NE(refusal, kRefusals.end()) << file.name;
    EXPECT_THAT(Record::Parse(file.data),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(refusal->second)))
        << file.name;
  }
  EXPECT_EQ(broken, kRefusals.size());
}

TEST(Record, IsReadFromTextAsFromValues) {
  for (const RecordFile& file : RecordFiles()) {
    const absl::StatusOr<Record> by_value = Record::Parse(file.data);
    const absl::StatusOr<Record> by_text = Record::ParseText(Dump(file.data));
    EXPECT_EQ(by_text.status(), by_value.status()) << file.name;
    if (!by_value.ok()) continue;
    EXPECT_EQ(Dump(*by_text), Dump(file.data)) << file.name;
    EXPECT_EQ(by_text->ToText()->view(), Dump(file.data)) << file.name;
  }
  EXPECT_THAT(Record::ParseText("[]"),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("not a JSON object")));
  base::Json odd = *base::ParseJson(R"({"\"\u00e9\\":[{"b":null}]})");
  const base::Json four = TwoKeys().ToJson();
  for (const auto& [name, value] : four.items()) odd[name] = value;
  std::string text = Dump(odd);
  EXPECT_EQ(Record::ParseText(text)->ToText()->view(), text);
  text.replace(text.find("current_kid"), 7, "curr\\u0065nt");
  text.replace(text.find(kMidKid), 1, "\\u0035");
  EXPECT_EQ(Record::ParseText(text)->ToText()->view(), Dump(odd));
}

TEST(Record, RefusalsShowNoKeyMaterial) {
  for (const RecordFile& file : RecordFiles()) {
    const std::string message(Record::Parse(file.data).status().message());
    for (const std::string_view field : {"keys", "private_jwks"}) {
      const base::JsonString* text = base::FindString(file.data, field);
      if (text == nullptr || text->size() < 16) continue;
      EXPECT_THAT(message, Not(HasSubstr(std::string(text->substr(0, 16)))));
      const absl::StatusOr<base::SecretBytes> json = base::Base64Decode(*text);
      if (!json.ok()) continue;
      for (std::size_t at = 0; (at = json->view().find("\"k\"", at)) != std::string_view::npos;
           ++at) {
        const std::string_view k = json->view().substr(json->view().find('"', at + 3) + 1, 8);
        EXPECT_EQ(message.find(k), std::string::npos) << file.name;
      }
    }
  }
}

TEST(Record, IsAnObjectOfFields) {
  for (const std::string_view text : {"[]", "7", "null", "\"x\""}) {
    EXPECT_THAT(Record::Parse(*base::ParseJson(text)),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("not a JSON object")));
    EXPECT_THAT(Record::ParseText(text),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("not a JSON object")));
  }
}

TEST(Record, KeepsOtherFieldsWithValueAndPlace) {
  const base::Json four = TwoKeys().ToJson();
  base::Json fields = *base::ParseJson(R"({"a":[1,{"b":null}],"keys":0,"z":18446744073709551615})");
  fields["keys"] = four["keys"];
  fields["private_jwks"] = four["private_jwks"];
  fields["note"] = base::JsonText("owner: platform");
  fields["jwe_mapping"] = four["jwe_mapping"];
  fields["current_kid"] = four["current_kid"];
  const absl::StatusOr<Record> record = Record::Parse(fields);
  ASSERT_THAT(record, IsOk());
  EXPECT_EQ(Dump(*record), Dump(fields));
}

TEST(Record, RefusesFieldsThatCouldNotBeStoredAndReadBack) {
  base::Json fields = TwoKeys().ToJson();
  fields["deep"] = *base::ParseJson(std::string(32, '[') + std::string(32, ']'));
  EXPECT_THAT(Record::Parse(fields),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("nested deeper than 32")));
  fields["deep"] = base::JsonText("\xff");
  EXPECT_THAT(Record::Parse(fields),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("not UTF-8")));
}

TEST(Record, ReadsEscapedNamesAsTheReadersDo) {
  const std::string keys = Cat(R"({"k\u0065ys":[)", MakeJwk(kMidKid, 1).json(), "]}");
  const std::string mapping = Cat(R"({ "payload\u005fjwe_kid" : ")", kMidKid, R"(","x":1.0e2})");
  const absl::StatusOr<Record> record =
      Record::Parse(Fields(keys, Jwks({{kMidKid, 11}}), kMidKid, mapping));
  ASSERT_THAT(record, IsOk());
  const Record rotated = *Rotate(*record, MakeNewKey(kNewKid, 5, 15));
  EXPECT_EQ(rotated.jwe_mapping(),
            Cat(R"({ "payload\u005fjwe_kid" : ")", kNewKid, R"(","x":1.0e2})"));
  EXPECT_EQ(
      rotated.set(Set::kKeys).json().view(),
      Cat(R"({"k\u0065ys":[)", MakeJwk(kNewKid, 5).json(), ",", MakeJwk(kMidKid, 1).json(), "]}"));
}

TEST(Record, RefusesACurrentKidThatIsNoKid) {
  for (const std::string_view kid : {"a/b", "a b", "a\"b"}) {
    EXPECT_THAT(Record::Parse(Fields(Jwks({{"a", 1}}), Jwks({{"a", 2}}), kid, Mapping("a"))),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         AllOf(HasSubstr("current_kid must be a string of 1 to 128"),
                               Not(HasSubstr(std::string(kid))))));
  }
}

TEST(Record, IsMadeOfTwoKeysOfOneKid) {
  EXPECT_EQ(Dump(*Record::Make(MakeJwk("a", 1), MakeJwk("a", 2))),
            Dump(Fields(Jwks({{"a", 1}}), Jwks({{"a", 2}}), "a", Mapping("a"))));
  EXPECT_THAT(
      Record::Make(MakeJwk("a", 1), MakeJwk("b", 2)),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("private_jwks lacks current_kid a")));
}

TEST(Record, KnowsWhichSetsHoldAKid) {
  const Record record = MakeRecord({{"a", 1}, {"b", 2}}, {{"a", 11}, {"c", 13}});
  const struct {
    std::string_view kid;
    bool either, both;
  } kCases[] = {{"a", true, true}, {"b", true, false}, {"c", true, false}, {"d", false, false}};
  for (const auto& known : kCases) {
    EXPECT_EQ(record.HasKid(known.kid), known.either) << known.kid;
    EXPECT_EQ(record.HasKidInBothSets(known.kid), known.both) << known.kid;
  }
}

TEST(Record, RefusesAMappingThatReadersCouldMisread) {
  const auto with_mapping = [](std::string_view mapping) {
    return Record::Parse(Fields(Jwks({{"a", 1}}), Jwks({{"a", 2}}), "a", mapping)).status();
  };
  EXPECT_THAT(with_mapping(R"({"payload_jwe_kid":"a"})"), IsOk());
  const std::pair<std::string_view, std::string_view> kCases[] = {
      {R"({"payload_jwe_kid":"a","payload\u005fjwe_kid":"a"})", "stands twice"},
      {R"(["payload_jwe_kid"])", "holds no JSON object"},
      {R"({"payload_jwe_kid":7})", "payload_jwe_kid is not a string"},
      {R"({"payload_jwe_kid":"b"})", "must equal current_kid: expected a, found b"},
      {R"({"payload_jwe_kid":"\"/"})", "must equal current_kid: expected a"},
      {R"({"x":{"payload_jwe_kid":"a"}})", "has no payload_jwe_kid"}};
  for (const auto& [mapping, message] : kCases) {
    EXPECT_THAT(with_mapping(mapping),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(std::string(message))));
  }
}

TEST(Record, KnowsWhetherItIsMirrored) {
  EXPECT_TRUE(Record::Parse(RecordData("rotated_by_runbook"))->mirrored());
  EXPECT_FALSE(Record::Parse(RecordData("bootstrapped"))->mirrored());
  EXPECT_FALSE(Record::Parse(RecordData("rotated_independent"))->mirrored());
  EXPECT_TRUE(MakeRecord({{"a", 1}, {"b", 2}}, {{"b", 2}, {"a", 1}}).mirrored());
  EXPECT_FALSE(MakeRecord({{"a", 1}, {"b", 2}}, {{"a", 1}}).mirrored());
  EXPECT_FALSE(MakeRecord({{"a", 1}}, {{"a", 1}, {"b", 2}}).mirrored());
  EXPECT_FALSE(MakeRecord({{"a", 1}, {"b", 2}}, {{"a", 1}, {"c", 2}}).mirrored());
  EXPECT_FALSE(MakeRecord({{"a", 1}, {"b", 2}}, {{"a", 1}, {"b", 3}}).mirrored());
}

TEST(Record, OfOneTextTwiceHoldsItsKeysOnceAndIsEditedAsAnyOther) {
  const Record record = *Record::Parse(RecordData("rotated_by_runbook"));
  const KeySet& keys = record.set(Set::kKeys);
  const KeySet& private_jwks = record.set(Set::kPrivateJwks);
  EXPECT_EQ(keys.set(), Set::kKeys);
  EXPECT_EQ(private_jwks.set(), Set::kPrivateJwks);
  ASSERT_GT(keys.keys().size(), 1u);
  for (std::size_t i = 0; i < keys.keys().size(); ++i) {
    EXPECT_TRUE(private_jwks.keys()[i].Shares(keys.keys()[i])) << i;
  }

  const std::string oldest = keys.Kids().back();
  KeySet fewer = private_jwks.Clone();
  fewer.Remove(oldest);
  const Record edited = *record.With(keys.Clone(), fewer.Clone(), record.current_kid());
  EXPECT_EQ(edited.ToJson()["keys"], record.ToJson()["keys"]);
  EXPECT_EQ(edited.ToJson()["private_jwks"], base::JsonText(fewer.Encode().view()));
  EXPECT_NE(edited.ToJson()["private_jwks"], record.ToJson()["private_jwks"]);
  EXPECT_EQ(edited.ToText()->view(), Dump(edited));
}

// A set that passes as private_jwks but not as keys is refused though it stands in both places.
TEST(Record, OfOneTextTwiceMustBeGoodAsKeys) {
  const std::string set = Base64(absl::StrReplaceAll(Jwks({{"a", 1}}), {{R"("use":"enc",)", ""}}));
  ASSERT_THAT(KeySet::Parse(Set::kPrivateJwks, set), IsOk());
  base::Json fields = MakeRecord({{"a", 1}}, {{"a", 1}}).ToJson();
  fields["keys"] = fields["private_jwks"] = base::JsonText(set);
  EXPECT_THAT(Record::Parse(fields), StatusIs(absl::StatusCode::kInvalidArgument,
                                              HasSubstr("keys[0] (kid a): use is missing")));
}

TEST(Record, KnowsTheKeysOfBothSets) {
  const Record record = MakeRecord({{"a", 1}, {"b", 2}}, {{"a", 1}, {"b", 3}, {"c", 4}});
  for (const int seed : {1, 2, 3, 4}) EXPECT_TRUE(record.HasKey(K(seed))) << seed;
  EXPECT_FALSE(record.HasKey(K(5)));
  // Some keys shared, and others not: one that only private_jwks has, before and after them.
  const Record mirrored = *Record::Parse(RecordData("rotated_by_runbook"));
  KeySet private_jwks = mirrored.set(Set::kPrivateJwks).Clone();
  private_jwks.Append(MakeJwk("last", 6));
  const Record behind = *mirrored.With(mirrored.set(Set::kKeys).Clone(), private_jwks.Clone(),
                                       mirrored.current_kid());
  private_jwks.Prepend(MakeJwk("first", 7));
  const Record around = *mirrored.With(mirrored.set(Set::kKeys).Clone(), private_jwks.Clone(),
                                       mirrored.current_kid());
  for (const Jwk& jwk : mirrored.set(Set::kKeys).keys()) {
    EXPECT_TRUE(mirrored.HasKey(jwk.key()) && around.HasKey(jwk.key()));
  }
  EXPECT_TRUE(behind.HasKey(K(6)) && around.HasKey(K(6)) && around.HasKey(K(7)));
  EXPECT_FALSE(mirrored.HasKey(K(6)) || behind.HasKey(K(7)) || around.HasKey(K(5)));
}

TEST(Record, KnowsTheLatestKidTimeOfBothSets) {
  EXPECT_EQ(TwoKeys().LatestKidTime(), UuidV1Time(kMidKid));
  EXPECT_EQ(MakeRecord({{kOldKid, 1}}, {{kOldKid, 2}, {kNewKid, 3}}).LatestKidTime(),
            UuidV1Time(kNewKid));
  EXPECT_EQ(MakeRecord({{"a", 1}}, {{"a", 2}}).LatestKidTime(), std::nullopt);
}

TEST(Record, WithRefusesWhatBreaksAnInvariant) {
  const Record record = TwoKeys();
  KeySet keys = record.set(Set::kKeys).Clone();
  KeySet private_jwks = record.set(Set::kPrivateJwks).Clone();
  EXPECT_THAT(
      record.With(keys.Clone(), private_jwks.Clone(), kOldKid),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("must be the first key of keys")));
  private_jwks.Remove(kOldKid);
  keys.MoveToFront(kOldKid);
  EXPECT_THAT(
      record.With(keys.Clone(), private_jwks.Clone(), kOldKid),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("private_jwks lacks current_kid")));
  keys.Append(MakeJwk(kMidKid, 9));
  EXPECT_THAT(record.With(keys.Clone(), record.set(Set::kPrivateJwks).Clone(), kOldKid),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr(Cat("keys would hold kid ", kMidKid, " twice"))));
  private_jwks.Append(MakeJwk(kMidKid, 9));
  EXPECT_THAT(record.With(record.set(Set::kKeys).Clone(), private_jwks.Clone(), kMidKid),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr(Cat("private_jwks would hold kid ", kMidKid, " twice"))));
}

TEST(Record, GoodRecordsWarnOfNothing) {
  EXPECT_THAT(TwoKeys().Warnings(kNow), IsEmpty());
  for (const std::string_view name :
       {"bootstrapped", "rotated_independent", "rotated_by_runbook", "legacy_previous_kids",
        "extra_private_key_and_mapping", "sixty_keys", "unknown_members",
        "private_current_not_first"}) {
    EXPECT_THAT(Record::Parse(RecordData(name))->Warnings(kNow), IsEmpty()) << name;
  }
}

TEST(Record, WarnsOfWhatHurtsAReader) {
  EXPECT_THAT(MakeRecord({{"legacy", 1}}, {{"legacy", 2}}).Warnings(kNow),
              ElementsAre(HasSubstr("current_kid legacy is not a UUID version 1: ESS refuses it")));
  EXPECT_THAT(TwoKeys().Warnings(*UuidV1Time(kMidKid) - absl::Hours(1)),
              ElementsAre(AllOf(HasSubstr(Cat("in the future (latest 2026-04-27T")),
                                HasSubstr(Cat(kMidKid)), HasSubstr("48 h"))));
  EXPECT_THAT(TwoKeys().Warnings(*UuidV1Time(kMidKid) - absl::Seconds(10)), IsEmpty());
  EXPECT_THAT(
      MakeRecord({{kMidKid, 1}, {kOldKid, 2}}, {{kMidKid, 11}, {kOldKid, 2}}).Warnings(kNow),
      ElementsAre(AllOf(HasSubstr("the same key as keys under some kids"), HasSubstr(Cat(kOldKid)),
                        Not(HasSubstr(Cat(kMidKid))))));
  EXPECT_THAT(MakeRecord({{kMidKid, 1}, {kOldKid, 2}}, {{kMidKid, 11}}).Warnings(kNow),
              ElementsAre(HasSubstr(Cat("private_jwks lacks kids that keys has: ", kOldKid, "."))));
  EXPECT_THAT(
      MakeRecord({{kMidKid, 1}, {kOldKid, 1}}, {{kMidKid, 11}, {kOldKid, 12}}).Warnings(kNow),
      ElementsAre(HasSubstr(Cat("different kids hold the same key: ", kMidKid, ", ", kOldKid))));
  const std::string placeholder =
      Cat(R"({"keys":[)", MakeJwk(kMidKid, 11).json(), R"(],"x":"${HOME}"})");
  EXPECT_THAT(Record::Parse(Fields(Jwks({{kMidKid, 1}}), placeholder, kMidKid, Mapping(kMidKid)))
                  ->Warnings(kNow),
              ElementsAre(HasSubstr("a literal \"${\"")));
  const std::string zeros =
      Cat(R"({"keys":[)", Jwk::Make(kMidKid, base::SecretBytes(kKeySize)).json(), "]}");
  EXPECT_THAT(
      Record::Parse(Fields(zeros, Jwks({{kMidKid, 1}}), kMidKid, Mapping(kMidKid)))->Warnings(kNow),
      ElementsAre(HasSubstr("one byte repeated")));
}

}  // namespace
}  // namespace mek
