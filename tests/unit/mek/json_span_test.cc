#include "mek/json_span.h"

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <utility>
#include <vector>

#include "base/text.h"
#include "support/status_matchers.h"

namespace mek {
namespace {

using ::testing::ElementsAre;
using ::testing::ElementsAreArray;
using ::testing::IsEmpty;

// Texts that are the seeds but for a few bytes. The same in every run.
class Mutations {
 public:
  explicit Mutations(std::vector<std::string> seeds) : seeds_(std::move(seeds)) {}

  std::string Next() {
    constexpr std::string_view kBytes = "{}[]\",:\\ue0129.-+Ent \n\t\x01\x7f\xc3\xa9\xed";
    std::string text = seeds_[Below(seeds_.size())];
    for (std::size_t edits = 1 + Below(3); edits > 0; --edits) {
      const std::size_t at = Below(text.size());
      switch (Below(4)) {
        case 0:
          text[at] = kBytes[Below(kBytes.size())];
          break;
        case 1:
          text.insert(at, 1, kBytes[Below(kBytes.size())]);
          break;
        case 2:
          text.erase(at, 1 + Below(3));
          break;
        default:
          text.insert(at, text.substr(Below(text.size()), Below(12)));
      }
      if (text.empty()) text.assign(1, '0');  // GCC 12 warns of assigning a literal
    }
    return text;
  }

 private:
  std::size_t Below(std::size_t n) { return static_cast<std::size_t>(random_() % n); }

