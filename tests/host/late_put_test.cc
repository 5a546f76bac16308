// A Put that outlives its process: the plugin is killed while the server has a Put of it under way,
// the host starts it again and sends the request again, and only then the first Put lands
// (src/adr/0002-append-only-log.md). Whenever that is, what was answered must stay.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <tuple>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "host/plugin_host.h"
#include "mek/version_doc.h"
#include "support/records.h"

namespace testing_support {
namespace {

using base::Json;

constexpr char kData[] = "data/encryption/keys/stored_data";

// When the first process's Put lands.
enum class Moment {
  kBeforeTheSecondReads,
  kBeforeTheSecondsPut,
  kAfterTheSecondsPut,
  kAfterTheAnswer,
  kAfterTheNextVersion,
  kAfterAThirdProcess,
};
constexpr const char* kMomentNames[] = {"BeforeTheSecondReads", "BeforeTheSecondsPut",
                                        "AfterTheSecondsPut",   "AfterTheAnswer",
                                        "AfterTheNextVersion",  "AfterAThirdProcess"};
constexpr const char* kOperationNames[] = {"Rotate", "RollbackDropArchive", "RollbackDropVersion"};

// moment, operation, whether the first process has written before, whether the host replays (or the
// client sends a new request with cas).
class LatePut : public ::testing::TestWithParam<std::tuple<int, int, bool, bool>> {
 protected:
  LatePut()
      : moment_(static_cast<Moment>(std::get<0>(GetParam()))),
        operation_(std::get<1>(GetParam())),
        has_written_(std::get<2>(GetParam())),
        replays_(std::get<3>(GetParam())) {}

  void SetUp() override {
    ASSERT_TRUE(host_.Write(kData, Json{{"data", ReadRecord("good_bootstrapped")}}).ok());
    ASSERT_TRUE(host_.Write("rotate").ok());
    if (!has_written_) host_.Kill();
    ASSERT_EQ(host_.Read("status").version(), 2u);
    first_ = host_.starts();
    host_.hub().set_plan([this](const StorageCall& call) { return Judge(call); });
  }
  void TearDown() override { Land(); }

  Verdict Judge(const StorageCall& call) {
    Verdict verdict;
    const bool of_this_kind =
        call.name == "put" && call.key.starts_with(operation_ == 1 ? "archive/" : "versions/");
    if (call.process == first_ && of_this_kind && !held_.HasBeenNotified()) {
      held_.Notify();
      host_.Kill();
      let_go_.WaitForNotification();
      verdict.then = [this] { landed_.Notify(); };
    } else if (call.process == first_ + 1) {
      if (moment_ == Moment::kBeforeTheSecondReads) Land();
      if (of_this_kind && moment_ == Moment::kBeforeTheSecondsPut) Land();
      if (of_this_kind && moment_ == Moment::kAfterTheSecondsPut) {
        verdict.then = [this] { Land(); };
      }
    }
    return verdict;
  }

  void Land() {
    absl::MutexLock lock(&landing_);
    if (!held_.HasBeenNotified() || landed_.HasBeenNotified()) return;
    let_go_.Notify();
    landed_.WaitForNotification();
    landed_keys_ = Stored();
  }

  HostReply Send(int replays, bool with_cas) {
    HostRequest request{.path = operation_ == 0 ? "rotate" : "rollback", .replays = replays};
    if (operation_ != 0) request.data = Json{{"version", 1}, {"newer_keys", "drop"}};
    if (with_cas) request.data["cas"] = 2;
    return host_.Send(std::move(request));
  }

  Keys Shown() { return KeysOf(host_.Read(kData).data.at("data")); }
  Keys Stored() { return KeysStored(host_.store().content()); }

  const Moment moment_;
  const int operation_;
  const bool has_written_;
  const bool replays_;
  int first_ = 0;
  absl::Notification held_;
  absl::Notification let_go_;
  absl::Notification landed_;
  absl::Mutex landing_;
  Keys landed_keys_;  // all that are stored when it has landed
  PluginHost host_;
};

TEST_P(LatePut, TakesNothingBackThatWasAnswered) {
  Keys known = Stored();
  HostReply answer = Send(replays_ ? 1 : 0, false);
  ASSERT_TRUE(held_.HasBeenNotified());
  if (!replays_) {
    ASSERT_TRUE(answer.lost);
    // What a careful client does after a 500.
    answer = host_.Read("status");
    ASSERT_TRUE(answer.ok()) << answer.error;
    if (answer.version() == 2) answer = Send(0, true);
  }
  ASSERT_TRUE(answer.ok()) << answer.error;
  EXPECT_EQ(answer.version(), 3u);
  Keys shown = Shown();
  if (moment_ == Moment::kAfterTheAnswer) Land();
  EXPECT_TRUE(Shown() == shown);
  const HostReply history = host_.Read("versions/3");
  EXPECT_EQ(history.data.at("current_kid"), answer.data.at("current_kid"));

  if (moment_ == Moment::kAfterAThirdProcess) {
    host_.Kill();
    EXPECT_EQ(host_.Read("status").version(), 3u);
    Land();
  }
  EXPECT_TRUE(Shown() == shown);
  const HostReply next = host_.Write("rotate");
  ASSERT_TRUE(next.ok()) << next.error;
  EXPECT_EQ(next.version(), 4u);
  EXPECT_EQ(next.data.at("previous_kid"), answer.data.at("current_kid"));
  Land();
  ASSERT_TRUE(landed_.HasBeenNotified());
  EXPECT_EQ(FirstMissing(shown, Shown()), "");
  shown.merge(Shown());

  // Another process reads the same, and nothing that any process made is gone.
  host_.hub().set_plan(nullptr);
  host_.Kill();
  EXPECT_EQ(host_.Read("status").data.at("current_kid"), next.data.at("current_kid"));
  EXPECT_EQ(host_.Read("versions/3").data.at("current_kid"), answer.data.at("current_kid"));
  EXPECT_EQ(host_.Send({.operation = "list", .path = "versions/"}).data.at("keys").dump(),
            R"(["1","2","3","4"])");
  EXPECT_EQ(host_.Read("verify").data.at("result"), "ok");
  known.merge(shown);
  known.merge(landed_keys_);
  EXPECT_EQ(FirstMissing(known, Stored()), "");
}

std::string Name(const ::testing::TestParamInfo<std::tuple<int, int, bool, bool>>& tested) {
  const auto [moment, operation, has_written, replays] = tested.param;
  return absl::StrCat(kMomentNames[moment], kOperationNames[operation],
                      has_written ? "" : "FirstWrite", replays ? "" : "WithoutReplay");
}

INSTANTIATE_TEST_SUITE_P(AtAnyMoment, LatePut,
                         ::testing::Combine(::testing::Range(0, 6), ::testing::Range(0, 3),
                                            ::testing::Bool(), ::testing::Bool()),
                         Name);

}  // namespace
}  // namespace testing_support
