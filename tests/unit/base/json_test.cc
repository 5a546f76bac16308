#include "base/json.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "support/status_matchers.h"

namespace base {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing_support::IsOk;
using ::testing_support::StatusIs;

TEST(Json, KeepsTheOrderOfMembers) {
  EXPECT_EQ(DumpJson(*ParseJson(R"({"z":1,"a":[true,null],"m":{"y":"\u00e9","b":2}})"))->view(),
            "{\"z\":1,\"a\":[true,null],\"m\":{\"y\":\"\xc3\xa9\",\"b\":2}}");
}

// A string by itself may take a shorter way than one within a value.
TEST(Json, AStringIsTheSameAloneAndWithinAValue) {
  std::vector<std::string> texts = {"\"",       "\"\"",    "\"\"\"",      R"("a\")",
                                    R"("a\"")", R"("\\")", R"("\u0041")", "\"\xc3\xa9\"",
                                    "\"a\" ",   " \"a\"",  "\"a\",\"b\""};
  for (int byte = 0; byte < 256; ++byte) {
    texts.push_back(absl::StrCat("\"a", std::string(1, static_cast<char>(byte)), "z\""));
  }
  std::size_t good = 0;
  for (const std::string& text : texts) {
    const absl::StatusOr<Json> alone = ParseJson(text);
    const absl::StatusOr<Json> within = ParseJson(absl::StrCat("[", text, "]"));
    const bool one = within.ok() && within->size() == 1;
    ASSERT_EQ(alone.ok(), one) << text;
    if (!one) continue;
    EXPECT_EQ(*alone, within->front()) << text;
    ++good;
  }
  // Of the bytes, printable ASCII but for the quote and the backslash, and DEL.
  EXPECT_EQ(good, 7u + 94u);
}

// CheckJson knows a shorter way for what is usual.
TEST(Json, CheckingAndParsingAgree) {
  const std::string good =
      R"( {"kid" : "a-\"b\\c\/","n":[ -10, 0,123456789012345678 ,[],{}],"t":true,"f":false,"z":null,)"
      R"("inner":{"kid":"~ !","x":{"kid":1}}} )";
  ASSERT_THAT(CheckJson(good), IsOk());
  std::vector<std::string> texts = {"",
                                    " ",
                                    "1",
                                    "01",
                                    "-",
                                    "-0",
                                    "1.5",
                                    "1e3",
                                    "1E400",
                                    "nul",
                                    "{}}",
                                    R"(["\u0041"])",
                                    R"(["\u00"])",
                                    R"({"a":1,"\u0061":2})",
                                    R"({"a":1,"a":2})",
                                    R"([{"a":1},{"a":2}])",
                                    R"({"a":{"a":1}})",
                                    R"({"a":{"b":1},"b":2,"a":3})",
                                    "[1,]",
                                    "{\"a\":1,}",
                                    "[1 2]",
                                    "\xef\xbb\xbf{}",
                                    "9223372036854775808",
                                    "[18446744073709551616]",
                                    "\"\xc3\xa9\"",
                                    "\"\xff\""};
  for (std::size_t at = 0; at < good.size(); ++at) {
    texts.push_back(good.substr(0, at));
    texts.push_back(good.substr(0, at) + good.substr(at + 1));
    // NUL too, which ends the literal.
    for (const char byte : "\x1f\t\n \"\\,:[]{}-+.019eEunkt/~\x7f\x80\xff") {
      texts.push_back(good);
      texts.back()[at] = byte;
    }
  }
  std::size_t accepted = 0;
  for (const std::string& text : texts) {
    const absl::Status checked = CheckJson(text);
    const absl::Status parsed = ParseJson(text).status();
    ASSERT_EQ(checked, parsed) << text;
    accepted += checked.ok() ? 1 : 0;
  }
  EXPECT_GT(accepted, 500u);
  EXPECT_LT(accepted, texts.size() / 2);
}

// Most strings take a shorter way.
TEST(Json, IsWrittenAsTheLibraryWritesIt) {
  for (std::string_view text :
       {"{}", "[]", "null", "[[],{},[{}]]",
        R"({"a":{"b":[1,-2,3.5,1e30,true,false,null]},"c":"~ !"})",
        R"(["\"","\\","\u0000\u001f\b\t\n\u007f","\u00e9\ud83d\ude00","/",""])",
        R"(["{\"kty\":\"oct\",\"k\":\"AAAA\"}","a\\b\\\\","\"","x\"\n"])",
        R"({"":1,"\"":{"\n":[""]},"\u00e9":"x"})", "18446744073709551615"}) {
    const Json value = *ParseJson(text);
    EXPECT_EQ(DumpJson(value)->view(), std::string_view(value.dump())) << text;
  }
  for (const Json& bad : {JsonText("\xff"), Json{{"\xff", 1}}, Json{{"a", {"ok", "\xc3"}}}}) {
    EXPECT_THAT(DumpJson(bad), StatusIs(absl::StatusCode::kInternal, HasSubstr("UTF-8")));
  }
}

