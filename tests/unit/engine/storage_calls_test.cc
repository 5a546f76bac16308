// Storage calls are what a request's time goes into: each operation has its number, and one more
// fails here.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "support/status_matchers.h"
#include "support/test_mount.h"

namespace testing_support {
namespace {

using base::Json;
using openbao::Operation;

std::string CallsOf(TestMount& mount, const std::function<void()>& act) {
  mount.storage().set_plan([](const FakeStorage::Call&) { return Fault::kNone; });
  act();
  return absl::StrJoin(mount.storage().calls(), ", ",
                       [](std::string* out, const FakeStorage::Call& call) {
                         absl::StrAppend(out, call.name, " ", call.key);
                       });
}

class StorageCalls : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_THAT(mount_.Put("good_bootstrapped"), IsOk());
    ASSERT_THAT(mount_.Write("rotate"), IsOk());
  }
  TestMount mount_;
};

TEST_F(StorageCalls, AReadIsNone) {
  EXPECT_EQ(CallsOf(mount_, [&] { mount_.Record(); }), "");
}

TEST_F(StorageCalls, TheFirstReadOfAProcessListsAndReads) {
  mount_.Restart();
  EXPECT_EQ(CallsOf(mount_, [&] { mount_.Record(); }),
            "get config, get config/home, list versions/, get versions/0000000002");
  EXPECT_EQ(CallsOf(mount_, [&] { mount_.Record(); }), "");
}

TEST_F(StorageCalls, AfterAnInvalidationAReadDoesTheSame) {
  mount_.Record();
  mount_.Invalidate("versions/0000000002");
  EXPECT_EQ(CallsOf(mount_, [&] { mount_.Record(); }),
            "get config, get config/home, list versions/, get versions/0000000002");
  EXPECT_EQ(CallsOf(mount_, [&] { mount_.Record(); }), "");
}

TEST_F(StorageCalls, ARotationIsOnePut) {
  EXPECT_EQ(CallsOf(mount_, [&] { ASSERT_THAT(mount_.Write("rotate"), IsOk()); }),
            "put versions/0000000003");
}

TEST_F(StorageCalls, ARollbackReadsItsTargetToo) {
  EXPECT_EQ(CallsOf(mount_,
                    [&] {
                      ASSERT_THAT(mount_.Write("rollback", Json{{"version", 1}}), IsOk());
                    }),
            "get versions/0000000001-0006651728988000, put versions/0000000003");
}

TEST_F(StorageCalls, StatusIsNoneAfterTheFirst) {
  EXPECT_EQ(CallsOf(mount_, [&] { ASSERT_THAT(mount_.Read("status"), IsOk()); }),
            "get readers/seen");
  EXPECT_EQ(CallsOf(mount_, [&] { ASSERT_THAT(mount_.Read("status"), IsOk()); }), "");
}

TEST_F(StorageCalls, StagingAndActivatingAreOnePutEach) {
  EXPECT_EQ(CallsOf(mount_,
                    [&] {
                      ASSERT_THAT(mount_.Write("rotate", Json{{"activation", "staged"}}), IsOk());
                    }),
            "put versions/0000000003");
  EXPECT_EQ(CallsOf(mount_,
                    [&] {
                      ASSERT_THAT(mount_.Write("activate", Json{{"force", true}}), IsOk());
                    }),
            "put versions/0000000004");
}

// So that a mount with nothing to do needs no connection to the server.
TEST_F(StorageCalls, AQuietTickIsNone) {
  ASSERT_THAT(mount_.Tick(), IsOk());
  EXPECT_EQ(CallsOf(mount_, [&] { ASSERT_THAT(mount_.Tick(), IsOk()); }), "");
  ASSERT_THAT(mount_.Write("rotate"), IsOk());
  EXPECT_EQ(CallsOf(mount_, [&] { ASSERT_THAT(mount_.Tick(), IsOk()); }), "");
}

TEST_F(StorageCalls, TheFirstTickOfAProcessLooksAtAll) {
  mount_.Restart();
  EXPECT_EQ(CallsOf(mount_, [&] { ASSERT_THAT(mount_.Tick(), IsOk()); }),
            "get config/home, get destroying, get config, list versions/, "
            "get versions/0000000002, get readers/seen");
  EXPECT_EQ(CallsOf(mount_, [&] { ASSERT_THAT(mount_.Tick(), IsOk()); }), "");
}

TEST_F(StorageCalls, ATickThatPrunesIsFollowedByQuietOnes) {
  ASSERT_THAT(mount_.Write("config", Json{{"max_versions", 2}}), IsOk());
  ASSERT_THAT(mount_.Tick(), IsOk());
  ASSERT_THAT(mount_.Write("rotate"), IsOk());
  EXPECT_EQ(CallsOf(mount_, [&] { ASSERT_THAT(mount_.Tick(), IsOk()); }),
            "list versions/, get versions/0000000003, get versions/0000000001-0006651728988000, "
            "delete versions/0000000001-0006651728988000");
  // The first one's name was marked, so what there is is looked at once more.
  EXPECT_EQ(CallsOf(mount_, [&] { ASSERT_THAT(mount_.Tick(), IsOk()); }),
            "list versions/, get versions/0000000003");
  ASSERT_THAT(mount_.Write("rotate"), IsOk());
  EXPECT_EQ(CallsOf(mount_, [&] { ASSERT_THAT(mount_.Tick(), IsOk()); }),
            "list versions/, get versions/0000000004, get versions/0000000002, "
            "delete versions/0000000002");
  EXPECT_EQ(CallsOf(mount_, [&] { ASSERT_THAT(mount_.Tick(), IsOk()); }), "");
}

// What was begun is seen to its end whatever is remembered.
TEST_F(StorageCalls, ATickAfterADestructionLooksAgain) {
  ASSERT_THAT(mount_.Tick(), IsOk());
  const std::string old = mount_.Record().at("current_kid").get<std::string>();
  ASSERT_THAT(mount_.Write("rotate"), IsOk());
  ASSERT_THAT(mount_.Write(absl::StrCat("keys/", old, "/compromised")), IsOk());
  ASSERT_THAT(mount_.Write(absl::StrCat("destroy-key/", old), Json{{"confirm", old}}), IsOk());
  EXPECT_EQ(CallsOf(mount_, [&] { ASSERT_THAT(mount_.Tick(), IsOk()); }),
            "get destroying, put readers/seen");
  EXPECT_EQ(CallsOf(mount_, [&] { ASSERT_THAT(mount_.Tick(), IsOk()); }), "");
}

TEST_F(StorageCalls, WhatIsNoRequestOfAUserNeedsNone) {
  EXPECT_EQ(CallsOf(mount_,
                    [&] {
                      EXPECT_FALSE(mount_.Call(Operation::kOther, "rotate").ok());
                      EXPECT_TRUE(mount_.Call(Operation::kHelp, "").ok());
                      EXPECT_FALSE(mount_.Write("rotate", Json{{"csa", 1}}).ok());
                    }),
            "");
}

TEST_F(StorageCalls, AStandbyRemembersNothing) {
  mount_.system().standby = true;
  mount_.Restart();
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(CallsOf(mount_, [&] { mount_.Record(); }),
              "get config, get config/home, list versions/, get versions/0000000002");
  }
}

}  // namespace
}  // namespace testing_support
