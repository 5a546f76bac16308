#include "sdk/framework/path.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <optional>
#include <string>

namespace openbao {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

using Captures = std::map<std::string, std::string>;

struct Case {
  std::string pattern;
  std::string path;
  std::optional<Captures> captures;  // nullopt: no match
};

void ExpectAll(const std::vector<Case>& cases) {
  for (const Case& c : cases) {
    EXPECT_EQ(MatchPath(c.pattern, c.path), c.captures) << c.pattern << " and " << c.path;
  }
}

TEST(MatchPath, PlainSegmentsMatchThemselvesOnly) {
  ExpectAll({
      {"rotate", "rotate", Captures{}},
      {"rotate/now", "rotate/now", Captures{}},
      {"rotate", "Rotate", std::nullopt},
      {"rotate", "rotat", std::nullopt},
      {"rotate", "rotates", std::nullopt},
      {"rotate", "", std::nullopt},
      {"rotate", "x/rotate", std::nullopt},
      {"", "", Captures{}},
      {"", "rotate", std::nullopt},
      {"a.c", "abc", std::nullopt},
      {"a*", "ab", std::nullopt},
  });
}

TEST(MatchPath, ACaptureTakesOneSegment) {
  ExpectAll({
      {"versions/{version}", "versions/3", Captures{{"version", "3"}}},
      {"{a}", "x", Captures{{"a", "x"}}},
      {"{a}/{b}", "x/y", Captures{{"a", "x"}, {"b", "y"}}},
      {"{a}/keys/{b}", "x/keys/y", Captures{{"a", "x"}, {"b", "y"}}},
      {"{a}/keys/{b}", "x/kids/y", std::nullopt},
      {"versions/{version}", "versions/{version}", Captures{{"version", "{version}"}}},
      {"versions/{version}", "versions/a%2Fb ..", Captures{{"version", "a%2Fb .."}}},
  });
}

TEST(MatchPath, TooShortAndTooLongDontMatch) {
  ExpectAll({
      {"versions/{version}", "versions", std::nullopt},
      {"versions/{version}", "versions/3/keys", std::nullopt},
      {"a/b/c", "a/b", std::nullopt},
      {"a/b/c", "a/b/c/d", std::nullopt},
  });
}

TEST(MatchPath, EmptySegmentsAreNoValues) {
  ExpectAll({
      {"versions/{version}", "versions/", std::nullopt},
      {"versions/{version}", "versions//3", std::nullopt},
      {"versions/{version}", "versions/3/", std::nullopt},
      {"{a}/{b}", "/y", std::nullopt},
      {"{a}", "", std::nullopt},
      {"rotate", "rotate/", std::nullopt},
      {"rotate", "/rotate", std::nullopt},
      {"a/b", "a//b", std::nullopt},
  });
}

TEST(MatchPath, ARestCaptureTakesOneSegmentOrMore) {
  ExpectAll({
      {"data/{path...}", "data/a", Captures{{"path", "a"}}},
      {"data/{path...}", "data/a/b/c", Captures{{"path", "a/b/c"}}},
      {"{path...}", "a/b", Captures{{"path", "a/b"}}},
      {"{a}/{path...}", "x/y/z", Captures{{"a", "x"}, {"path", "y/z"}}},
      {"data/{path...}", "data", std::nullopt},
      {"data/{path...}", "data/", std::nullopt},
      {"data/{path...}", "data//a", std::nullopt},
      {"data/{path...}", "date/a", std::nullopt},
      {"{path...}", "", std::nullopt},
      // Within the rest a slash is a character like any other.
      {"data/{path...}", "data/a//b/", Captures{{"path", "a//b/"}}},
  });
}

TEST(CapturedNames, AreThoseOfThePatternInOrder) {
  EXPECT_THAT(CapturedNames("versions/{version}"), ElementsAre("version"));
  EXPECT_THAT(CapturedNames("{b}/x/{a}/{path...}"), ElementsAre("b", "a", "path"));
  EXPECT_THAT(CapturedNames("rotate"), IsEmpty());
  EXPECT_THAT(CapturedNames(""), IsEmpty());
  EXPECT_THAT(CapturedNames("{open/close}"), IsEmpty());
}

}  // namespace
}  // namespace openbao
