#include "mek/json_span.h"

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

#include "base/text.h"
#include "support/status_matchers.h"

namespace mek {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(Members, AreWhatTheLibrarySeesInMutatedTexts) {
  const std::string_view seeds[] = {
      R"({"keys":[{"kty":"oct","use":"enc","kid":"a","k":"AA","alg":"A256GCM"},{"x":[1.0e2,-0,null]}]})",
      "{\"k\\u0065ys\" : [ true , \"\\ud83d\\ude00\xc3\xa9\" ] ,\n\"a\":{\"b\":{\"c\":[[],{}]}}, "
      "\"z\":12.50E+1}"};
  constexpr std::string_view kBytes = "{}[]\",:\\ue0129.-+Ent \n\t\x01\x7f\xc3\xa9\xed";
  std::mt19937_64 random(1);
  const auto below = [&](std::size_t n) { return static_cast<std::size_t>(random() % n); };
  int accepted = 0;
  for (int i = 0; i < 60'000; ++i) {
    std::string text(seeds[below(2)]);
    for (std::size_t edits = 1 + below(3); edits > 0; --edits) {
      const std::size_t at = below(text.size());
      switch (below(4)) {
        case 0:
          text[at] = kBytes[below(kBytes.size())];
          break;
        case 1:
          text.insert(at, 1, kBytes[below(kBytes.size())]);
          break;
        case 2:
          text.erase(at, 1 + below(3));
          break;
        default:
          text.insert(at, text.substr(below(text.size()), below(12)));
      }
      if (text.empty()) text.assign(1, '0');  // GCC 12 warns of assigning a literal
    }
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
