#include "sdk/transport/host_connection.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <deque>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "sdk/transport/storage_client.h"
#include "support/status_matchers.h"
#include "unit/sdk/scripted_host.h"

namespace openbao {
namespace {

using ::testing_support::IsOk;
using ::testing_support::ScriptedHost;

// Connections of one pool, all to the same host, which count how often they connect.
class HostConnectionTest : public ::testing::Test {
 protected:
  static constexpr std::size_t kMost = 2;
  static constexpr std::size_t kConnections = 4;

  HostConnectionTest() {
    for (std::size_t i = 0; i < kConnections; ++i) {
      connections_.emplace_back(
          [this, i] {
            ++connects_[i];
            return host_.connect()();
          },
          pool_);
    }
  }

  ScriptedHost host_;
  ConnectionPool pool_{kMost};
  std::array<std::atomic<int>, kConnections> connects_{};
  std::deque<HostConnection> connections_;
};

TEST_F(HostConnectionTest, ConnectsOnceAndAtItsFirstUse) {
  EXPECT_EQ(connects_[0], 0);
  const auto first = connections_[0].Use();
  EXPECT_EQ(connects_[0], 1);
  EXPECT_EQ(connections_[0].Use(), first);
  EXPECT_EQ(connects_[0], 1);
}

TEST_F(HostConnectionTest, TheOneThatWasUsedLeastLatelyIsGivenUp) {
  connections_[0].Use();
  connections_[1].Use();
  connections_[0].Use();
  connections_[2].Use();  // in the place of 1
  connections_[0].Use();
  connections_[2].Use();
  EXPECT_EQ(connects_[0], 1);
  EXPECT_EQ(connects_[1], 1);
  EXPECT_EQ(connects_[2], 1);
  connections_[1].Use();  // in the place of 0
  EXPECT_EQ(connects_[1], 2);
  connections_[2].Use();
  EXPECT_EQ(connects_[2], 1);
  connections_[0].Use();
  EXPECT_EQ(connects_[0], 2);
}

TEST_F(HostConnectionTest, WhatIsGivenUpClosesOnceNobodyUsesIt) {
  std::shared_ptr<HostConnection::Stubs> used = connections_[0].Use();
  const std::weak_ptr<HostConnection::Stubs> open = used;
  const std::weak_ptr<HostConnection::Stubs> unused = connections_[1].Use();
  connections_[2].Use();
  connections_[3].Use();
  EXPECT_TRUE(unused.expired());
  ASSERT_FALSE(open.expired());
  // A call under way goes on.
  grpc::ClientContext context;
  pb::StoragePutReply reply;
  EXPECT_TRUE(used->storage->Put(&context, pb::StoragePutArgs(), &reply).ok());
  used.reset();
  EXPECT_TRUE(open.expired());
}

TEST_F(HostConnectionTest, ATransactionKeepsItsConnection) {
  StorageHost storage_host(connections_[0]);
  StorageClient storage(storage_host, nullptr);
  auto transaction = storage.BeginTx();
  ASSERT_THAT(transaction, IsOk());
  connections_[1].Use();
  connections_[2].Use();
  EXPECT_THAT((*transaction)->Put("k", base::SecretBytes("v")), IsOk());
  EXPECT_THAT((*transaction)->Commit(), IsOk());
  EXPECT_EQ(connects_[0], 1);
}

TEST_F(HostConnectionTest, AMountThatGoesLeavesItsPlace) {
  {
    HostConnection passing(host_.connect(), pool_);
    passing.Use();
    connections_[0].Use();
  }
  connections_[1].Use();
  connections_[0].Use();
  EXPECT_EQ(connects_[0], 1);
}

TEST_F(HostConnectionTest, ManyThreadsOpenItOnce) {
  std::vector<std::thread> threads;
  for (int t = 0; t < 8; ++t) threads.emplace_back([&] { connections_[0].Use(); });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(connects_[0], 1);
}

// A server that each connection reaches over a socket of its own.
TEST(HostConnections, ThatManyThreadsTakeFromEachOtherLoseNoCall) {
  constexpr std::size_t kMounts = 4;
  constexpr std::size_t kThreads = 8;
  constexpr std::size_t kCalls = 50;
  ScriptedHost host(testing_support::Reach::kSocket);
  ConnectionPool pool(2);
  std::atomic<std::size_t> connects = 0;
  std::deque<HostConnection> connections;
  for (std::size_t i = 0; i < kMounts; ++i) {
    connections.emplace_back(
        [&] {
          ++connects;
          return host.Connect();
        },
        pool);
  }
  std::atomic<int> failed = 0;
  std::vector<std::thread> threads;
  for (std::size_t t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (std::size_t i = 0; i < kCalls; ++i) {
        StorageHost storage_host(connections[(t + i) % kMounts]);
        const absl::Status put = StorageClient(storage_host, nullptr)
                                     .Put(std::to_string(t), base::SecretBytes(std::to_string(i)));
        if (!put.ok()) ++failed;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(failed, 0);
  EXPECT_EQ(host.Count("Put"), static_cast<int>(kThreads * kCalls));
  EXPECT_GT(connects, kMounts);
}

// A socket that takes connections and never says a word.
class SilentServer {
 public:
  SilentServer() {
    EXPECT_GE(fd_, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    auto* any = reinterpret_cast<sockaddr*>(&address);
    EXPECT_EQ(bind(fd_, any, size), 0);
    EXPECT_EQ(listen(fd_, 100), 0);
    EXPECT_EQ(getsockname(fd_, any, &size), 0);
    target_ = "ipv4:127.0.0.1:" + std::to_string(ntohs(address.sin_port));
  }
  ~SilentServer() { close(fd_); }

  const std::string& target() const { return target_; }

 private:
  const int fd_ = socket(AF_INET, SOCK_STREAM, 0);
  std::string target_;
};

// Connections that are all used at once, each by a thread of its own.
class Crowd {
 public:
  Crowd(std::size_t size, const std::string& target, ConnectionPool& pool) {
    for (std::size_t i = 0; i < size; ++i) {
      connections_.emplace_back(
          [this, target] {
            ++connects_;
            return grpc::CreateChannel(target, grpc::InsecureChannelCredentials());
          },
          pool);
    }
    for (HostConnection& connection : connections_) {
      threads_.emplace_back([&] { connection.Use(); });
    }
  }
  void Join() {
    for (std::thread& thread : threads_) thread.join();
  }
  int connects() const { return connects_; }

 private:
  std::atomic<int> connects_ = 0;
  std::deque<HostConnection> connections_;
  std::vector<std::thread> threads_;
};

constexpr std::size_t kCrowd = 2 * kMostOpening;

TEST(ConnectionPool, OpensAFewConnectionsAtATime) {
  const SilentServer server;
  ConnectionPool pool(100, absl::Seconds(3));
  Crowd crowd(kCrowd, server.target(), pool);
  absl::SleepFor(absl::Seconds(1));
  EXPECT_EQ(crowd.connects(), kMostOpening);
  // Each turn ends, and the others get theirs.
  crowd.Join();
  EXPECT_EQ(crowd.connects(), kCrowd);
}

TEST(ConnectionPool, NobodyWaitsForATurnForEver) {
  const SilentServer server;
  ConnectionPool pool(100, absl::Seconds(2), absl::Milliseconds(50));
  const absl::Time start = absl::Now();
  Crowd crowd(kCrowd, server.target(), pool);
  crowd.Join();
  EXPECT_EQ(crowd.connects(), kCrowd);
  EXPECT_LT(absl::Now() - start, absl::Seconds(4));
}

TEST(ConnectionPool, WhatConnectsOrCannotGivesItsTurnBackAtOnce) {
  ConnectionPool pool(1, absl::Minutes(10), absl::Minutes(10));
  Crowd crowd(kCrowd, "unix:/nowhere/to/be/found", pool);
  crowd.Join();
  EXPECT_EQ(crowd.connects(), kCrowd);

  ScriptedHost host(testing_support::Reach::kSocket);
  HostConnection connection([&] { return host.Connect(); }, pool);
  StorageHost storage_host(connection);
  EXPECT_THAT(StorageClient(storage_host, nullptr).Put("k", base::SecretBytes("v")), IsOk());
}

TEST(ConnectionPool, AServerThatIsGoneIsUnavailable) {
  ConnectionPool pool(1, absl::Minutes(10), absl::Minutes(10));
  HostConnection connection(
      [] {
        return grpc::CreateChannel("unix:/nowhere/to/be/found", grpc::InsecureChannelCredentials());
      },
      pool);
  StorageHost storage_host(connection);
  EXPECT_THAT(
      StorageClient(storage_host, nullptr).Put("k", base::SecretBytes("v")),
      testing_support::StatusIs(absl::StatusCode::kUnavailable, ::testing::HasSubstr("no answer")));
}

}  // namespace
}  // namespace openbao
