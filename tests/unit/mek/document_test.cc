#include "mek/document.h"

#include <gtest/gtest.h>

#include <string>

#include "support/faulty.h"
#include "support/status_matchers.h"
#include "unit/mek/samples.h"

namespace mek {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing_support::IsOk;
using ::testing_support::StatusIs;

std::string Write(std::uint64_t schema, std::string_view body) {
  return std::string(WriteDocument(schema, *base::ParseJson(body))->view());
}

TEST(Document, BeginsWithItsSchemaAndEndsWithTheDigestOfWhatStandsBefore) {
  // printf '{"schema":1,"a":"x"' | sha256sum
  EXPECT_EQ(
      Write(1, R"({"a":"x"})"),
      R"({"schema":1,"a":"x","sha256":"6a21024ae5e17b38e6a2d75c32512b8791e4e3848a9d89dc9d346c2f04cbf5d1"})");
}

TEST(Document, ReadsWhatItWrote) {
  const absl::StatusOr<base::Json> read =
      ReadDocument("x", 1, {"a", "b"}, Write(1, R"({"a":"x","b":7})"));
  ASSERT_THAT(read, IsOk());
  EXPECT_EQ(*ReadString("x", *read, "a"), "x");
  EXPECT_EQ(*ReadNumber("x", *read, "b"), 7u);
  EXPECT_TRUE(HasMember(*read, "a"));
  EXPECT_FALSE(HasMember(*read, "c"));
}

TEST(Document, HandsALargeMemberOverAsText) {
  const base::SecretBytes text =
      *WriteDocument(1, *base::ParseJson(R"({"a":"x"})"), RawPart{"big", R"({"n":1.0e2})"});
  EXPECT_TRUE(text.view().starts_with(R"({"schema":1,"big":{"n":1.0e2},"a":"x","sha256":")"));
  RawPart big{"big", ""};
  const absl::StatusOr<base::Json> read = ReadDocument("x", 1, {"a"}, text.view(), &big);
  ASSERT_THAT(read, IsOk());
  EXPECT_EQ(big.text, R"({"n":1.0e2})");
  EXPECT_FALSE(HasMember(*read, "big"));
  RawPart absent{"other", ""};
  EXPECT_THAT(ReadDocument("x", 1, {"a", "big"}, text.view(), &absent), IsOk());
  EXPECT_EQ(absent.text, "");
  EXPECT_THAT(ReadDocument("x", 1, {"a"}, text.view()),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("does not know")));
  EXPECT_TRUE(
      WriteDocument(1, base::Json::object())->view().starts_with(R"({"schema":1,"sha256":)"));
}

TEST(Document, OfANewerSchemaIsLeftToANewerPlugin) {
  EXPECT_THAT(
      ReadDocument("version 7", 1, {}, Write(2, R"({"unheard":"of"})")),
      StatusIs(
          absl::StatusCode::kFailedPrecondition,
          HasSubstr("version 7 was written by a newer version of the plugin (schema 2, this one "
                    "knows 1): upgrade")));
}

TEST(Document, WithAnUnknownMemberIsLeftAlone) {
  EXPECT_THAT(ReadDocument("version 7", 1, {"a"}, Write(1, R"({"a":"x","b":"hunter2"})")),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       AllOf(HasSubstr("a member that this version of the plugin does not know"),
                             Not(HasSubstr("hunter2")))));
}

TEST(Document, ThatIsDamagedIsDataLoss) {
  const std::string good = Write(1, R"({"a":"hunter2"})");
  const std::pair<std::string, std::string_view> kCases[] = {
      {"", "not valid JSON"},
      {"\xff\xfe", "not valid JSON"},
      {"[]", "not a JSON object"},
      {"{}", "checksum is missing"},
      {R"({"schema":1,"a":"hunter2"})", "checksum is missing"},
      {good.substr(0, good.size() - 1), "not valid JSON"},
      {good + " ", "checksum is missing"},
      {good.substr(0, good.size() - 3) + "\" }", "checksum is missing"},
      {good + std::string(1, '\0'), "not valid JSON"},
      {Write(0, "{}"), "its schema is none that ever was"},
      {std::string(1000, '['), "deeper than 64"}};
  for (const auto& [text, message] : kCases) {
    EXPECT_THAT(ReadDocument("version 7", 1, {"a"}, text),
                StatusIs(absl::StatusCode::kDataLoss,
                         AllOf(HasSubstr("version 7 is damaged in storage"),
                               HasSubstr(std::string(message)), Not(HasSubstr("hunter2")))));
  }
}

