#include <gtest/gtest.h>

#include <atomic>
#include <map>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "base/text.h"
#include "engine/engine.h"
#include "mek/record.h"
#include "support/status_matchers.h"
#include "support/test_mount.h"

namespace testing_support {
namespace {

using base::Json;

std::string Text(const Json& value) {
  return std::string(value.get_ref<const base::JsonString&>());
}

void InParallel(int threads, const std::function<void(int)>& act) {
  std::vector<std::thread> all;
  all.reserve(static_cast<std::size_t>(threads));
  for (int i = 0; i < threads; ++i) all.emplace_back([&act, i] { act(i); });
  for (std::thread& thread : all) thread.join();
}

TEST(Concurrency, RotationsAllSucceedEachWithAVersionOfItsOwn) {
  TestMount mount;
  ASSERT_THAT(mount.Put("good_bootstrapped"), IsOk());
  constexpr int kClients = 96;
  std::vector<Json> answers(kClients);
  InParallel(kClients, [&](int i) {
    const auto answer = mount.Write("rotate", Json{{"force", true}});
    ASSERT_THAT(answer, IsOk());
    answers[static_cast<std::size_t>(i)] = *answer;
  });
  std::map<std::uint64_t, Json> by_version;
  for (Json& answer : answers)
    by_version.emplace(answer.at("version").get<std::uint64_t>(), answer);
  ASSERT_EQ(by_version.size(), static_cast<std::size_t>(kClients));
  EXPECT_EQ(by_version.begin()->first, 2u);
  EXPECT_EQ(by_version.rbegin()->first, 1u + kClients);
  // Linear: each rotation started from the one before it, and every kid is in the final sets.
  const auto final_record = mek::Record::Parse(mount.Record());
  ASSERT_THAT(final_record, IsOk());
  std::string previous = "6aa44e80-fb25-11f0-b358-d9f191b7584a";
  for (const auto& [version, answer] : by_version) {
    EXPECT_EQ(Text(answer.at("previous_kid")), previous);
    previous = Text(answer.at("current_kid"));
    for (const mek::Set set : mek::kSets) EXPECT_NE(final_record->set(set).Find(previous), nullptr);
  }
  EXPECT_EQ(final_record->current_kid(), previous);
}

TEST(Concurrency, ACasRaceHasOneWinner) {
  TestMount mount;
  ASSERT_THAT(mount.Put("good_bootstrapped"), IsOk());
  for (std::uint64_t version = 1; version <= 20; ++version) {
    std::atomic<int> won = 0;
    std::atomic<int> lost = 0;
    InParallel(8, [&](int) {
      const auto answer = mount.Write("rotate", Json{{"cas", version}});
      if (answer.ok()) {
        ++won;
      } else {
        EXPECT_EQ(answer.status().code(), absl::StatusCode::kInvalidArgument);
        ++lost;
      }
    });
    EXPECT_EQ(won, 1);
    EXPECT_EQ(lost, 7);
    EXPECT_EQ(mount.LiveVersion(), version + 1);
  }
}

TEST(Concurrency, AReplayBesideItsOriginalCountsOnce) {
  TestMount mount;
  ASSERT_THAT(mount.Put("good_bootstrapped"), IsOk());
  for (int round = 0; round < 20; ++round) {
    std::vector<Json> answers(4);
    InParallel(4, [&](int i) {
      const auto answer = mount.Write("rotate", Json::object(), absl::StrCat("same-", round));
      ASSERT_THAT(answer, IsOk());
      answers[static_cast<std::size_t>(i)] = *answer;
    });
    for (const Json& answer : answers) EXPECT_EQ(answer.dump(), answers[0].dump());
    EXPECT_EQ(mount.LiveVersion(), static_cast<std::uint64_t>(round) + 2);
  }
}

TEST(Concurrency, ReadersSeeWholeRecordsWhileWritersWrite) {
  TestMount mount;
  ASSERT_THAT(mount.Put("good_bootstrapped"), IsOk());
  std::atomic<bool> done = false;
  std::atomic<int> reads = 0;
  std::thread writer([&] {
    for (int i = 0; i < 60; ++i) {
      if (i % 3 == 2) {
        EXPECT_THAT(mount.Write("rollback", Json{{"version", 1}}), IsOk());
      } else {
        EXPECT_THAT(mount.Write("rotate"), IsOk());
      }
    }
    done = true;
  });
  InParallel(3, [&](int) {
    std::uint64_t last = 0;
    while (!done) {
      const auto read = mount.Read("data/encryption/keys/stored_data");
      ASSERT_THAT(read, IsOk());
      ASSERT_THAT(mek::Record::Parse(read->at("data")), IsOk());
      const auto version = read->at("metadata").at("version").get<std::uint64_t>();
      EXPECT_GE(version, last);
      last = version;
      ++reads;
    }
  });
  writer.join();
  EXPECT_GT(reads, 0);
}

// Each begins with what the one before it made, and not with what that reads as.
TEST(Concurrency, WritersThatWaitMakeWhatTheyWouldMakeOneAfterTheOther) {
  const std::string kid = "6aa44e80-fb25-11f0-b358-d9f191b7584a";
  constexpr std::size_t kRefused = 3;
  const std::vector<std::pair<std::string, Json>> writes = {
      {"rotate", Json::object()},
      {"rotate", Json{{"activation", "staged"}, {"reason", "next"}}},
      {"rotate", Json{{"force", true}}},
      {"activate", Json{{"force", true}}},  // none is staged any more
      {base::Cat("keys/", kid, "/retire"), Json::object()},
      {"rotate", Json{{"activation", "staged"}}},
      {base::Cat("keys/", kid, "/restore"), Json::object()},
      {"activate", Json{{"force", true}}},
      {"data/encryption/keys/stored_data",
       Json{{"data", TestMount::RecordOf("good_bootstrapped")}}},
      {"rotate", Json{{"dry_run", true}}},
      {"rotate", Json::object()},
      {base::Cat("keys/", kid, "/compromised"), Json::object()},
      {"rotate", Json::object()}};
  const auto write = [&](TestMount& mount, std::size_t i) {
    return mount.Write(writes[i].first, writes[i].second, absl::StrCat("request-", i)).status();
  };
  TestMount alone;
  std::vector<absl::Status> expected;
  ASSERT_THAT(alone.Put("good_bootstrapped"), IsOk());
  for (std::size_t i = 0; i < writes.size(); ++i) expected.push_back(write(alone, i));
  // All but one take effect, so that none is refused before it waits.
  for (std::size_t i = 0; i < writes.size(); ++i) ASSERT_EQ(expected[i].ok(), i != kRefused) << i;

  TestMount mount;
  ASSERT_THAT(mount.Put("good_bootstrapped"), IsOk());
  // The first request's write is held up until all others stand in the queue, in their order.
  absl::Notification first_writes;
  absl::Notification all_wait;
  mount.storage().set_plan([&](const FakeStorage::Call& call) {
    if (call.name == "put" && !first_writes.HasBeenNotified()) {
      first_writes.Notify();
      all_wait.WaitForNotification();
    }
    return Fault::kNone;
  });
  std::vector<std::thread> threads;
  std::vector<absl::Status> got(writes.size());
  for (std::size_t i = 0; i < writes.size(); ++i) {
    threads.emplace_back([&, i] { got[i] = write(mount, i); });
    if (i == 0) {
      first_writes.WaitForNotification();
    } else {
      while (!mount.context().AskedBy(threads.back().get_id()))
        absl::SleepFor(absl::Milliseconds(1));
    }
  }
  all_wait.Notify();
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(got, expected);
  EXPECT_EQ(mount.storage().content(), alone.storage().content());
}

// They share their paths, and nothing else.
TEST(Concurrency, MountsThatOneFactoryMakesAtOnceKeepApart) {
  constexpr int kMounts = 8;
  FakeClock clock(absl::FromUnixSeconds(1'800'000'000));
  SeededRandom random(1);
  KeptLog log;
  FakeSystemView system;
  openbao::BackendConfig config;
  config.logger = &log;
  config.system = &system;
  const openbao::BackendFactory factory = engine::EngineFactory("v0.0.0-test", clock, random);
  std::vector<std::uint64_t> versions(kMounts);
  InParallel(kMounts, [&](int i) {
    const auto mount = factory(config);
    ASSERT_THAT(mount, IsOk());
    FakeStorage storage;
    const auto call = [&](openbao::Operation operation, std::string path) {
      openbao::Request request;
      request.operation = operation;
      request.path = std::move(path);
      request.storage = &storage;
      return (*mount)->HandleRequest(request);
    };
    ASSERT_THAT(call(openbao::Operation::kUpdate, "init"), IsOk());
    for (int rotated = 0; rotated < i; ++rotated) {
      ASSERT_THAT(call(openbao::Operation::kUpdate, "rotate"), IsOk());
    }
    const auto status = call(openbao::Operation::kRead, "status");
    ASSERT_THAT(status, IsOk());
    versions[static_cast<std::size_t>(i)] = (*status)->data.at("version").get<std::uint64_t>();
  });
  EXPECT_THAT(versions, ::testing::ElementsAre(1, 2, 3, 4, 5, 6, 7, 8));
}

}  // namespace
}  // namespace testing_support
