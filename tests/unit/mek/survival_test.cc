// Property: whatever stands around the keys survives every operation byte for byte.
#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

#include "mek/json_span.h"
#include "mek/kid.h"
#include "mek/rotation.h"
#include "support/fakes.h"
#include "support/status_matchers.h"
#include "unit/mek/samples.h"

namespace mek {
namespace {

using ::testing_support::IsOk;

// Writes valid JSON in odd ways: order, whitespace, escapes and number spellings vary with the
// seed.
class OddWriter {
 public:
  explicit OddWriter(std::uint64_t seed) : random_(seed) {}

  std::size_t Below(std::size_t n) { return random_() % n; }

  std::string Space() {
    std::string space;
    while (Below(3) == 0) space += std::string_view(" \t\n\r")[Below(4)];
    return space;
  }
  // A string, now and then with \u escapes in place of characters.
  std::string String(std::string_view text) {
    std::string out = "\"";
    for (const char c : text) {
      if (Below(12) == 0) {
        constexpr std::string_view kHex = "0123456789abcdef";
        const auto byte = static_cast<unsigned char>(c);
        out += Cat("\\u00", kHex.substr(byte >> 4, 1), kHex.substr(byte & 15, 1));
      } else {
        out += c;
      }
    }
    return out + "\"";
  }
  std::string Junk() {
    constexpr std::string_view kJunk[] = {"1.0e2",
                                          "-0",
                                          "0.10",
                                          "1E+5",
                                          "9007199254740993",
                                          "null",
                                          "[ ]",
                                          R"({"keys" : [ {"kid":"x"} ] })",
                                          R"("a\"]}\\")",
                                          R"(["\u00e9", {"k\/":"}"}])",
                                          "true",
                                          R"("\ud83d\ude00 ")"};
    return std::string(kJunk[Below(std::size(kJunk))]);
  }
  // An object of `members` (name, raw value) and a few unknown ones, shuffled.
  std::string Object(std::vector<std::pair<std::string, std::string>> members) {
    for (std::size_t i = Below(4); i > 0; --i) {
      members.insert(members.begin() + static_cast<std::ptrdiff_t>(Below(members.size() + 1)),
                     {Cat("x-", i), Junk()});
    }
    std::ranges::shuffle(members, random_);
    std::string out = Cat(Space(), "{");
    for (std::size_t i = 0; i < members.size(); ++i) {
      out += Cat(i == 0 ? "" : ",", Space(), String(members[i].first), Space(), ":", Space(),
                 members[i].second, Space());
    }
    return Cat(out, "}", Space());
  }
  std::string OddJwk(std::string_view kid, const base::SecretBytes& k) {
    std::string text = Object({{"kty", "\"oct\""},
                               {"use", String("enc")},
                               {"kid", String(kid)},
                               {"k", String(base::Base64UrlEncode(k.view()).view())},
                               {"alg", "\"A256GCM\""}});
    const std::size_t start = text.find('{');
    return text.substr(start, text.rfind('}') + 1 - start);
  }

 private:
  std::mt19937_64 random_;
};

struct OddSet {
  std::string prefix, suffix;
  std::vector<std::string> elements;
  std::string text;
};

OddSet MakeSet(OddWriter& odd, const std::vector<std::string>& kids, base::Random& random) {
  OddSet set;
  std::string array = Cat("[", odd.Space());
  for (const std::string& kid : kids) {
    base::SecretBytes k(kKeySize);
    EXPECT_THAT(random.Fill(k.mutable_span()), IsOk());
    set.elements.push_back(odd.OddJwk(kid, k));
    if (set.elements.size() > 1) array += Cat(odd.Space(), ",", odd.Space());
    array += set.elements.back();
  }
  array += odd.Space() + "]";
  set.text = odd.Object({{"keys", array}});
  const std::size_t first = set.text.find(set.elements.front());
  set.prefix = set.text.substr(0, first);
  const std::size_t last = set.text.rfind(set.elements.back()) + set.elements.back().size();
  set.suffix = set.text.substr(last);
  return set;
}

std::string JsonOf(const Record& record, Set set) {
  return std::string(record.set(set).json().view());
}

// The set's text with the given elements, whatever the gaps between them.
void ExpectMadeOf(const std::string& text, const OddSet& old, std::vector<std::string> elements) {
  ASSERT_TRUE(text.starts_with(old.prefix)) << text;
  ASSERT_TRUE(text.ends_with(old.suffix)) << text;
  const std::vector<std::string_view> found = ArrayElements(*FindMember(text, "keys"));
  ASSERT_EQ(found.size(), elements.size());
  for (std::size_t i = 0; i < found.size(); ++i) EXPECT_EQ(found[i], elements[i]);
}

