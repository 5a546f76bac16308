#include "sdk/transport/host_connection.h"

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <deque>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

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

}  // namespace
}  // namespace openbao
