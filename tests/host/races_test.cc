// Many clients at once on the real plugin, under schedules from a seed: storage calls take random
// times, and in every second schedule the plugin is killed in the middle. What the clients saw must
// be what one client after the other could have seen.
//
// SCHEDULES=100 runs more of them (make soak); MEK_SEED=N runs that one schedule.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <functional>
#include <iostream>
#include <map>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "host/plugin_host.h"
#include "support/environment.h"
#include "support/records.h"

namespace testing_support {
namespace {

using base::Json;

constexpr char kData[] = "data/encryption/keys/stored_data";
constexpr int kClients = 64;
constexpr int kCallsEach = 3;

std::string Text(const Json& value) {
  return std::string(value.get_ref<const base::JsonString&>());
}

void InParallel(int threads, const std::function<void(int)>& act) {
  std::vector<std::thread> all;
  all.reserve(static_cast<std::size_t>(threads));
  for (int i = 0; i < threads; ++i) all.emplace_back([&act, i] { act(i); });
  for (std::thread& thread : all) thread.join();
}

// Storage calls that take up to 2 ms, and a kill at call `kill_at`, if that is not 0.
StoragePlan Schedule(std::uint32_t seed, int kill_at) {
  return [seed, kill_at](const StorageCall& call) {
    std::mt19937 random(seed * 1'000'003U + static_cast<std::uint32_t>(call.number));
    absl::SleepFor(absl::Microseconds(random() % 2000));
    if (call.number != kill_at) return Verdict();
    return Verdict(random() % 2 == 0 ? Fault::kCrashBefore : Fault::kCrashAfter);
  };
}

struct Event {
  enum class Kind { kRotate, kCasRotate, kRollback, kPatch, kRead } kind = Kind::kRead;
  std::uint64_t cas = 0;
  // Ticks of one clock for all: two events with [begin, end] apart happened in that order.
  int begin = 0;
  int end = 0;
  HostReply reply;
  bool writes() const { return kind != Kind::kRead; }
};

class Races : public ::testing::Test {
 protected:
  void Start() {
    ASSERT_TRUE(host_.Write(kData, Json{{"data", ReadRecord("good_bootstrapped")}}).ok());
  }

  Event Act(std::mt19937& random) {
    Event event;
    event.kind = static_cast<Event::Kind>(random() % 5);
    event.begin = ++ticks_;
    switch (event.kind) {
      case Event::Kind::kRotate:
        event.reply = host_.Write("rotate", Json{{"force", true}});
        break;
      case Event::Kind::kCasRotate:
        event.cas = latest_;
        event.reply = host_.Write("rotate", Json{{"cas", event.cas}});
        break;
      case Event::Kind::kRollback:
        event.reply = host_.Write("rollback", Json{{"version", 1}});
        break;
      case Event::Kind::kPatch:
        event.reply = host_.Send(
            {.operation = "patch",
             .path = kData,
             .data = Json{{"data", Json{{"note", base::JsonText(absl::StrCat(event.begin))}}}}});
        break;
      case Event::Kind::kRead:
        event.reply = host_.Read(kData);
        break;
    }
    event.end = ++ticks_;
    if (event.writes() && event.reply.ok()) {
      std::uint64_t seen = latest_;
      while (seen < event.reply.version() &&
             !latest_.compare_exchange_weak(seen, event.reply.version())) {
      }
    }
    return event;
  }

