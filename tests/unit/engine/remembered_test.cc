#include "engine/remembered.h"

#include <gtest/gtest.h>

#include <optional>

#include "absl/status/status.h"

namespace engine {
namespace {

class RememberedTest : public ::testing::Test {
 protected:
  RememberedTest() { remembered_.Allow(); }

  // As who reads storage and finds `value` there.
  void Read(int value) {
    Remembered<int>::Moment moment = 0;
    static_cast<void>(remembered_.Get(moment));
    remembered_.Offer(moment, value);
  }
  std::optional<int> Get() {
    Remembered<int>::Moment moment = 0;
    return remembered_.Get(moment);
  }

  Remembered<int> remembered_;
};

TEST_F(RememberedTest, NothingUntilItIsAllowed) {
  Remembered<int> other;
  Remembered<int>::Moment moment = 0;
  static_cast<void>(other.Get(moment));
  other.Offer(moment, 1);
  EXPECT_EQ(other.Get(moment), std::nullopt);
  Read(1);
  EXPECT_EQ(Get(), 1);
}

TEST_F(RememberedTest, AnAnsweredWriteIsFollowedByWhatIsReadNext) {
  for (const absl::Status& put : {absl::OkStatus(), absl::InternalError("refused")}) {
    Read(1);
    remembered_.Written(put);
    EXPECT_EQ(Get(), std::nullopt);
    Read(2);
    EXPECT_EQ(Get(), 2);
  }
}

// It may take effect after whatever is read from now on.
TEST_F(RememberedTest, NothingMoreAfterAWriteThatGotNoAnswer) {
  Read(1);
  remembered_.Written(absl::UnavailableError("no answer"));
  EXPECT_EQ(Get(), std::nullopt);
  Read(1);
  EXPECT_EQ(Get(), std::nullopt);
  EXPECT_FALSE(remembered_.allowed());
}

TEST_F(RememberedTest, WhatWasReadBeforeAChangeIsNotKept) {
  Remembered<int>::Moment moment = 0;
  static_cast<void>(remembered_.Get(moment));
  remembered_.Written(absl::OkStatus());
  remembered_.Offer(moment, 1);
  EXPECT_EQ(Get(), std::nullopt);
}

}  // namespace
}  // namespace engine
