#include "kvclient/allowance.h"

#include <gtest/gtest.h>

#include <thread>

namespace kvclient {
namespace {

TEST(Allowance, TheInnermostHoldsAndItsUseCountsForTheOneAround) {
  EXPECT_EQ(Allowance::OfThread(), nullptr);
  Allowance outer(absl::Seconds(5));
  EXPECT_EQ(Allowance::OfThread(), &outer);
  outer.Spend(absl::Seconds(2));
  {
    Allowance most = Allowance::AtMost(absl::Seconds(1));
    EXPECT_EQ(Allowance::OfThread(), &most);
    EXPECT_EQ(most.left(), absl::Seconds(1));
    most.Spend(absl::Seconds(1));
    EXPECT_EQ(most.left(), absl::ZeroDuration());
  }
  EXPECT_EQ(Allowance::OfThread(), &outer);
  EXPECT_EQ(outer.left(), absl::Seconds(2));
  EXPECT_EQ(Allowance::AtMost(absl::Seconds(3)).left(), absl::Seconds(2));
  EXPECT_EQ(Allowance::AtLeast(absl::Seconds(1)).left(), absl::Seconds(2));
  outer.Spend(absl::Seconds(9));
  EXPECT_EQ(outer.left(), absl::ZeroDuration());
  EXPECT_EQ(Allowance::AtLeast(absl::Seconds(1)).left(), absl::Seconds(1));
}

TEST(Allowance, HoldsForItsThreadOnly) {
  const Allowance mine(absl::Seconds(5));
  std::thread([] { EXPECT_EQ(Allowance::OfThread(), nullptr); }).join();
}

TEST(Caller, IsKnownToHaveGoneFromTheFirstTimeItIsAsked) {
  bool gone = false;
  Caller caller([&] { return gone; });
  EXPECT_FALSE(caller.GoneFor(absl::ZeroDuration()));
  gone = true;
  EXPECT_TRUE(caller.GoneFor(absl::ZeroDuration()));
  EXPECT_FALSE(caller.GoneFor(absl::Minutes(1)));
  gone = false;
  EXPECT_TRUE(caller.GoneFor(absl::ZeroDuration()));
  EXPECT_FALSE(Caller(nullptr).GoneFor(absl::ZeroDuration()));
}

}  // namespace
}  // namespace kvclient