  const std::vector<std::string> seeds_;
  std::mt19937_64 random_{1};
};

TEST(PlainObjects, AreWhatTheOtherFunctionsFindInMutatedTexts) {
  Mutations mutations(
      {R"({"keys":[{"kty":"oct","use":"enc","kid":"a","k":"AA","alg":"A256GCM"},{"kid":"b"}]})",
       "{ \"keys\": [\n  {\"kty\": \"oct\", \"kid\": \"c\"},\n\t{ \"a\" : \"\" } ] }\r\n"});
  int complete = 0;
  for (int i = 0; i < 60'000; ++i) {
    const std::string text = mutations.Next();
    std::vector<std::string> elements;
    std::vector<std::vector<std::pair<std::string, std::string>>> members;
    PlainObjects objects(text, "keys");
    while (objects.Next()) {
      elements.emplace_back(objects.element());
      members.emplace_back();
      for (const TextMember& member : objects.members()) {
        members.back().emplace_back(member.name, *member.text);
      }
    }
    ASSERT_FALSE(objects.Next());
    if (!objects.complete()) continue;
    ++complete;
    ASSERT_THAT(base::CheckJson(text), testing_support::IsOk()) << text;
    ASSERT_THAT(ArrayElements(*FindMember(text, "keys")), ElementsAreArray(elements)) << text;
    for (std::size_t e = 0; e < elements.size(); ++e) {
      const base::Json element = *base::ParseJson(elements[e]);
      ASSERT_EQ(element.size(), members[e].size()) << text;
      for (const auto& [name, value] : members[e]) {
        ASSERT_EQ(element.at(base::JsonString(name)), base::JsonText(value)) << text;
      }
    }
  }
  // Most, but by no means all.
  EXPECT_GT(complete, 5'000);
  EXPECT_LT(complete, 55'000);
}

TEST(PlainObjects, LeaveWhatNeedsACloserLook) {
  const std::string plain = R"({"a":"1"})";
  const struct {
    std::string text;
    bool complete;
  } kCases[] = {
      {"{\"keys\":[" + plain + "]}", true},
      {"{\"keys\":[" + plain + "," + plain + "]} \n", true},
      {"", false},
      {"[]", false},
      {"{\"keys\":[]}", false},
      {"{\"kyes\":[" + plain + "]}", false},
      {"{\"keys\":[" + plain + "],\"x\":1}", false},
      {"{\"keys\":[" + plain + "]}x", false},
      {"{\"keys\":[" + plain + "]}" + '\0', false},
      {"{\"keys\":[" + plain + ",]}", false},
      {R"({"keys":[{}]})", false},
      {R"({"keys":[{"a":1}]})", false},
      {R"({"keys":[{"a":"1","a":"2"}]})", false},
      {R"({"keys":[{"a":"\u0031"}]})", false},
      {R"({"keys":[{"1":"","2":"","3":"","4":"","5":"","6":"","7":"","8":""}]})", true},
      {R"({"keys":[{"1":"","2":"","3":"","4":"","5":"","6":"","7":"","8":"","9":""}]})", false},
  };
  for (const auto& [text, complete] : kCases) {
    PlainObjects objects(text, "keys");
    while (objects.Next()) {
    }
    EXPECT_EQ(objects.complete(), complete) << text;
  }
}

TEST(Members, AreWhatTheLibrarySeesInMutatedTexts) {
  Mutations mutations(
      {R"({"keys":[{"kty":"oct","use":"enc","kid":"a","k":"AA","alg":"A256GCM"},{"x":[1.0e2,-0,null]}]})",
       "{\"k\\u0065ys\" : [ true , \"\\ud83d\\ude00\xc3\xa9\" ] ,\n\"a\":{\"b\":{\"c\":[[],{}]}}, "
       "\"z\":12.50E+1}"});
  int accepted = 0;
  for (int i = 0; i < 60'000; ++i) {
    const std::string text = mutations.Next();
    const absl::StatusOr<base::Json> value = base::ParseJson(text);
    if (!value.ok()) continue;
    ++accepted;
    if (!value->is_object()) continue;
    // And what the text is taken apart into is what the library sees.
    const auto members = Members(text);
    ASSERT_EQ(members.size(), value->size()) << text;
    for (const RawMember& member : members) {
      base::SecretBytes scratch;
      const std::string name(*StringText(member.name, scratch));
      ASSERT_EQ(*base::ParseJson(member.value), value->at(base::JsonString(name))) << text;
      const std::vector<std::string_view> elements = ArrayElements(member.value);
      const base::Json& seen = value->at(base::JsonString(name));
      ASSERT_EQ(elements.size(), seen.is_array() ? seen.size() : 0) << text;
      for (std::size_t e = 0; e < elements.size(); ++e) {
        ASSERT_EQ(*base::ParseJson(elements[e]), seen[e]) << text;
      }
    }
  }
  EXPECT_GT(accepted, 2000);
}

TEST(StringText, DecodesOnlyWhatHasEscapes) {
  base::SecretBytes scratch;
  const std::string_view plain = "\"a\xc3\xa9\"";
  EXPECT_EQ(StringText(plain, scratch)->data(), plain.data() + 1);
  EXPECT_TRUE(scratch.empty());
  EXPECT_EQ(StringText(R"("k\u0065y\"")", scratch), "key\"");
  EXPECT_EQ(StringText("\"\"", scratch), "");
  for (const std::string_view other : {"7", "[\"a\"]", "null", "\"", "", "\"x", "x\"", "\"\\x\""}) {
    EXPECT_EQ(StringText(other, scratch), std::nullopt) << other;
  }
}

TEST(FindMember, ReturnsTheRawValueInItsOwnSpelling) {
  constexpr std::string_view kText =
      " { \"n\" : 1.0e2 ,\"s\":\"a\\\"},]\\\\\" , \"o\":{\"n\":[1,\"}\"]},\t\"a\":[ ] "
      ",\"t\":true}\n";
  EXPECT_EQ(FindMember(kText, "n"), "1.0e2");
  EXPECT_EQ(FindMember(kText, "s"), R"("a\"},]\\")");
  EXPECT_EQ(FindMember(kText, "o"), R"({"n":[1,"}"]})");
  EXPECT_EQ(FindMember(kText, "a"), "[ ]");
  EXPECT_EQ(FindMember(kText, "t"), "true");
  EXPECT_EQ(FindMember(kText, "x"), std::nullopt);
  EXPECT_EQ(FindMember(kText, ""), std::nullopt);
}

TEST(FindMember, SeesThroughEscapesInNames) {
  EXPECT_EQ(FindMember(R"({"k":0,"k\u0065ys":[1]})", "keys"), "[1]");
  EXPECT_EQ(FindMember(R"({"\u006b\u0065\u0079\u0073":2})", "keys"), "2");
  EXPECT_EQ(FindMember(R"({"a\/b":3})", "a/b"), "3");
  EXPECT_EQ(FindMember(R"({"k\\u0065ys":4})", "keys"), std::nullopt);
  EXPECT_EQ(FindMember(R"({"\ud83d\ude00":5})", "\xf0\x9f\x98\x80"), "5");
}

TEST(FindMember, LooksOnlyAtTheTopLevel) {
  EXPECT_EQ(FindMember(R"({"x":{"keys":[1]},"y":[{"keys":2}]})", "keys"), std::nullopt);
  EXPECT_EQ(FindMember(R"([{"keys":1}])", "keys"), std::nullopt);
  EXPECT_EQ(FindMember("{}", "keys"), std::nullopt);
  EXPECT_EQ(FindMember("7", "keys"), std::nullopt);
}

TEST(ArrayElements, ReturnsEachWithoutTheSpaceAround) {
  EXPECT_THAT(ArrayElements(" [ {\"a\":[1,2]} ,\n\"x,]\",-1.50 , [] ]"),
              ElementsAre(R"({"a":[1,2]})", R"("x,]")", "-1.50", "[]"));
  EXPECT_THAT(ArrayElements("[ ]"), IsEmpty());
  EXPECT_THAT(ArrayElements("{}"), IsEmpty());
}

// The precondition broken: the results mean nothing, but the functions end and stay inside the
// text.
TEST(JsonSpan, StaysInsideTheTextWhateverItIs) {
  const std::string text = R"({"k\u0065ys":[{"a":"\\"},[1,{"b":2}],3],"z":"\u00e9"})";
  for (std::size_t size = 0; size <= text.size(); ++size) {
    for (const char c : std::string_view("{}[]\",:\\x\0", 10)) {
      const std::string broken = text.substr(0, size) + c;
      FindMember(broken, "z");
      ArrayElements(broken);
      ArrayElements(base::Cat("[", broken));
    }
  }
}

TEST(FitsNested, CountsLevelsAndMembers) {
  const base::Json value = *base::ParseJson(R"({"a":[[1]]})");
  EXPECT_TRUE(FitsNested(value, 3));
  EXPECT_FALSE(FitsNested(value, 2));
  EXPECT_TRUE(FitsNested(base::Json(7), 0));
  base::Json wide = base::Json::object();
  for (std::size_t i = 0; i < base::kMaxJsonMembers; ++i) {
    wide[base::JsonString(std::to_string(i))] = 0;
  }
  EXPECT_TRUE(FitsNested(wide, 1));
  wide["one more"] = 0;
  EXPECT_FALSE(FitsNested(wide, 1));
}

}  // namespace
}  // namespace mek
