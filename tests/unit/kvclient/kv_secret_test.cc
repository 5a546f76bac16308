#include "kvclient/kv_secret.h"

#include <gtest/gtest.h>

#include <string>

#include "support/fake_kv_server.h"
#include "support/fakes.h"
#include "support/status_matchers.h"

namespace kvclient {
namespace {

using base::Json;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Optional;
using ::testing::Pair;
using ::testing::SizeIs;
using ::testing_support::FakeKvServer;
using ::testing_support::IsOkAndHolds;
using ::testing_support::KvFault;
using ::testing_support::StatusIs;

class KvSecretTest : public ::testing::Test {
 protected:
  KvSecretTest() {
    Settings settings;
    settings.address = server_.address();
    settings.mount = FakeKvServer::kMount;
    settings.path = FakeKvServer::kPath;
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

TEST_F(KvSecretTest, ASecretMayHaveThousandsOfVersions) {
  server_.set_max_versions(10'000);
  for (int i = 0; i < 10'000; ++i) server_.Put(Json{{"a", "1"}});
  const auto metadata = *secret_->ReadMetadata();
  ASSERT_TRUE(metadata.has_value());
  EXPECT_EQ(metadata->current_version, 10'000u);
  EXPECT_EQ(metadata->versions.size(), 10'000u);
}

TEST_F(KvSecretTest, AWriteIsDoneOrRefusedOrUnknown) {
  server_.Put(Json{{"a", "1"}});
  server_.set_cas_required(true);
  EXPECT_TRUE((*secret_->ReadMetadata())->cas_required);
  EXPECT_EQ(secret_->Write(0, Json{{"a", "2"}}).result, Written::Result::kConflict);
  EXPECT_EQ(secret_->Write(2, Json{{"a", "2"}}).result, Written::Result::kConflict);
  for (const KvFault fault : {KvFault::kForbidden, KvFault::kNoRoute, KvFault::kTooLarge}) {
    FailWrites(fault);
    EXPECT_EQ(secret_->Write(1, Json{{"a", "2"}}).result, Written::Result::kRefused);
  }
  EXPECT_THAT(secret_->Write(1, Json{{"a", "2"}}).why,
              StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("413, request body too")));
  // A proxy has lost its patience; the server may not have.
  FailWrites(KvFault::kTimedOut);
  EXPECT_EQ(secret_->Write(1, Json{{"a", "2"}}).result, Written::Result::kUnknown);
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

// A standby redirects after the effect; then the token is refused, and so is, or fails, the login.
TEST_F(KvSecretTest, ARedirectedWriteIsNeverRefused) {
  server_.set_redirect_to(server_.address());
  for (const KvFault login : {KvFault::kSealed, KvFault::kForbidden, KvFault::kNone}) {
    Settings settings;
    settings.address = server_.address();
    settings.mount = FakeKvServer::kMount;
    settings.path = FakeKvServer::kPath;
    settings.role_id = "role-1";
    settings.secret_id = base::SecretBytes(std::string_view("secret-1"));
    KvSecret secret(*Client::New(std::move(settings), &clock_));
    ASSERT_TRUE(secret.Read(0).ok());
    clock_.Advance(absl::Minutes(2));
    int writes = 0;
    server_.set_plan([&writes, login](const FakeKvServer::Call& call) {
      if (call.path.ends_with("/login")) return login;
      if (call.path.find("/data/") == std::string::npos) return KvFault::kNone;
      return ++writes == 1 ? KvFault::kRedirectAfter : KvFault::kForbidden;
    });
    const std::uint64_t before = server_.current();
    EXPECT_EQ(secret.Write(before, Json{{"a", "2"}}).result, Written::Result::kUnknown);
    EXPECT_EQ(server_.current(), before + 1);
    server_.set_plan(nullptr);
  }
}

TEST_F(KvSecretTest, SaysWhatMakesKvDeleteVersions) {
  server_.Put(Json{{"a", "1"}});
  server_.Put(Json{{"a", "2"}});
  const absl::Time now = absl::FromUnixSeconds(1'800'000'000);  // 2027-01-15T08:00:00Z
  const auto found = [&] { return secret_->SelfDeletions(**secret_->ReadMetadata(), now); };
  EXPECT_THAT(found(), IsOkAndHolds(IsEmpty()));
  server_.set_deletion_time("2027-01-15T07:59:59Z");  // it has been deleted, and undeleted not
  EXPECT_THAT(found(), IsOkAndHolds(IsEmpty()));
  server_.set_deletion_time("2027-01-15T09:00:00.5Z");
  server_.set_delete_version_after("1h30m0s", "24h0m0s");
  EXPECT_THAT(
      found(),
      IsOkAndHolds(ElementsAre(
          AllOf(HasSubstr("of the KV secret is 1h30m:"),
                HasSubstr("bao kv metadata put -mount=services/all/kv -delete-version-after=0s "
                          "encryption/keys/stored_data")),
          AllOf(HasSubstr("of the KV engine is 24h:"),
                HasSubstr("bao write services/all/kv/config delete_version_after=0s")),
          AllOf(HasSubstr("version 2, the live record, by itself at 2027-01-15T09:00:00+00:00"),
                HasSubstr("bao kv undelete -mount=services/all/kv -versions=2 ")))));
  // The engine's own setting may not be read, which costs no login.
  server_.set_plan([](const FakeKvServer::Call& call) {
    return call.path.ends_with("/config") ? KvFault::kForbidden : KvFault::kNone;
  });
  EXPECT_THAT(found(), IsOkAndHolds(SizeIs(2)));
}

TEST_F(KvSecretTest, SaysWhatThePolicyLacks) {
  EXPECT_THAT(secret_->MissingCapabilities(), IsOkAndHolds(Optional(IsEmpty())));
  server_.set_policy({"root"}, {"root"});
  EXPECT_THAT(secret_->MissingCapabilities(), IsOkAndHolds(Optional(IsEmpty())));
  server_.set_policy({"read", "patch"}, {"deny"});
  const std::string data = "services/all/kv/data/encryption/keys/stored_data";
  EXPECT_THAT(secret_->MissingCapabilities(),
              IsOkAndHolds(Optional(
                  ElementsAre("create on " + data, "update on " + data,
                              "read on services/all/kv/metadata/encryption/keys/stored_data"))));
  server_.set_plan([](const FakeKvServer::Call&) { return KvFault::kForbidden; });
  EXPECT_THAT(secret_->MissingCapabilities(), IsOkAndHolds(std::nullopt));
}

}  // namespace
}  // namespace kvclient
