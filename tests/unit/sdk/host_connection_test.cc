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

TEST_F(HostConnectionTest, ManyThreadsLoseNoCall) {
  std::atomic<int> failed = 0;
  std::vector<std::thread> threads;
  for (std::size_t t = 0; t < 8; ++t) {
    threads.emplace_back([&, t] {
      for (std::size_t i = 0; i < 200; ++i) {
        StorageHost storage_host(connections_[(t + i) % kConnections]);
        const absl::Status put = StorageClient(storage_host, nullptr)
                                     .Put(std::to_string(t), base::SecretBytes(std::to_string(i)));
        if (!put.ok()) ++failed;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(failed, 0);
  EXPECT_EQ(host_.Count("Put"), 8 * 200);
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

TEST(ConnectionPool, OpensAFewConnectionsAtATime) {
  constexpr std::size_t kMounts = 2 * kMostOpening;
  const SilentServer server;
  ConnectionPool pool(100, absl::Milliseconds(500));
  std::atomic<int> connects = 0;
  std::deque<HostConnection> connections;
  for (std::size_t i = 0; i < kMounts; ++i) {
    connections.emplace_back(
        [&] {
          ++connects;
          return grpc::CreateChannel(server.target(), grpc::InsecureChannelCredentials());
        },
        pool);
  }
  const absl::Time start = absl::Now();
  std::vector<std::thread> threads;
  for (HostConnection& connection : connections) threads.emplace_back([&] { connection.Use(); });
  absl::SleepFor(absl::Milliseconds(200));
  EXPECT_EQ(connects, kMostOpening);
  for (std::thread& thread : threads) thread.join();
  // Nobody waits for ever.
  EXPECT_EQ(connects, kMounts);
  EXPECT_GE(absl::Now() - start, absl::Milliseconds(900));
}

TEST(ConnectionPool, AServerThatIsGoneHoldsUpNobody) {
  ConnectionPool pool(1, absl::Minutes(10));
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