TEST(Json, RefusesAMemberTwiceInOneObjectOnly) {
  EXPECT_THAT(ParseJson(R"({"a":{"b":1},"b":[{"b":1},{"b":2}]})"), IsOk());
  for (std::string_view bad :
       {R"({"a":1,"a":1})", R"([{"x":{"a":1,"b":2,"a":3}}])", R"({"a":1,"\u0061":2})"}) {
    EXPECT_THAT(ParseJson(bad), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("twice")))
        << bad;
  }
}

TEST(Json, BoundsDepthAndMembers) {
  const auto nested = [](int depth) { return std::string(depth, '[') + std::string(depth, ']'); };
  EXPECT_THAT(ParseJson(nested(kMaxJsonDepth)), IsOk());
  EXPECT_THAT(ParseJson(nested(kMaxJsonDepth + 1)),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("deeper than 64")));
  EXPECT_THAT(ParseJson(std::string(1'000'000, '[')),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("deeper than 64")));
  const auto wide = [](std::size_t members) {
    std::string text = "{";
    for (std::size_t i = 0; i < members; ++i)
      absl::StrAppend(&text, i == 0 ? "" : ",", "\"", i, "\":0");
    return text + "}";
  };
  EXPECT_THAT(ParseJson(wide(kMaxJsonMembers)), IsOk());
  EXPECT_THAT(ParseJson(wide(kMaxJsonMembers + 1)),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("more than 256 members")));
  EXPECT_THAT(CheckJson(wide(kMaxJsonMembers)), IsOk());
  EXPECT_THAT(CheckJson(wide(kMaxJsonMembers + 1)),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("more than 256 members")));
  EXPECT_THAT(ParseJson(wide(1000), 1000), IsOk());
  EXPECT_THAT(ParseJson(wide(1001), 1000),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("more than 1000 members")));
}

TEST(Json, ErrorsNameThePlaceAndNeverTheText) {
  EXPECT_THAT(ParseJson("{\"k\":\"hunter2\x01\"}"),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("at byte 14"), Not(HasSubstr("hunter2")))));
  EXPECT_THAT(ParseJson("[123456e9999]"),
              StatusIs(absl::StatusCode::kInvalidArgument, Not(HasSubstr("123456"))));
  for (std::string_view bad :
       {"", "{", "{} x", "nul", "\"\xff\"", "\xef\xbb\xbf", "{'a':1}", "[1,]", "01"}) {
    EXPECT_THAT(ParseJson(bad), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("JSON")))
        << bad;
  }
}

TEST(Json, RefusesWhatOtherParsersDoNotForgive) {
  using std::string_literals::operator""s;
  EXPECT_THAT(CheckJson(" {} \n"), IsOk());
  EXPECT_THAT(CheckJson("\xef\xbb\xbf{}"),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("byte order mark")));
  for (const std::string& bad : {"{}\0"s, "{}\0 x"s, "\0{}"s}) {
    EXPECT_THAT(CheckJson(bad),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("not valid JSON")));
    EXPECT_FALSE(ParseJson(bad).ok());
  }
}

TEST(Json, ChecksToADepthOfTheCallersChoice) {
  EXPECT_THAT(CheckJson("[[]]", 2), IsOk());
  EXPECT_THAT(CheckJson("[{}]", 1), StatusIs(absl::StatusCode::kInvalidArgument,
                                             HasSubstr("nested deeper than 1 levels")));
  EXPECT_THAT(CheckJson("{\"a\":1,}"),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("at byte 8")));
}

TEST(Json, FindStringFindsOnlyStrings) {
  const Json value = *ParseJson(R"({"s":"x","n":1})");
  EXPECT_EQ(*FindString(value, "s"), "x");
  EXPECT_EQ(FindString(value, "n"), nullptr);
  EXPECT_EQ(FindString(value, "absent"), nullptr);
  EXPECT_EQ(*FindMember(value, "n"), value.at("n"));
  EXPECT_EQ(FindMember(value, "absent"), nullptr);
  EXPECT_EQ(FindMember(value.at("n"), "n"), nullptr);
  EXPECT_EQ(FindString(*ParseJson("[1]"), "s"), nullptr);
}

TEST(Json, DumpRefusesWhatIsNotUtf8) {
  EXPECT_THAT(DumpJson(JsonText("\xff")),
              StatusIs(absl::StatusCode::kInternal, HasSubstr("UTF-8")));
}

}  // namespace
}  // namespace base
