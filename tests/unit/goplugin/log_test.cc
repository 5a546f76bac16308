#include "goplugin/log.h"

#include <gmock/gmock.h>
#include <grpc/support/log.h>
#include <gtest/gtest.h>

#include <string>
#include <thread>
#include <vector>

#include "base/json.h"
#include "base/text.h"
#include "support/fakes.h"
#include "support/status_matchers.h"

namespace goplugin {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using ::testing::StartsWith;
using ::testing_support::FakeClock;

class Log : public ::testing::Test {
 protected:
  HclogLogger Make(base::LogLevel level = base::LogLevel::kTrace) {
    return HclogLogger("demo", level, &clock_,
                       [this](std::string_view line) { lines_.emplace_back(line); });
  }
  base::Json Parsed(std::size_t line) { return *base::ParseJson(lines_.at(line)); }

  // 2026-03-04 05:06:07.000008 UTC
  FakeClock clock_{absl::FromUnixMicros(1'772'600'767'000'008)};
  std::vector<std::string> lines_;
};

TEST_F(Log, LineIsWhatTheHostParses) {
  HclogLogger logger = Make();
  logger.Log(base::LogLevel::kWarn, "key rotated", {{"mount", "a/"}, {"version", "3"}});
  EXPECT_THAT(lines_, ElementsAre(R"({"@level":"warn","@message":"key rotated","@module":"demo",)"
                                  R"("@timestamp":"2026-03-04T05:06:07.000008Z",)"
                                  R"("mount":"a/","version":"3"})"
                                  "\n"));
}

TEST_F(Log, NamesTheLevelsAsHclogDoes) {
  HclogLogger logger = Make();
  std::vector<std::string> names;
  for (const auto level : {base::LogLevel::kTrace, base::LogLevel::kDebug, base::LogLevel::kInfo,
                           base::LogLevel::kWarn, base::LogLevel::kError}) {
    logger.Log(level, "", {});
    names.emplace_back(*base::FindString(Parsed(names.size()), "@level"));
  }
  EXPECT_THAT(names, ElementsAre("trace", "debug", "info", "warn", "error"));
}

TEST_F(Log, DropsWhatIsBelowTheLevel) {
  HclogLogger logger = Make(base::LogLevel::kInfo);
  logger.Log(base::LogLevel::kDebug, "no", {});
  EXPECT_THAT(lines_, IsEmpty());
  logger.Info("yes");
  EXPECT_THAT(lines_, SizeIs(1));
}

TEST_F(Log, StaysOneJsonLineWhateverIsLogged) {
  HclogLogger logger = Make();
  logger.Info("two\nlines \"quoted\" \\ \x01 \xff\xfe \xe2\x82",
              {{"k\ney", std::string("\0\xc0", 2)}});
  ASSERT_THAT(lines_, SizeIs(1));
  EXPECT_EQ(lines_[0].find('\n'), lines_[0].size() - 1);
  EXPECT_EQ(*base::FindString(Parsed(0), "@message"),
            "two\nlines \"quoted\" \\ \x01 \xef\xbf\xbd\xef\xbf\xbd \xef\xbf\xbd");
  EXPECT_EQ(*base::FindString(Parsed(0), "k\ney"), base::JsonString("\0\xef\xbf\xbd", 4));
}

TEST_F(Log, KeepsHclogsOwnNamesToItself) {
  HclogLogger logger = Make();
  logger.Info("right", {{"@message", "wrong"}, {"@@level", "wrong"}, {"@", "wrong"}});
  const base::Json line = Parsed(0);
  EXPECT_EQ(*base::FindString(line, "@message"), "right");
  EXPECT_EQ(*base::FindString(line, "@level"), "info");
  EXPECT_EQ(*base::FindString(line, "message"), "wrong");
  EXPECT_EQ(*base::FindString(line, "level"), "wrong");
  EXPECT_EQ(line.size(), 6u);
}

TEST_F(Log, CutsWhatTheHostWouldNotReadWhole) {
  HclogLogger logger = Make();
  logger.Info(std::string(1'000'000, 'x'), {{"k", std::string(kMaxLogText + 1, 'y')}});
  const base::JsonString message = *base::FindString(Parsed(0), "@message");
  EXPECT_EQ(message.size(), kMaxLogText);
  EXPECT_TRUE(message.ends_with("x [cut]"));
  EXPECT_TRUE(base::FindString(Parsed(0), "k")->ends_with("y [cut]"));

  // Each \x01 becomes six bytes.
  const std::string escaped(100'000, '\x01');
  logger.Info(escaped, {{"a", escaped}, {"b", escaped}});
  EXPECT_LT(lines_[1].size(), kMaxLogLine);
  EXPECT_THAT(std::string(*base::FindString(Parsed(1), "@message")), StartsWith("\x01\x01"));
  EXPECT_EQ(*base::FindString(Parsed(1), "@level"), "info");
  EXPECT_NE(base::FindString(Parsed(1), "cut"), nullptr);
}

TEST_F(Log, WritesWholeLinesFromManyThreads) {
  HclogLogger logger = Make();
  std::vector<std::thread> threads;
  threads.reserve(8);
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&] {
      for (int n = 0; n < 100; ++n) logger.Info("line");
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_THAT(lines_, SizeIs(800));
  EXPECT_THAT(lines_, Each(lines_[0]));
}

TEST_F(Log, TakesGrpcsErrorsAsWarnings) {
  HclogLogger logger = Make();
  {
    const GrpcLogToLogger grpc_log(&logger);
    gpr_log(GPR_ERROR, "it broke: %d", 7);
    ASSERT_THAT(lines_, SizeIs(1));
    EXPECT_EQ(*base::FindString(Parsed(0), "@message"), "it broke: 7");
    EXPECT_EQ(*base::FindString(Parsed(0), "@level"), "warn");
    EXPECT_EQ(*base::FindString(Parsed(0), "source"), "grpc");
  }
  gpr_log(GPR_ERROR, "nobody listens");
  EXPECT_THAT(lines_, SizeIs(1));
}

TEST_F(Log, LeavesOutGrpcsTalkEvenIfItIsSwitchedOn) {
  HclogLogger logger = Make();
  const GrpcLogToLogger grpc_log(&logger);
  gpr_set_log_verbosity(GPR_LOG_SEVERITY_DEBUG);
  gpr_log(GPR_INFO, "payload");
  gpr_log(GPR_DEBUG, "payload");
  EXPECT_THAT(lines_, IsEmpty());
}

}  // namespace
}  // namespace goplugin
