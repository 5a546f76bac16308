// Nothing grows: a process that has answered many requests takes as much memory as one that has
// answered some.
//
// REQUESTS=1000000 makes it as many (make soak).
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <fstream>
#include <iostream>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "host/plugin_host.h"
#include "support/environment.h"
#include "support/records.h"

namespace testing_support {
namespace {

using base::Json;

constexpr char kData[] = "data/encryption/keys/stored_data";
constexpr int kClients = 8;
constexpr std::uint64_t kFirst = 10'000;
// In this many requests there is one rotation, and one write without its key, which is archived.
// Few, as in life: what is archived is kept, so that the mount, and verify's work, grow with it.
constexpr std::uint64_t kCycle = 20'000;
// In this many there is one of the whole history, which reads each version and archived key.
constexpr std::uint64_t kVerify = 500;
// In this many there is one tick of the host's, which prunes.
constexpr std::uint64_t kTick = 100;

// The resident set, in KiB; 0 if there is none.
double Resident(int process) {
  std::ifstream status(absl::StrCat("/proc/", process, "/status"));
  double kib = 0;
  for (std::string word; status >> word;) {
    if (word == "VmRSS:") status >> kib;
  }
  return kib;
}

class Growth : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(host_.Write(kData, Json{{"data", record_}}).ok());
    // Versions with archived keys are not pruned: this many are, as others come.
    ASSERT_TRUE(host_.Write("config", Json{{"max_versions", 10}}).ok());
  }

  // What a mount is asked in its life, mistakes too. After it the record is about as large as
  // before.
  void Act(std::uint64_t number) {
    std::mt19937 random(static_cast<std::uint32_t>(number));
    if (number % kCycle == 1) {
      EXPECT_TRUE(host_.Write("rotate", Json{{"force", true}}).ok());
      return;
    }
    if (number % kCycle == kCycle / 2 - 1) {
      EXPECT_TRUE(host_.Write(kData, Json{{"data", record_}}).ok());
      return;
    }
    if (number % kVerify == kVerify / 4) {
      const HostReply verified = host_.Read("verify");
      EXPECT_TRUE(verified.ok()) << verified.error;
      return;
    }
    if (number % kTick == kTick / 4) {
      EXPECT_TRUE(host_.Send({.operation = "rollback"}).ok());
      return;
    }
    switch (random() % 12) {
      case 0:
      case 1:
        EXPECT_TRUE(host_.Read("status").ok());
        break;
      case 2:
        EXPECT_TRUE(host_.Send({.operation = "list", .path = "versions"}).ok());
        break;
      case 3:
        EXPECT_TRUE(host_.Write("rotate", Json{{"dry_run", true}, {"force", true}}).ok());
        break;
      case 4:
        EXPECT_EQ(host_.Write("rotate", Json{{"cas", 1}}).code, 400);
        break;
      case 5:
        EXPECT_EQ(host_.Write("rollback", Json{{"version", 0}}).code, 404);
        break;
      case 6:
        EXPECT_EQ(host_.Read(absl::StrCat("nothing/", number)).code, 405);
        break;
      case 7:
        EXPECT_TRUE(host_
                        .Send({.operation = "patch",
                               .path = kData,
                               .data = Json{{"data", Json{{"note", number}}}}})
                        .ok());
        break;
      default:
        EXPECT_TRUE(host_.Read(kData).ok());
    }
  }

  void Requests(std::uint64_t from, std::uint64_t to) {
    std::atomic<std::uint64_t> next = from;
    std::vector<std::thread> clients;
    clients.reserve(kClients);
    for (int i = 0; i < kClients; ++i) {
      clients.emplace_back([&] {
        for (std::uint64_t number = next++; number < to; number = next++) Act(number);
      });
    }
    for (std::thread& client : clients) client.join();
    // Forgets the calls it has counted.
    host_.hub().set_plan(nullptr);
  }

  const Json record_ = ReadRecord("good_bootstrapped");
  PluginHost host_;
};

TEST_F(Growth, MemoryStaysAsItWasAfterTheFirstTenThousandRequests) {
  const std::uint64_t requests = FromEnvironment("REQUESTS", 20'000);
  Requests(1, kFirst);
  const double first = Resident(host_.pid());
  ASSERT_GT(first, 1024);
  double most = first;
  for (std::uint64_t done = kFirst; done < requests && !HasFailure(); done += kFirst) {
    Requests(done, std::min(done + kFirst, requests));
    most = std::max(most, Resident(host_.pid()));
  }
  const double last = Resident(host_.pid());
  std::cout << requests << " requests: " << first << " KiB after " << kFirst << ", " << last
            << " KiB at the end, " << most << " KiB at most\n";
  EXPECT_LE(last, first * 1.05);
  EXPECT_EQ(host_.starts(), 1);
}

}  // namespace
}  // namespace testing_support