class Survival : public ::testing::TestWithParam<int> {};

TEST_P(Survival, OfEveryOtherByteThroughRotateStagePromoteRollbackAndRetire) {
  const auto seed = static_cast<std::uint64_t>(GetParam());
  OddWriter odd(seed);
  testing_support::SeededRandom random(seed + 1000);
  std::vector<std::string> kids;
  for (std::size_t i = 0; i <= odd.Below(4); ++i)
    kids.push_back(*NewKid(kNow, std::nullopt, random));
  std::vector<std::string> private_kids = kids;
  if (odd.Below(2) == 0) std::ranges::reverse(private_kids);
  const OddSet keys = MakeSet(odd, kids, random);
  const OddSet private_jwks = MakeSet(odd, private_kids, random);
  const std::string mapping_value = odd.String(kids.front());
  const std::string mapping = odd.Object({{"payload_jwe_kid", mapping_value}});

  base::Json fields = Fields(keys.text, private_jwks.text, kids.front(), mapping);
  fields["x-note"] = base::JsonText("kept");
  const absl::StatusOr<Record> parsed = Record::Parse(fields);
  ASSERT_THAT(parsed, IsOk()) << keys.text << mapping;
  const Record& record = *parsed;
  EXPECT_EQ(Dump(record), Dump(fields));

  const NewKey key = *GenerateKey(&record, std::nullopt, PrivateJwks::kAuto, kNow, random);
  const std::string made_k(Jwk::Make(key.kid, key.keys_k).json());
  const std::string made_p(Jwk::Make(key.kid, key.private_k).json());
  const auto with = [](const OddSet& set, const std::string& made, bool front) {
    std::vector<std::string> elements = set.elements;
    elements.insert(front ? elements.begin() : elements.end(), made);
    return elements;
  };

  const Record rotated = *Rotate(record, key);
  ExpectMadeOf(JsonOf(rotated, Set::kKeys), keys, with(keys, made_k, true));
  ExpectMadeOf(JsonOf(rotated, Set::kPrivateJwks), private_jwks, with(private_jwks, made_p, true));
  // From the old first element on, nothing moved at all.
  EXPECT_TRUE(JsonOf(rotated, Set::kKeys).ends_with(keys.text.substr(keys.prefix.size())));

  const Record staged = *Stage(record, key);
  ExpectMadeOf(JsonOf(staged, Set::kKeys), keys, with(keys, made_k, false));
  EXPECT_TRUE(JsonOf(staged, Set::kKeys)
                  .starts_with(keys.text.substr(0, keys.text.size() - keys.suffix.size())));
  EXPECT_EQ(staged.jwe_mapping(), mapping);

  const Record promoted = *Promote(staged, key.kid);
  ExpectMadeOf(JsonOf(promoted, Set::kKeys), keys, with(keys, made_k, true));
  ExpectMadeOf(JsonOf(promoted, Set::kPrivateJwks), private_jwks, with(private_jwks, made_p, true));

  const Record back = *RollbackKeeping(record, rotated, {});
  ExpectMadeOf(JsonOf(back, Set::kKeys), keys, with(keys, made_k, false));
  ExpectMadeOf(JsonOf(back, Set::kPrivateJwks), private_jwks, with(private_jwks, made_p, false));
  EXPECT_EQ(back.jwe_mapping(), mapping);

  // Without the newer key the sets are what they were, to the byte.
  EXPECT_EQ(Dump(*Retire(back, key.kid)), Dump(record));

  const std::size_t value_at =
      static_cast<std::size_t>(FindMember(mapping, "payload_jwe_kid")->data() - mapping.data());
  EXPECT_EQ(rotated.jwe_mapping(), Cat(mapping.substr(0, value_at), "\"", key.kid, "\"",
                                       mapping.substr(value_at + mapping_value.size())));

  for (const Record* each : {&rotated, &staged, &promoted, &back}) {
    const absl::StatusOr<Record> again = Record::Parse(each->ToJson());
    ASSERT_THAT(again, IsOk());
    EXPECT_EQ(Dump(*again), Dump(*each));
    EXPECT_EQ(*base::FindString(each->ToJson(), "x-note"), "kept");
  }
}

INSTANTIATE_TEST_SUITE_P(Seeds, Survival, ::testing::Range(0, 300));

}  // namespace
}  // namespace mek
