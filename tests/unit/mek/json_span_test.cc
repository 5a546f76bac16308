#include "mek/json_span.h"

#include <gtest/gtest.h>

#include <string>

#include "support/status_matchers.h"

namespace mek {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing_support::IsOk;
using ::testing_support::StatusIs;

TEST(ParseStrictJson, RefusesWhatReadersDoNotForgive) {
  EXPECT_THAT(ParseStrictJson(" {} \n"), IsOk());
  EXPECT_THAT(ParseStrictJson("\xef\xbb\xbf{}"),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("byte order mark")));
  using std::string_literals::operator""s;
  for (const std::string& bad : {"{}\0"s, "{}\0 x"s, "\0{}"s}) {
    EXPECT_THAT(ParseStrictJson(bad),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("JSON")));
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
      ArrayElements("[" + broken);
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