  PluginHost host_;
  std::atomic<int> ticks_ = 0;
  std::atomic<std::uint64_t> latest_ = 1;
};

std::uint64_t VersionOf(const Event& event) {
  return event.writes() ? event.reply.version()
                        : event.reply.data.at("metadata").at("version").get<std::uint64_t>();
}

// A write takes the place of its version in the order, a read stands behind that of its version.
// The order must be one without gaps, must not contradict the clock, and each write must have
// started from the one before it.
void CheckLinear(const std::vector<Event>& events, PluginHost& host) {
  std::map<std::uint64_t, const Event*> writes;
  std::vector<const Event*> done;
  for (const Event& event : events) {
    if (event.reply.ok()) {
      done.push_back(&event);
      if (event.writes()) {
        EXPECT_TRUE(writes.emplace(VersionOf(event), &event).second)
            << "two answers with version " << VersionOf(event);
      }
      continue;
    }
    // Only a cas that was overtaken may fail; a rollback to the live version conflicts.
    const bool overtaken = event.kind == Event::Kind::kCasRotate && event.reply.code == 400;
    const bool live = event.kind == Event::Kind::kRollback && event.reply.code == 409;
    EXPECT_TRUE(overtaken || live) << event.reply.code << " " << event.reply.error;
  }
  std::uint64_t expected = 2;
  for (const auto& [version, event] : writes) ASSERT_EQ(version, expected++);
  for (const Event* first : done) {
    for (const Event* second : done) {
      if (first->end > second->begin) continue;
      const std::uint64_t before = VersionOf(*first);
      const std::uint64_t after = VersionOf(*second);
      EXPECT_TRUE(second->writes() ? before < after : before <= after)
          << "version " << before << " was answered before that of " << after << " was asked for";
    }
  }
  for (const Event& event : events) {
    if (event.kind != Event::Kind::kCasRotate) continue;
    if (event.reply.ok()) {
      EXPECT_EQ(event.reply.version(), event.cas + 1);
      continue;
    }
    // The version it named was not the live one all the while.
    const auto named = writes.find(event.cas);
    const auto next = writes.find(event.cas + 1);
    EXPECT_FALSE((event.cas == 1 || (named != writes.end() && named->second->end < event.begin)) &&
                 (next == writes.end() || next->second->begin > event.end))
        << "cas " << event.cas << " was refused while it was right";
  }
  // Each version's history says what its writer was told, and follows the one before.
  const auto final_record = mek::Record::Parse(host.Read(kData).data.at("data"));
  ASSERT_TRUE(final_record.ok());
  std::string current = Text(host.Read("versions/1").data.at("current_kid"));
  for (const auto& [version, event] : writes) {
    const Json history = host.Read(absl::StrCat("versions/", version)).data;
    const std::string kid = Text(history.at("current_kid"));
    if (event->kind == Event::Kind::kRotate || event->kind == Event::Kind::kCasRotate) {
      EXPECT_EQ(kid, Text(event->reply.data.at("current_kid")));
      EXPECT_EQ(Text(history.at("previous_kid")), current);
    } else if (event->kind == Event::Kind::kPatch) {
      EXPECT_EQ(kid, current);
    }
    for (const mek::Set set : mek::kSets) EXPECT_NE(final_record->set(set).Find(kid), nullptr);
    current = kid;
  }
  EXPECT_EQ(host.Read("verify").data.at("result"), "ok");
  for (const Event* event : done) {
    if (event->writes()) continue;
    const Json stored = host.Read(kData, Json{{"version", VersionOf(*event)}}).data.at("data");
    EXPECT_TRUE(event->reply.data.at("data") == stored);
  }
}

TEST_F(Races, SixtyFourClientsAreLinearizable) {
  const std::uint64_t one = FromEnvironment("MEK_SEED", 0);
  const std::uint64_t first = one > 0 ? one : 1;
  const std::uint64_t schedules = one > 0 ? 1 : FromEnvironment("SCHEDULES", 10);
  int writes = 0;
  int kills = 0;
  for (std::uint64_t i = 0; i < schedules; ++i) {
    const auto seed = static_cast<std::uint32_t>(first + i);
    SCOPED_TRACE(absl::StrCat("SEED=", seed));
    host_.store().set_content({});
    host_.store().set_transactional(seed % 3 != 0);
    host_.Renew();
    Start();
    latest_ = 1;
    std::mt19937 random(seed);
    // There are about 110 calls: the Put of each version, and hardly any else.
    const int kill_at = seed % 2 == 0 ? static_cast<int>(20 + random() % 60) : 0;
    const int starts = host_.starts();
    host_.hub().set_plan(Schedule(seed, kill_at));
    std::vector<std::vector<Event>> of_client(kClients);
    InParallel(kClients, [&](int client) {
      std::mt19937 own(seed * 7919U + static_cast<std::uint32_t>(client));
      for (int k = 0; k < kCallsEach; ++k) {
        of_client[static_cast<std::size_t>(client)].push_back(Act(own));
      }
    });
    host_.hub().set_plan(nullptr);
    kills += host_.starts() - starts;
    EXPECT_EQ(host_.starts() - starts, kill_at == 0 ? 0 : 1);
    std::vector<Event> events;
    for (auto& some : of_client) {
      for (Event& event : some) events.push_back(std::move(event));
    }
    writes += static_cast<int>(std::ranges::count_if(
        events, [](const Event& event) { return event.writes() && event.reply.ok(); }));
    CheckLinear(events, host_);
    if (HasFailure()) {
      std::cout << "failed with SEED=" << seed << "\n";
      return;
    }
  }
  EXPECT_EQ(host_.store().begins(), host_.store().ends() + host_.store().abandoned());
  std::cout << schedules << " schedules of " << kClients * kCallsEach << " calls: " << writes
            << " versions, " << kills << " kills\n";
}

TEST_F(Races, ACasRaceHasOneWinner) {
  Start();
  host_.hub().set_plan(Schedule(1, 0));
  for (std::uint64_t version = 1; version <= 10; ++version) {
    std::atomic<int> won = 0;
    std::atomic<int> refused = 0;
    InParallel(16, [&](int) {
      const HostReply reply = host_.Write("rotate", Json{{"cas", version}});
      if (reply.ok()) ++won;
      if (reply.code == 400) ++refused;
    });
    EXPECT_EQ(won, 1);
    EXPECT_EQ(refused, 15);
    EXPECT_EQ(host_.Read("status").version(), version + 1);
  }
}

TEST_F(Races, NinetySixForcedRotationsAllSucceedInOrder) {
  Start();
  host_.hub().set_plan(Schedule(2, 0));
  constexpr int kRotations = 96;
  std::vector<HostReply> replies(kRotations);
  InParallel(kRotations, [&](int i) {
    replies[static_cast<std::size_t>(i)] = host_.Write("rotate", Json{{"force", true}});
  });
  std::map<std::uint64_t, const HostReply*> by_version;
  for (const HostReply& reply : replies) {
    ASSERT_TRUE(reply.ok()) << reply.error;
    by_version.emplace(reply.version(), &reply);
  }
  ASSERT_EQ(by_version.size(), static_cast<std::size_t>(kRotations));
  EXPECT_EQ(by_version.rbegin()->first, 1u + kRotations);
  const auto record = mek::Record::Parse(host_.Read(kData).data.at("data"));
  ASSERT_TRUE(record.ok());
  std::string previous = Text(host_.Read("versions/1").data.at("current_kid"));
  for (const auto& [version, reply] : by_version) {
    EXPECT_EQ(Text(reply->data.at("previous_kid")), previous);
    previous = Text(reply->data.at("current_kid"));
    for (const mek::Set set : mek::kSets) EXPECT_NE(record->set(set).Find(previous), nullptr);
  }
  EXPECT_EQ(record->current_kid(), previous);
}

}  // namespace
}  // namespace testing_support
