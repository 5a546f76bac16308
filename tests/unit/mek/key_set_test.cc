#include "mek/key_set.h"

#include <gtest/gtest.h>

#include <string>

#include "absl/strings/str_replace.h"
#include "support/status_matchers.h"
#include "unit/mek/samples.h"

namespace mek {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing_support::IsOk;
using ::testing_support::StatusIs;

absl::StatusOr<KeySet> Parse(std::string_view json) {
  return KeySet::Parse(Set::kKeys, Base64(json));
}

std::string J(std::string_view kid, int seed) { return std::string(MakeJwk(kid, seed).json()); }

// As Python and editors lay it out, with members around.
std::string Pretty() {
  return Cat("{\n  \"version\": 1.0e2,\n  \"k\\u0065ys\": [\n    ", J("a", 1), ",\n    ", J("b", 2),
             "\n  ],\n  \"owner\": {\"keys\": []}\n}\n");
}

TEST(KeySet, UntouchedEncodesToTheSameField) {
  for (const std::string& json : {Jwks({{"a", 1}}), Jwks({{"a", 1}, {"b", 2}}), Pretty(),
                                  Cat(" {\"keys\":[ ", J("a", 1), " ,\t", J("b", 2), "]}")}) {
    const absl::StatusOr<KeySet> set = Parse(json);
    ASSERT_THAT(set, IsOk());
    EXPECT_EQ(set->json().view(), json);
    EXPECT_EQ(set->Encode().view(), Base64(json));
    EXPECT_EQ(set->Clone().Encode(), set->Encode());
    EXPECT_EQ(set->set(), Set::kKeys);
  }
}

TEST(KeySet, EditsKeepEveryOtherByte) {
  KeySet set = *Parse(Pretty());
  const std::string head = "{\n  \"version\": 1.0e2,\n  \"k\\u0065ys\": [\n    ";
  const std::string tail = "\n  ],\n  \"owner\": {\"keys\": []}\n}\n";
  const std::string gap = ",\n    ";

  set.Prepend(MakeJwk("c", 3));
  EXPECT_EQ(set.json().view(), head + J("c", 3) + gap + J("a", 1) + gap + J("b", 2) + tail);
  set.Append(MakeJwk("d", 4));
  EXPECT_EQ(set.json().view(),
            head + J("c", 3) + gap + J("a", 1) + gap + J("b", 2) + gap + J("d", 4) + tail);
  set.MoveToFront("b");
  EXPECT_THAT(set.Kids(), ElementsAre("b", "c", "a", "d"));
  set.Remove("b");
  set.Remove("a");
  set.Remove("d");
  EXPECT_EQ(set.json().view(), head + J("c", 3) + tail);
  set.Append(MakeJwk("e", 5));
  EXPECT_EQ(set.json().view(), head + J("c", 3) + gap + J("e", 5) + tail);
  EXPECT_THAT(KeySet::Parse(Set::kKeys, set.Encode().view()), IsOk());
}

TEST(KeySet, AFirstNeighbourFollowsTheLayoutOfTheOnlyKey) {
  KeySet compact = *Parse(Jwks({{"a", 1}}));
  compact.Append(MakeJwk("b", 2));
  EXPECT_EQ(compact.json().view(), Jwks({{"a", 1}, {"b", 2}}));
  KeySet lines = *Parse(Cat("{\"keys\":[\n ", J("a", 1), "\n]}"));
  lines.Prepend(MakeJwk("b", 2));
  EXPECT_EQ(lines.json().view(), Cat("{\"keys\":[\n ", J("b", 2), ",\n ", J("a", 1), "\n]}"));
}

TEST(KeySet, EditsOfAnUnknownKidDoNothing) {
  KeySet set = *Parse(Pretty());
  set.MoveToFront("x");
  set.Remove("x");
  set.Replace(MakeJwk("x", 9));
  EXPECT_EQ(set.json().view(), Pretty());
  set.MoveToFront("a");
  EXPECT_EQ(set.json().view(), Pretty());
}

TEST(KeySet, OfWhichTheOnlyKeyIsTakenKeepsWhatStandsAround) {
  KeySet set = *Parse(Cat("{\"keys\":[\n ", J("a", 1), "\n],\"x\":1}"));
  set.Remove("a");
  EXPECT_EQ(set.json().view(), "{\"keys\":[\n \n],\"x\":1}");
  EXPECT_EQ(set.Kids().size(), 0u);
}

TEST(KeySet, FindsByKidByteForByte) {
  const KeySet set = *Parse(Jwks({{"a", 1}, {"b", 2}}));
  EXPECT_EQ(set.Find("b")->key(), K(2));
  EXPECT_EQ(set.Find("B"), nullptr);
}

// A set of the usual shape is read by a way of its own (PlainObjects); one escape in it, and it
// isn't.
TEST(KeySet, IsTheSameWhicheverWayItIsRead) {
  const std::string escaped = R"("alg":"A256GC\u004d")";
  const auto plainly = [&](const KeySet& set) {
    return absl::StrReplaceAll(base::ToAbsl(set.json().view()), {{escaped, R"("alg":"A256GCM")"}});
  };
  for (const std::string& text :
       {Jwks({{"a", 1}, {"b", 2}, {"c", 3}}), Pretty(), Cat(" ", Jwks({{"a", 1}}), "\r\n")}) {
    KeySet plain = *Parse(text);
    KeySet other = *Parse(absl::StrReplaceAll(text, {{R"("alg":"A256GCM")", escaped}}));
    ASSERT_NE(other.json(), plain.json());
    EXPECT_EQ(other.Kids(), plain.Kids());
    for (const Jwk& jwk : plain.keys()) EXPECT_TRUE(other.Find(jwk.kid())->HasKeyOf(jwk));
    EXPECT_EQ(plainly(other), text);
    for (KeySet* set : {&plain, &other}) {
      set->Prepend(MakeJwk("first", 8));
      set->Append(MakeJwk("last", 9));
      set->Remove("a");
    }
    EXPECT_EQ(plainly(other), plainly(plain));
  }
}

TEST(KeySet, LookupFindsInAnyOrder) {
  KeySet set = KeySet::Make(Set::kKeys, MakeJwk("kid-0", 0));
  for (int i = 1; i < 20; ++i) set.Append(MakeJwk(Cat("kid-", i), i));
  KeySet::Lookup lookup(set);
  const auto find = [&](int i) { return lookup.Find(Cat("kid-", i)); };
  for (const int i : {0, 1, 2, 4, 7, 12, 11, 11, 3, 19, 0, 18}) {
    EXPECT_EQ(find(i), &set.keys()[static_cast<std::size_t>(i)]) << i;
  }
  EXPECT_EQ(find(20), nullptr);
  EXPECT_EQ(find(19), &set.keys()[19]);
  EXPECT_TRUE(lookup.Contains("kid-5"));
  EXPECT_FALSE(lookup.Contains("kid-50"));
}

TEST(KeySet, LookupMissesWhatIsNotThereHoweverOften) {
  KeySet set = KeySet::Make(Set::kKeys, MakeJwk("kid-0", 0));
  for (int i = 1; i < 20; ++i) set.Append(MakeJwk(Cat("kid-", i), i));
  KeySet::Lookup lookup(set);
  for (int i = 0; i < 5; ++i) {
    EXPECT_EQ(lookup.Find(Cat("other-", i)), nullptr) << i;
    EXPECT_EQ(lookup.Find(Cat("kid-", i)), &set.keys()[static_cast<std::size_t>(i)]) << i;
    EXPECT_EQ(lookup.Find(Cat("kid-", 19 - i)), &set.keys()[static_cast<std::size_t>(19 - i)]) << i;
  }
}

TEST(KeySet, KnowsWhetherAnotherHasItsTextAndItsKids) {
  const KeySet set = *Parse(Pretty());
  const auto changed = [&](const std::string& from, const std::string& to) {
    const std::string text = absl::StrReplaceAll(Pretty(), {{from, to}});
    EXPECT_NE(text, Pretty());
    return *Parse(text);
  };
  EXPECT_TRUE(set.HasTextOf(set));
  EXPECT_TRUE(set.HasTextOf(*KeySet::Parse(Set::kPrivateJwks, Base64(Pretty()))));
  EXPECT_TRUE(set.HasKidsOf(set));
  EXPECT_FALSE(set.HasTextOf(changed("1.0e2", "100")));
  EXPECT_FALSE(set.HasTextOf(changed(",\n    ", ", ")));
  EXPECT_FALSE(set.HasTextOf(changed("}\n", "}")));
  EXPECT_FALSE(set.HasTextOf(changed(J("b", 2), J("b", 3))));
  EXPECT_TRUE(set.HasKidsOf(changed(J("b", 2), J("b", 3))));
  EXPECT_FALSE(set.HasKidsOf(changed(J("b", 2), J("c", 2))));
  KeySet edited = set.Clone();
  edited.MoveToFront("b");
  EXPECT_FALSE(set.HasKidsOf(edited));
  EXPECT_FALSE(set.HasTextOf(edited));
  edited.MoveToFront("a");
  EXPECT_TRUE(set.HasTextOf(edited));
  edited.Append(MakeJwk("c", 3));
  EXPECT_FALSE(set.HasKidsOf(edited));
  EXPECT_FALSE(set.HasTextOf(edited));
}

TEST(KeySet, RefusesWhatIsNoKeySet) {
  const struct {
    std::string field;
    std::string_view message;
  } kCases[] = {
      {"", "keys is empty: expected base64 of"},
      {"%%%", "keys is not base64"},
      {Base64(Jwks({{"a", 1}})) + "\n", "keys is not base64"},
      {Base64("{\"keys\":["),
       "keys does not decode to JSON that readers can rely on: not valid JSON"},
      {Base64("\xef\xbb\xbf" + Jwks({{"a", 1}})), "byte order mark"},
      {Base64(Jwks({{"a", 1}}) + '\0'), "not valid JSON"},
      {Base64(std::string(100, '[') + std::string(100, ']')), "nested deeper than 64"},
      {Base64("[1]"), "keys decodes to no JSON object with an array \"keys\""},
      {Base64("{}"), "keys decodes to no JSON object with an array \"keys\""},
      {Base64("{\"keys\":{}}"), "keys decodes to no JSON object with an array \"keys\""},
      {Base64("{\"keys\":[]}"), "keys holds no key"},
      {Base64("{\"keys\":[],\"k\\u0065ys\":[]}"), "stands twice"},
      {Base64(Jwks({{"a", 1}, {"b", 2}, {"a", 3}})), "keys[2] (kid a): the same kid stands twice"},
      {Base64(Jwks({{"a", 1}, {"a", 1}})), "keys[1] (kid a): the same kid stands twice"},
      {Base64("{\"keys\":[7]}"), "keys[0]: not a JSON object"},
  };
  for (const auto& broken : kCases) {
    EXPECT_THAT(
        KeySet::Parse(Set::kKeys, broken.field),
        StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(std::string(broken.message))));
  }
}

}  // namespace
}  // namespace mek
