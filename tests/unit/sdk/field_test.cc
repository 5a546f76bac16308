#include "sdk/framework/field.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/text.h"
#include "support/status_matchers.h"

namespace openbao {
namespace {

using ::base::Json;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing_support::IsOk;
using ::testing_support::StatusIs;

Json FromText(std::string_view text) { return base::ParseJson(text).value(); }

Json Data(std::string_view value) { return FromText(base::Cat("{\"p\":", value, "}")); }

std::string ToText(const Json& value) { return std::string(base::DumpJson(value)->view()); }

// A value as it comes in the body, and what becomes of it; nullopt: refused.
struct Case {
  std::string_view given;
  std::optional<std::string_view> taken;
};

void ExpectAll(FieldType type, std::string_view expected, const std::vector<Case>& cases) {
  const std::vector<Field> fields{{.name = "p", .type = type}};
  for (const Case& c : cases) {
    SCOPED_TRACE(c.given);
    const absl::StatusOr<FieldData> parsed = FieldData::Parse(fields, Data(c.given), {});
    if (c.taken.has_value()) {
      ASSERT_THAT(parsed, IsOk());
      ASSERT_TRUE(parsed->Has("p"));
      EXPECT_EQ(ToText(*parsed->Object("p")), *c.taken);
    } else {
      // The whole text: nothing of the value is in it.
      EXPECT_THAT(parsed, StatusIs(absl::StatusCode::kInvalidArgument,
                                   base::Cat("p: expected ", expected)));
    }
  }
}

constexpr std::nullopt_t kRefused = std::nullopt;

TEST(Field, StringTakesStringsOnly) {
  ExpectAll(FieldType::kString, "a string",
            {
                {R"("x")", R"("x")"},
                {R"("")", R"("")"},
                {R"(" x ")", R"(" x ")"},
                {R"("3")", R"("3")"},
                {R"("null")", R"("null")"},
                {R"("\u00e9\u0000")", "\"\xc3\xa9\\u0000\""},
                {"3", kRefused},
                {"1.5", kRefused},
                {"true", kRefused},
                {R"(["x"])", kRefused},
                {R"({"x":"y"})", kRefused},
            });
}

TEST(Field, UnsignedTakesWholeNumbersAndTheirDigits) {
  ExpectAll(FieldType::kUnsigned, "a whole number, 0 or more",
            {
                {"3", "3"},
                {"0", "0"},
                {"-0", "0"},
                {R"("3")", "3"},
                {R"("0")", "0"},
                {R"("007")", "7"},
                {"9223372036854775807", "9223372036854775807"},
                {R"("9223372036854775807")", "9223372036854775807"},
                {"9223372036854775808", kRefused},
                {R"("9223372036854775808")", kRefused},
                {"18446744073709551615", kRefused},
                {"18446744073709551616", kRefused},
                {R"("18446744073709551616")", kRefused},
                {R"("99999999999999999999999999")", kRefused},
                {"3.0", kRefused},
                {"3.5", kRefused},
                {"3e0", kRefused},
                {"-1", kRefused},
                {"-9223372036854775808", kRefused},
                {R"("-1")", kRefused},
                {R"("+3")", kRefused},
                {R"("3.0")", kRefused},
                {R"("x")", kRefused},
                {R"("")", kRefused},
                {R"(" 3")", kRefused},
                {R"("3 ")", kRefused},
                {R"("3\n")", kRefused},
                {R"("3\u0000")", kRefused},
                {R"("0x3")", kRefused},
                {R"("1_000")", kRefused},
                {R"("\u0663")", kRefused},
                {"true", kRefused},
                {"[3]", kRefused},
                {R"({"p":3})", kRefused},
            });
}

TEST(Field, BoolTakesTrueAndFalseAndTheTextsOfTheCli) {
  ExpectAll(FieldType::kBool, "true or false",
            {
                {"true", "true"},
                {"false", "false"},
                {R"("true")", "true"},
                {R"("1")", "true"},
                {R"("false")", "false"},
                {R"("0")", "false"},
                {"1", kRefused},
                {"0", kRefused},
                {"1.0", kRefused},
                {R"("")", kRefused},
                {R"("True")", kRefused},
                {R"("yes")", kRefused},
                {R"("t")", kRefused},
                {R"(" true")", kRefused},
                {"[true]", kRefused},
                {"{}", kRefused},
            });
}

TEST(Field, DurationTakesSecondsAndTextsWithUnits) {
  ExpectAll(FieldType::kDuration,
            "a duration such as \"48h\" or \"30m\", or a whole number of seconds, 0 or more",
            {
                {"3600", "3600"},
                {"0", "0"},
                {R"("3600")", "3600"},
                {R"("0")", "0"},
                {R"("0s")", "0"},
                {R"("48h")", "172800"},
                {R"("+1h")", "3600"},
                {R"("1h30m")", "5400"},
                {R"("1.5h")", "5400"},
                {R"("90s")", "90"},
                {R"("2000ms")", "2"},
                {R"("2d")", "172800"},
                {R"("0d")", "0"},
                // A hundred years, and one more.
                {"3153600000", "3153600000"},
                {"3153600001", kRefused},
                {R"("3153600001")", kRefused},
                {R"("36500d")", "3153600000"},
                {R"("36501d")", kRefused},
                {R"("876000h")", "3153600000"},
                {R"("876000h1s")", kRefused},
                {"9223372036854775807", kRefused},
                {R"("9223372036854775807")", kRefused},
                {R"("9223372036854775807h")", kRefused},
                {R"("99999999999999999999999h")", kRefused},
                {R"("99999999999999999999999d")", kRefused},
                {"-1", kRefused},
                {R"("-1")", kRefused},
                {R"("-1h")", kRefused},
                {R"("-2d")", kRefused},
                {R"("-1ns")", kRefused},
                {R"("+2d")", kRefused},
                {R"("inf")", kRefused},
                {R"("-inf")", kRefused},
                {R"("infd")", kRefused},
                {"1.5", kRefused},
                {"3600.0", kRefused},
                {R"("1.5")", kRefused},
                {R"("")", kRefused},
                {R"("h")", kRefused},
                {R"("d")", kRefused},
                {R"("x")", kRefused},
                {R"("1")", "1"},
                {R"("1w")", kRefused},
                {R"("1.5d")", kRefused},
                {R"("1d12h")", kRefused},
                {R"(" 1h")", kRefused},
                {R"("1h ")", kRefused},
                {R"("1 h")", kRefused},
                {R"(" 2d")", kRefused},
                {R"("2 d")", kRefused},
                {R"("2d ")", kRefused},
                {R"("1h\u0000")", kRefused},
                {"true", kRefused},
                {R"(["1h"])", kRefused},
                {R"({"h":1})", kRefused},
            });
}

// Seconds are kept: less than one would silently become none.
TEST(Field, DurationRefusesPartsOfASecond) {
  ExpectAll(FieldType::kDuration,
            "a duration such as \"48h\" or \"30m\", or a whole number of seconds, 0 or more",
            {
                {R"("500ms")", kRefused},
                {R"("1ns")", kRefused},
                {R"("1500ms")", kRefused},
                {R"("1.5s")", kRefused},
                {R"("0.5m")", "30"},
            });
}

TEST(Field, StringListTakesArraysOfStringsAndTextWithCommas) {
  ExpectAll(FieldType::kStringList, "a list of strings, or one string with commas",
            {
                {R"(["a","b"])", R"(["a","b"])"},
                {R"(["a,b"," c ",""])", R"(["a,b"," c ",""])"},
                {"[]", "[]"},
                {R"("a,b")", R"(["a","b"])"},
                {R"("a")", R"(["a"])"},
                {R"(" a , b,,c ")", R"(["a","b","c"])"},
                {R"("")", "[]"},
                {R"(" , ")", "[]"},
                {R"(["a",1])", kRefused},
                {R"(["a",null])", kRefused},
                {R"([["a"]])", kRefused},
                {"3", kRefused},
                {"true", kRefused},
                {R"({"a":"b"})", kRefused},
            });
}

TEST(Field, ObjectTakesObjectsAndTheirText) {
  ExpectAll(FieldType::kObject, "a JSON object (from the command line: name=@file.json)",
            {
                {R"({"b":[1,null],"a":{}})", R"({"b":[1,null],"a":{}})"},
                {"{}", "{}"},
                {R"("{\"b\":1, \"a\":\"x\"}\n")", R"({"b":1,"a":"x"})"},
                {R"("{}")", "{}"},
                {R"("")", kRefused},
                {R"("null")", kRefused},
                {R"("[1]")", kRefused},
                {R"("3")", kRefused},
                {R"("{")", kRefused},
                {R"("{} {}")", kRefused},
                {R"("{\"a\":1,\"a\":2}")", kRefused},
                {"[]", kRefused},
                {"3", kRefused},
                {"true", kRefused},
            });
  const std::string deep =
      base::Cat(R"("{\"a\":)", std::string(64, '['), std::string(64, ']'), R"(}")");
  ExpectAll(FieldType::kObject, "a JSON object (from the command line: name=@file.json)",
            {{deep, kRefused}});
}

TEST(Field, NoErrorShowsTheValue) {
  constexpr std::string_view kValues[] = {
      R"("hunter2")",
      R"(["hunter2",7777777])",
      R"({"hunter2":"hunter2"})",
      R"("{\"hunter2\":")",
      R"("hunter2,7777777")",
      "-7777777",
      "7777777.5",
      R"("7777777hunter2")",
      R"({"a":{"b":"hunter2"}})",
      R"([{"a":"hunter2"}])",
      R"("-7777777h")",
      R"([7777777])",
  };
  for (const FieldType type : {FieldType::kString, FieldType::kUnsigned, FieldType::kBool,
                               FieldType::kDuration, FieldType::kStringList, FieldType::kObject}) {
    std::vector<Field> fields{{.name = "p", .type = type, .required = true}};
    if (type == FieldType::kString) fields[0].allowed = {"a", "b"};
    int refused = 0;
    for (std::string_view value : kValues) {
      const absl::Status status = FieldData::Parse(fields, Data(value), {}).status();
      if (status.ok()) continue;
      ++refused;
      EXPECT_THAT(status, StatusIs(absl::StatusCode::kInvalidArgument,
                                   AllOf(HasSubstr("p: "), Not(HasSubstr("hunter2")),
                                         Not(HasSubstr("7777777")))))
          << value;
    }
    EXPECT_GE(refused, 7);
  }
}

TEST(Field, AccessorsGiveEachValueAsItsType) {
  const std::vector<Field> fields{
      {.name = "s", .type = FieldType::kString},     {.name = "u", .type = FieldType::kUnsigned},
      {.name = "b", .type = FieldType::kBool},       {.name = "d", .type = FieldType::kDuration},
      {.name = "l", .type = FieldType::kStringList}, {.name = "o", .type = FieldType::kObject},
  };
  const absl::StatusOr<FieldData> data = FieldData::Parse(
      fields,
      FromText(R"({"s":"x","u":"9223372036854775807","b":"0","d":"48h","l":"a,b","o":{"k":1}})"),
      {});
  ASSERT_THAT(data, IsOk());
  EXPECT_EQ(data->String("s"), "x");
  EXPECT_EQ(data->Unsigned("u"), 9223372036854775807U);
  EXPECT_EQ(data->Bool("b"), false);
  EXPECT_EQ(data->Duration("d"), absl::Hours(48));
  EXPECT_THAT(*data->StringList("l"), ElementsAre("a", "b"));
  EXPECT_EQ(ToText(*data->Object("o")), R"({"k":1})");
}

TEST(Field, WhatIsLeftOutIsAbsentAndNullIsRefused) {
  const std::vector<Field> fields{
      {.name = "s", .type = FieldType::kString},     {.name = "u", .type = FieldType::kUnsigned},
      {.name = "b", .type = FieldType::kBool},       {.name = "d", .type = FieldType::kDuration},
      {.name = "l", .type = FieldType::kStringList}, {.name = "o", .type = FieldType::kObject},
  };
  for (std::string_view body : {"{}", "null"}) {
    SCOPED_TRACE(body);
    const absl::StatusOr<FieldData> data = FieldData::Parse(fields, FromText(body), {});
    ASSERT_THAT(data, IsOk());
    for (const Field& field : fields) EXPECT_FALSE(data->Has(field.name)) << field.name;
    EXPECT_EQ(data->String("s"), std::nullopt);
    EXPECT_EQ(data->Unsigned("u"), std::nullopt);
    EXPECT_EQ(data->Bool("b"), std::nullopt);
    EXPECT_EQ(data->Duration("d"), std::nullopt);
    EXPECT_EQ(data->StringList("l"), std::nullopt);
    EXPECT_EQ(data->Object("o"), nullptr);
  }
  for (const Field& field : fields) {
    EXPECT_THAT(FieldData::Parse(fields, FromText(base::Cat("{\"", field.name, "\":null}")), {}),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         HasSubstr(base::Cat(field.name, ": expected "))));
  }
}

TEST(Field, AnEmptyListIsNotAnAbsentOne) {
  const std::vector<Field> fields{{.name = "p", .type = FieldType::kStringList}};
  const absl::StatusOr<FieldData> data = FieldData::Parse(fields, Data("\"\""), {});
  ASSERT_THAT(data, IsOk());
  ASSERT_TRUE(data->StringList("p").has_value());
  EXPECT_THAT(*data->StringList("p"), IsEmpty());
}

TEST(Field, RequiredMustBeGiven) {
  const std::vector<Field> fields{{.name = "p", .type = FieldType::kUnsigned, .required = true}};
  EXPECT_THAT(FieldData::Parse(fields, FromText("{}"), {}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       "p is missing: expected a whole number, 0 or more"));
  EXPECT_THAT(FieldData::Parse(fields, FromText(R"({"p":0})"), {}), IsOk());
}

TEST(Field, AllowedValuesAreTheOnlyOnes) {
  const std::vector<Field> fields{
      {.name = "mode", .type = FieldType::kString, .allowed = {"auto", "mirror"}}};
  for (std::string_view good : {"auto", "mirror"}) {
    const auto data = FieldData::Parse(fields, Json{{"mode", base::JsonText(good)}}, {});
    ASSERT_THAT(data, IsOk());
    EXPECT_EQ(data->String("mode"), good);
  }
  for (std::string_view bad : {"", "Auto", "auto ", "aut", "auto,mirror"}) {
    EXPECT_THAT(FieldData::Parse(fields, Json{{"mode", base::JsonText(bad)}}, {}),
                StatusIs(absl::StatusCode::kInvalidArgument, "mode: expected one of auto, mirror"))
        << bad;
  }
  EXPECT_THAT(FieldData::Parse(fields, Json{{"mode", 3}}, {}),
              StatusIs(absl::StatusCode::kInvalidArgument, "mode: expected a string"));
}

TEST(Field, AllowedValuesAreOfStringsOnly) {
  const std::vector<Field> fields{
      {.name = "p", .type = FieldType::kUnsigned, .allowed = {"1", "2"}}};
  for (std::string_view given : {"1", "3", R"("3")"}) {
    EXPECT_THAT(FieldData::Parse(fields, Data(given), {}), IsOk()) << given;
  }
}

TEST(Field, AValueOfAnotherTypeIsNone) {
  const std::pair<FieldType, std::string_view> kValues[] = {
      {FieldType::kString, R"("x")"}, {FieldType::kUnsigned, "3"},
      {FieldType::kBool, "true"},     {FieldType::kDuration, R"("1h")"},
      {FieldType::kStringList, "[]"}, {FieldType::kObject, R"({"a":1})"},
  };
  for (const auto& [type, value] : kValues) {
    SCOPED_TRACE(value);
    const std::vector<Field> fields{{.name = "p", .type = type}};
    const absl::StatusOr<FieldData> data = FieldData::Parse(fields, Data(value), {});
    ASSERT_THAT(data, IsOk());
    const bool number = type == FieldType::kUnsigned || type == FieldType::kDuration;
    EXPECT_EQ(data->String("p").has_value(), type == FieldType::kString);
    EXPECT_EQ(data->Unsigned("p").has_value(), number);
    EXPECT_EQ(data->Bool("p").has_value(), type == FieldType::kBool);
    EXPECT_EQ(data->Duration("p").has_value(), number);
    EXPECT_EQ(data->StringList("p").has_value(), type == FieldType::kStringList);
  }
}

TEST(Field, UnknownNamesAreRefusedAndTheKnownOnesListed) {
  const std::vector<Field> fields{{.name = "cas", .type = FieldType::kUnsigned},
                                  {.name = "reason", .type = FieldType::kString}};
  for (std::string_view body :
       {R"({"raeson":"x"})", R"({"raeson":null})", R"({"cas":1,"raeson":3})"}) {
    EXPECT_THAT(FieldData::Parse(fields, FromText(body), {}),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         "unknown parameter \"raeson\"; this operation takes cas, reason. "
                         "Nothing was changed"))
        << body;
  }
  EXPECT_THAT(
      FieldData::Parse({}, FromText(R"({"cas":1})"), {}),
      StatusIs(absl::StatusCode::kInvalidArgument,
               "unknown parameter \"cas\"; this operation takes none. Nothing was changed"));
}

TEST(Field, NamesAreMatchedExactly) {
  const std::vector<Field> fields{{.name = "cas", .type = FieldType::kUnsigned}};
  for (std::string_view name : {"CAS", "ca", "cas2", "cas-"}) {
    EXPECT_THAT(FieldData::Parse(fields, FromText(base::Cat("{\"", name, "\":1}")), {}),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         HasSubstr(base::Cat("unknown parameter \"", name, "\""))));
  }
}

// A value typed in a name's place: `write rotate $KEY` for `write rotate key=$KEY`.
TEST(Field, AnUnknownNameThatMayBeASecretIsNotShown) {
  const std::vector<Field> fields{{.name = "cas", .type = FieldType::kUnsigned}};
  const std::string names[] = {
      "",
      "hunter2=",
      "hunter2/+",
      "{hunter2}",
      "hunter2 hunter2",
      "hunter2\xc3\xa9",
      "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGhunter2",  // 256 bits as base64url
      "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1chunter2",
      std::string(26, 'x') + "hunter2",
      "xLuGw9HEJxA8NExB",  // the first 96 bits of one
  };
  for (const std::string& name : names) {
    Json data = Json::object();
    data[base::JsonString(name)] = 1;
    EXPECT_THAT(FieldData::Parse(fields, data, {}),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         "unknown parameter with an unusual name; this operation takes cas. "
                         "Nothing was changed"))
        << name;
  }
}

TEST(Field, ReadsTakeQueryParametersAndWritesTheOthers) {
  using Use = FieldData::Use;
  const std::vector<Field> fields{{.name = "at", .type = FieldType::kUnsigned, .query = true},
                                  {.name = "cas", .type = FieldType::kUnsigned}};
  const Json at{{"at", 1}};
  const Json cas{{"cas", 1}};
  EXPECT_THAT(FieldData::Parse(fields, at, {}, Use::kQuery), IsOk());
  EXPECT_THAT(FieldData::Parse(fields, cas, {}, Use::kBody), IsOk());
  EXPECT_THAT(FieldData::Parse(fields, Json{{"at", 1}, {"cas", 1}}, {}, Use::kAll), IsOk());
  EXPECT_THAT(FieldData::Parse(fields, cas, {}, Use::kQuery),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       "unknown parameter \"cas\"; this operation takes at. Nothing was changed"));
  EXPECT_THAT(FieldData::Parse(fields, at, {}, Use::kBody),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       "unknown parameter \"at\"; this operation takes cas. Nothing was changed"));
  EXPECT_THAT(
      FieldData::Parse({fields[1]}, cas, {}, Use::kQuery),
      StatusIs(absl::StatusCode::kInvalidArgument,
               "unknown parameter \"cas\"; this operation takes none. Nothing was changed"));
}

