#include "kvclient/kv_secret.h"

#include <gtest/gtest.h>

#include <string>

#include "support/fake_kv_server.h"
#include "support/fakes.h"
#include "support/status_matchers.h"

namespace kvclient {
namespace {

using base::Json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;
using ::testing_support::FakeKvServer;
using ::testing_support::IsOkAndHolds;
using ::testing_support::KvFault;
using ::testing_support::StatusIs;

class KvSecretTest : public ::testing::Test {
 protected:
  KvSecretTest() {
    Settings settings;
    settings.address = server_.address();
    settings.auth_method = AuthMethod::kToken;
    settings.token = base::SecretBytes(std::string_view("given-token"));
    secret_ = std::make_unique<KvSecret>(*Client::New(std::move(settings), &clock_));
  }

  void FailWrites(KvFault fault) {
    server_.set_plan([fault](const FakeKvServer::Call& call) {
      return call.method == "POST" && call.path.find("/data/") != std::string::npos
                 ? fault
                 : KvFault::kNone;
    });
  }

  FakeKvServer server_;
  testing_support::FakeClock clock_{absl::FromUnixSeconds(1'800'000'000)};
  std::unique_ptr<KvSecret> secret_;
};

TEST_F(KvSecretTest, IsWrittenAndReadVersionByVersion) {
  EXPECT_FALSE((*secret_->Read(0)).has_value());
  EXPECT_FALSE((*secret_->ReadMetadata()).has_value());
  EXPECT_EQ(secret_->Write(0, Json{{"a", "1"}}).result, Written::Result::kDone);
  EXPECT_EQ(secret_->Write(1, Json{{"a", "2"}}).result, Written::Result::kDone);
  const auto newest = *secret_->Read(0);
  ASSERT_TRUE(newest.has_value());
  EXPECT_EQ(newest->number, 2u);
  EXPECT_EQ(newest->data->at("a"), "2");
  EXPECT_EQ(absl::FormatTime(newest->created_time, absl::UTCTimeZone()),
            "2026-02-01T10:00:00.123456789+00:00");
  EXPECT_EQ((*secret_->Read(1))->data->at("a"), "1");
  EXPECT_FALSE((*secret_->Read(3)).has_value());
}

TEST_F(KvSecretTest, DeletedAndDestroyedVersionsHaveNoContent) {
  for (const char* value : {"1", "2", "3"}) server_.Put(Json{{"a", value}});
  server_.Delete(2, /*destroy=*/true);
  server_.Delete(3, /*destroy=*/false);
  const auto newest = *secret_->Read(0);
  ASSERT_TRUE(newest.has_value());
  EXPECT_EQ(newest->number, 3u);
  EXPECT_FALSE(newest->data.has_value());
  EXPECT_FALSE(newest->destroyed);
  EXPECT_TRUE((*secret_->Read(2))->destroyed);
  const auto metadata = *secret_->ReadMetadata();
  ASSERT_TRUE(metadata.has_value());
  EXPECT_EQ(metadata->current_version, 3u);
  EXPECT_THAT(metadata->versions, ElementsAre(Pair(1u, true), Pair(2u, false), Pair(3, true)));
  EXPECT_FALSE(metadata->cas_required);
}

TEST_F(KvSecretTest, AWriteIsDoneOrRefusedOrUnknown) {
  server_.Put(Json{{"a", "1"}});
  server_.set_cas_required(true);
  EXPECT_TRUE((*secret_->ReadMetadata())->cas_required);
  EXPECT_EQ(secret_->Write(0, Json{{"a", "2"}}).result, Written::Result::kConflict);
  EXPECT_EQ(secret_->Write(2, Json{{"a", "2"}}).result, Written::Result::kConflict);
  FailWrites(KvFault::kForbidden);
  EXPECT_EQ(secret_->Write(1, Json{{"a", "2"}}).result, Written::Result::kRefused);
  for (const KvFault fault :
       {KvFault::kLostBefore, KvFault::kErrorBefore, KvFault::kSealed, KvFault::kGarbage}) {
    FailWrites(fault);
    const Written written = secret_->Write(1, Json{{"a", "2"}});
    EXPECT_EQ(written.result, Written::Result::kUnknown);
    EXPECT_THAT(written.why, StatusIs(absl::StatusCode::kUnavailable, HasSubstr("server")));
  }
  EXPECT_EQ(server_.current(), 1u);
  FailWrites(KvFault::kCut);
  EXPECT_EQ(secret_->Write(1, Json{{"a", "2"}}).result, Written::Result::kUnknown);
  EXPECT_EQ(server_.current(), 2u);
}

TEST_F(KvSecretTest, SaysWhatThePolicyLacks) {
  EXPECT_THAT(secret_->MissingCapabilities(), IsOkAndHolds(IsEmpty()));
  server_.set_policy({"root"}, {"root"});
  EXPECT_THAT(secret_->MissingCapabilities(), IsOkAndHolds(IsEmpty()));
  server_.set_policy({"read", "patch"}, {"deny"});
  const std::string data = "services/all/kv/data/encryption/keys/stored_data";
  EXPECT_THAT(
      secret_->MissingCapabilities(),
      IsOkAndHolds(ElementsAre("create on " + data, "update on " + data,
                               "read on services/all/kv/metadata/encryption/keys/stored_data")));
}

}  // namespace
}  // namespace kvclient
