#include "engine/fair_lock.h"

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "absl/synchronization/notification.h"
#include "support/status_matchers.h"

namespace engine {
namespace {

using ::testing::HasSubstr;
using ::testing_support::IsOk;
using ::testing_support::StatusIs;

class SwitchContext final : public openbao::Context {
 public:
  bool Cancelled() const override {
    ++asked;
    return cancelled;
  }
  std::atomic<bool> cancelled = false;
  mutable std::atomic<int> asked = 0;
};

TEST(FairLock, IsGivenInTheOrderOfAsking) {
  FairLock lock;
  auto first = std::make_unique<FairLock::Holder>(*lock.Acquire(nullptr));
  std::vector<int> order;
  std::vector<std::thread> threads;
  std::vector<std::unique_ptr<SwitchContext>> waiting;
  for (int i = 0; i < 16; ++i) {
    waiting.push_back(std::make_unique<SwitchContext>());
    SwitchContext* context = waiting.back().get();
    threads.emplace_back([&, i, context] {
      const auto holder = lock.Acquire(context);
      ASSERT_THAT(holder, IsOk());
      order.push_back(i);  // under the lock
    });
    // A waiter asks its context only once it stands in the queue.
    while (context->asked == 0) std::this_thread::yield();
  }
  first.reset();
  for (std::thread& thread : threads) thread.join();
  for (int i = 0; i < 16; ++i) EXPECT_EQ(order[static_cast<std::size_t>(i)], i);
}

TEST(FairLock, LetsGoOfAWaiterWhoseCallerHasGone) {
  FairLock lock;
  auto first = std::make_unique<FairLock::Holder>(*lock.Acquire(nullptr));
  SwitchContext gone;
  gone.cancelled = true;
  EXPECT_THAT(lock.Acquire(&gone),
              StatusIs(absl::StatusCode::kCancelled, HasSubstr("nothing was changed")));
  first.reset();
  EXPECT_THAT(lock.Acquire(nullptr), IsOk());
}

TEST(FairLock, WhatIsLeftLivesUntilTheNextHolderHasDoneWithIt) {
  FairLock lock;
  auto first = std::make_unique<FairLock::Holder>(*lock.Acquire(nullptr));
  SwitchContext waits;
  std::weak_ptr<int> left;
  std::thread second([&] {
    const auto holder = lock.Acquire(&waits);
    EXPECT_FALSE(left.expired());
  });
  while (waits.asked == 0) std::this_thread::yield();
  {
    auto something = std::make_shared<int>(1);
    left = something;
    first->Leave(std::move(something));
  }
  first.reset();
  second.join();
  EXPECT_TRUE(left.expired());
}

TEST(FairLock, NothingIsLeftWhereNobodyWaits) {
  FairLock lock;
  std::weak_ptr<int> left;
  {
    FairLock::Holder holder = *lock.Acquire(nullptr);
    auto something = std::make_shared<int>(1);
    left = something;
    holder.Leave(std::move(something));
  }
  EXPECT_TRUE(left.expired());
  EXPECT_THAT(lock.Acquire(nullptr), IsOk());
}

TEST(FairLock, ExcludesUnderContention) {
  FairLock lock;
  int counter = 0;
  std::vector<std::thread> threads;
  threads.reserve(8);
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&] {
      for (int n = 0; n < 1000; ++n) {
        const auto holder = lock.Acquire(nullptr);
        ++counter;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(counter, 8000);
}

}  // namespace
}  // namespace engine