TEST(Field, WhatTheOtherUseRequiresIsNotMissing) {
  using Use = FieldData::Use;
  const std::vector<Field> fields{
      {.name = "at", .type = FieldType::kUnsigned, .required = true, .query = true},
      {.name = "cas", .type = FieldType::kUnsigned, .required = true}};
  EXPECT_THAT(FieldData::Parse(fields, Json{{"at", 1}}, {}, Use::kQuery), IsOk());
  EXPECT_THAT(FieldData::Parse(fields, Json{{"cas", 1}}, {}, Use::kBody), IsOk());
  EXPECT_THAT(FieldData::Parse(fields, Json::object(), {}, Use::kQuery),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("at is missing")));
  EXPECT_THAT(FieldData::Parse(fields, Json::object(), {}, Use::kBody),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("cas is missing")));
}

TEST(Field, ACaptureIsTakenWhateverTheUse) {
  const std::vector<Field> fields{{.name = "p", .type = FieldType::kUnsigned}};
  const auto data = FieldData::Parse(fields, Json::object(), {{"p", "7"}}, FieldData::Use::kQuery);
  ASSERT_THAT(data, IsOk());
  EXPECT_EQ(data->Unsigned("p"), 7U);
}

TEST(Field, CapturedValuesAreTypedAndTheBodyNamesNoOther) {
  const std::vector<Field> fields{{.name = "p", .type = FieldType::kUnsigned}};
  const auto captured = FieldData::Parse(fields, FromText("{}"), {{"p", "7"}});
  ASSERT_THAT(captured, IsOk());
  EXPECT_EQ(captured->Unsigned("p"), 7U);
  const auto both = FieldData::Parse(fields, FromText(R"({"p":"7"})"), {{"p", "7"}});
  ASSERT_THAT(both, IsOk());
  EXPECT_EQ(both->Unsigned("p"), 7U);
  EXPECT_THAT(FieldData::Parse(fields, FromText(R"({"p":8})"), {{"p", "7"}}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       "p: the path has another one. Leave it out, or give the same; nothing was "
                       "changed"));
  EXPECT_THAT(
      FieldData::Parse(fields, FromText("{}"), {{"p", "seven"}}),
      StatusIs(absl::StatusCode::kInvalidArgument, "p: expected a whole number, 0 or more"));
}

TEST(Field, ACaptureMeetsARequirement) {
  const std::vector<Field> fields{{.name = "p", .type = FieldType::kString, .required = true}};
  EXPECT_THAT(FieldData::Parse(fields, FromText("{}"), {{"p", "x"}}), IsOk());
}

TEST(Field, ACaptureWithoutAFieldIsOurDefect) {
  EXPECT_THAT(FieldData::Parse({}, FromText("{}"), {{"p", "hunter2"}}),
              StatusIs(absl::StatusCode::kInternal, "no field for {p}"));
}

}  // namespace
}  // namespace openbao