TEST(Document, TypedMembersNameThePartThatIsWrong) {
  const base::Json document = *base::ParseJson(R"({"s":"x","n":-1,"t":"2026-01-01T00:00:00Z"})");
  EXPECT_THAT(ReadString("v", document, "n"),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("n is missing or")));
  EXPECT_THAT(ReadNumber("v", document, "n"),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("n is missing or")));
  EXPECT_THAT(ReadNumber("v", document, "x"),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("x is missing or")));
  EXPECT_THAT(ReadNumber("v", base::Json(7), "x"),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("x")));
  EXPECT_THAT(ReadTime("v", document, "s"),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("s is not a time")));
  EXPECT_THAT(ReadTime("v", document, "t"),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("t is not a time")));
}

TEST(Document, TimesAreRfc3339InUtcWithNanoseconds) {
  const absl::Time time = kNow + absl::Nanoseconds(1234567);
  EXPECT_EQ(TimeText(time), "2026-09-01T12:00:00.001234567Z");
  base::Json document = base::Json::object();
  document["t"] = *TimeJson(time);
  EXPECT_EQ(*ReadTime("v", document, "t"), time);
  for (const absl::Time bad : {absl::InfiniteFuture(), absl::InfinitePast(),
                               absl::FromCivil(absl::CivilYear(10000), absl::UTCTimeZone()),
                               absl::FromCivil(absl::CivilYear(0), absl::UTCTimeZone())}) {
    EXPECT_THAT(TimeJson(bad), StatusIs(absl::StatusCode::kInternal, HasSubstr("years 1 to 9999")));
    // Else it could be read, and never be written again.
    document["t"] = base::JsonText(TimeText(bad));
    EXPECT_THAT(ReadTime("v", document, "t"),
                StatusIs(absl::StatusCode::kDataLoss, HasSubstr("t is not a time")));
  }
}

TEST(Document, SecondsAreBoundedSoThatTheyAreADuration) {
  const base::Json document =
      *base::ParseJson(R"({"zero":0,"most":3153600000,"more":3153600001,"max":18446744073709551615,
                           "negative":-1})");
  EXPECT_EQ(*ReadSeconds("v", document, "zero"), absl::ZeroDuration());
  EXPECT_EQ(*ReadSeconds("v", document, "most"), absl::Hours(24 * 365 * 100));
  for (const std::string_view bad : {"more", "max"}) {
    EXPECT_THAT(ReadSeconds("v", document, bad),
                StatusIs(absl::StatusCode::kDataLoss, HasSubstr("is more than 100 years")));
  }
  EXPECT_THAT(ReadSeconds("v", document, "negative"),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("negative is missing or")));
}

TEST(Document, IsNeitherWrittenNorTakenForIntactWithoutADigest) {
  const std::string good = Write(1, R"({"a":"x"})");
  const testing_support::Faulty digest("EVP_Digest");
  EXPECT_THAT(WriteDocument(1, *base::ParseJson(R"({"a":"x"})")),
              StatusIs(absl::StatusCode::kInternal, HasSubstr("SHA-256 failed")));
  // Nor is an empty digest one.
  for (const std::string& text : {good, std::string(R"({"schema":1,"a":"x","sha256":""})")}) {
    EXPECT_THAT(ReadDocument("x", 1, {"a"}, text),
                StatusIs(absl::StatusCode::kDataLoss, HasSubstr("checksum is missing")));
  }
}

TEST(Document, WithoutASchemaIsDamaged) {
  // printf '{"a":"x"' | sha256sum
  EXPECT_THAT(
      ReadDocument(
          "x", 1, {"a"},
          R"({"a":"x","sha256":"d573b341e510d13b064b06fdc994076b8369fb752d8f26e351b863e0b04a5e06"})"),
      StatusIs(absl::StatusCode::kDataLoss, HasSubstr("schema is missing or not a whole number")));
}

TEST(Document, IsUnreadableWhetherDamagedOrNewer) {
  EXPECT_TRUE(IsUnreadable(absl::DataLossError("")));
  EXPECT_TRUE(IsUnreadable(absl::FailedPreconditionError("")));
  EXPECT_FALSE(IsUnreadable(absl::OkStatus()));
  EXPECT_FALSE(IsUnreadable(absl::UnavailableError("")));
}

TEST(Document, RefusesToWriteWhatItCouldNotReadBack) {
  base::Json body = base::Json::object();
  body["a"] = base::JsonText("\xff");
  EXPECT_THAT(WriteDocument(1, body), StatusIs(absl::StatusCode::kInternal, HasSubstr("UTF-8")));
  body["a"] = *base::ParseJson(std::string(64, '[') + std::string(64, ']'));
  EXPECT_THAT(WriteDocument(1, body), StatusIs(absl::StatusCode::kInternal, HasSubstr("too deep")));
}

}  // namespace
}  // namespace mek
