#include "kvclient/client.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <deque>
#include <fstream>
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
using ::testing::Not;
using ::testing_support::FakeKvServer;
using ::testing_support::IsOk;
using ::testing_support::KvFault;
using ::testing_support::StatusIs;

constexpr char kSecret[] = "services/all/kv/data/encryption/keys/stored_data";
constexpr char kRenew[] = "auth/token/renew-self";
constexpr char kRevoke[] = "auth/token/revoke-self";
constexpr char kLogin[] = "auth/approle/login";
constexpr char kJwt[] = "aGVhZGVy.Ym9keQ.c2lnbmF0dXJl";

FakeKvServer::Plan Next(std::deque<KvFault> faults) {
  return [faults = std::move(faults)](const FakeKvServer::Call&) mutable {
    if (faults.empty()) return KvFault::kNone;
    const KvFault fault = faults.front();
    faults.pop_front();
    return fault;
  };
}

class ClientTest : public ::testing::Test {
 protected:
  ClientTest() { server_.Put(Json{{"a", "1"}}); }

  Settings Approle() {
    Settings settings;
    settings.address = server_.address();
    settings.mount = FakeKvServer::kMount;
    settings.path = FakeKvServer::kPath;
    settings.role_id = "role-1";
    settings.secret_id = base::SecretBytes(std::string_view("secret-1"));
    return settings;
  }
  Settings GivenToken() {
    Settings settings;
    settings.address = server_.address();
    settings.mount = FakeKvServer::kMount;
    settings.path = FakeKvServer::kPath;
    settings.auth_method = AuthMethod::kToken;
    settings.token = base::SecretBytes(std::string_view("given-token"));
    return settings;
  }
  std::unique_ptr<Client> New(Settings settings) {
    auto client =
        Client::New(std::move(settings), &clock_,
                    {.connect = absl::Milliseconds(400), .total = absl::Milliseconds(600)});
    EXPECT_THAT(client, IsOk());
    return *std::move(client);
  }
  std::vector<std::string> Paths() {
    std::vector<std::string> paths;
    for (const FakeKvServer::Call& call : server_.calls()) paths.push_back(call.path);
    return paths;
  }

  FakeKvServer server_;
  testing_support::FakeClock clock_{absl::FromUnixSeconds(1'800'000'000)};
};

TEST_F(ClientTest, LogsInOnceAndSendsTokenAndNamespace) {
  Settings settings = Approle();
  settings.name_space = "team/a";
  const auto client = New(std::move(settings));
  for (int i = 0; i < 2; ++i) {
    const auto reply = client->Call("GET", kSecret);
    ASSERT_THAT(reply, IsOk());
    EXPECT_EQ(reply->Object("data")->at("data").at("a"), "1");
  }
  EXPECT_THAT(Paths(), ElementsAre("auth/approle/login", kSecret, kSecret));
  const auto calls = server_.calls();
  EXPECT_EQ(calls[0].token, "");
  EXPECT_EQ(calls[1].token, "token-1");
  EXPECT_EQ(calls[0].name_space, "team/a");
  EXPECT_EQ(calls[2].name_space, "team/a");
}

TEST_F(ClientTest, ReadsAnAnswerInChunks) {
  server_.set_chunked(true);
  EXPECT_THAT(New(Approle())->Call("GET", kSecret), IsOk());
}

TEST_F(ClientTest, ARevokedTokenLeadsToOneLoginAndOneRetry) {
  const auto client = New(Approle());
  ASSERT_THAT(client->Call("GET", kSecret), IsOk());
  server_.RevokeTokens();
  server_.set_plan(nullptr);
  const auto reply = client->Call("GET", kSecret);
  ASSERT_THAT(reply, IsOk());
  EXPECT_EQ(reply->status, 200);
  EXPECT_THAT(Paths(), ElementsAre(kSecret, "auth/approle/login", kRevoke, kSecret));

  // What the policy forbids stays forbidden, and costs a login a minute at most.
  server_.set_plan([](const FakeKvServer::Call& call) {
    return call.path == kSecret ? KvFault::kForbidden : KvFault::kNone;
  });
  const auto refused = client->Call("GET", kSecret);
  ASSERT_THAT(refused, IsOk());
  EXPECT_EQ(refused->status, 403);
  EXPECT_THAT(Paths(), ElementsAre(kSecret));
  clock_.Advance(absl::Minutes(1));
  for (int i = 0; i < 3; ++i) EXPECT_EQ(client->Call("GET", kSecret)->status, 403);
  EXPECT_EQ(server_.CallsTo("login"), 1);
  clock_.Advance(absl::Minutes(1));
  EXPECT_EQ(client->Ask("GET", kSecret)->status, 403);
  EXPECT_EQ(server_.CallsTo("login"), 1);
  EXPECT_THAT(ToStatus(*refused, "it can't be read"),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       AllOf(HasSubstr("403, permission denied"), HasSubstr("config/home"))));
}

TEST_F(ClientTest, ItsTokenIsRenewedBeforeItExpires) {
  server_.set_token_ttl(900, true);
  const auto client = New(Approle());
  ASSERT_THAT(client->Call("GET", kSecret), IsOk());
  clock_.Advance(absl::Seconds(599));
  ASSERT_THAT(client->Call("GET", kSecret), IsOk());
  for (int i = 0; i < 2; ++i) {
    clock_.Advance(absl::Seconds(i == 0 ? 1 : 600));
    ASSERT_THAT(client->Call("GET", kSecret), IsOk());
  }
  EXPECT_THAT(Paths(), ElementsAre(kLogin, kSecret, kSecret, kRenew, kSecret, kRenew, kSecret));
  for (const auto& call : server_.calls()) {
    if (call.path != kLogin) {
      EXPECT_EQ(call.token, "token-1");
    }
  }
}

TEST_F(ClientTest, LogsInWhenItsTokenCannotBeRenewed) {
  // It is not renewable; that is refused; what came of it is the last rest of its life.
  for (const auto& [renewable, fault, renewed] :
       {std::tuple{false, KvFault::kNone, 900}, std::tuple{true, KvFault::kForbidden, 900},
        std::tuple{true, KvFault::kNone, 400}}) {
    server_.set_token_ttl(900, renewable);
    const auto client = New(Approle());
    ASSERT_THAT(client->Call("GET", kSecret), IsOk());
    server_.set_token_ttl(renewed, renewable);
    server_.set_plan([fault = fault](const FakeKvServer::Call& call) {
      return call.path == kRenew ? fault : KvFault::kNone;
    });
    clock_.Advance(absl::Seconds(600));
    ASSERT_THAT(client->Call("GET", kSecret), IsOk());
    if (renewed < 900) {
      EXPECT_THAT(Paths(), ElementsAre(kRenew, kSecret));
      clock_.Advance(absl::Seconds(270));
      server_.set_plan(nullptr);
      ASSERT_THAT(client->Call("GET", kSecret), IsOk());
    }
    if (renewable && renewed == 900) {
      EXPECT_THAT(Paths(), ElementsAre(kRenew, kLogin, kRevoke, kSecret));
    } else {
      EXPECT_THAT(Paths(), ElementsAre(kLogin, kRevoke, kSecret));
    }
    const auto calls = server_.calls();
    EXPECT_NE(calls[calls.size() - 2].token, calls.back().token);  // the old one was revoked
  }
}

TEST_F(ClientTest, ALoginThatIsRefusedLeavesAGoodTokenInUse) {
  server_.set_token_ttl(900, false);
  const auto client = New(Approle());
  ASSERT_THAT(client->Call("GET", kSecret), IsOk());
  clock_.Advance(absl::Seconds(600));
  server_.set_plan([](const FakeKvServer::Call& call) {
    return call.path == kLogin ? KvFault::kForbidden : KvFault::kNone;
  });
  ASSERT_THAT(client->Call("GET", kSecret), IsOk());
  EXPECT_THAT(Paths(), ElementsAre(kLogin, kSecret));
  EXPECT_THAT(client->CheckLogin(), IsOk());
}

TEST_F(ClientTest, AllRequestsOfAnOperationShareItsTime) {
  const auto client = New(Approle());
  ASSERT_THAT(client->Call("GET", kSecret), IsOk());
  server_.set_delay(absl::Milliseconds(250));
  const Allowance allowance(absl::Milliseconds(400));
  const absl::Time began = absl::Now();
  EXPECT_THAT(client->Call("GET", kSecret), IsOk());
  const auto second = client->Call("GET", kSecret);
  EXPECT_THAT(second, StatusIs(absl::StatusCode::kUnavailable, HasSubstr("in time")));
  EXPECT_FALSE(NeverSent(second.status()));
  EXPECT_LT(absl::Now() - began, absl::Milliseconds(550));
  // A write that could not be waited for is not begun.
  server_.set_plan(nullptr);
  const auto third = client->Call("POST", kSecret, Json{{"data", {{"a", "2"}}}});
  EXPECT_THAT(third, StatusIs(absl::StatusCode::kUnavailable, HasSubstr("in time")));
  EXPECT_TRUE(NeverSent(third.status()));
  EXPECT_TRUE(server_.calls().empty());
  EXPECT_LT(absl::Now() - began, absl::Milliseconds(600));
}

TEST_F(ClientTest, AReadEndsWhenItsCallerGoesAndNothingIsBegunAfterThat) {
  const auto client = New(Approle());
  ASSERT_THAT(client->Call("GET", kSecret), IsOk());
  server_.set_plan(Next({KvFault::kSlow}));
  const absl::Time began = absl::Now();
  const Allowance allowance(absl::Seconds(5),
                            [&] { return absl::Now() - began > absl::Milliseconds(100); });
  const auto read = client->Call("GET", kSecret);
  EXPECT_THAT(read, StatusIs(absl::StatusCode::kUnavailable, HasSubstr("the caller has gone")));
  EXPECT_FALSE(NeverSent(read.status()));
  EXPECT_LT(absl::Now() - began, absl::Milliseconds(300));
  const auto write = client->Call("POST", kSecret, Json{{"data", {{"a", "2"}}}});
  EXPECT_TRUE(NeverSent(write.status()));
  EXPECT_EQ(server_.CallsTo("POST"), 0);
}

TEST_F(ClientTest, AWriteIsWaitedForAMomentWithoutItsCaller) {
  Settings settings = Approle();
  auto client = *Client::New(std::move(settings), &clock_);
  ASSERT_THAT(client->Call("GET", kSecret), IsOk());
  server_.set_delay(absl::Milliseconds(400));
  const absl::Time began = absl::Now();
  {
    const Allowance allowance(absl::Seconds(5),
                              [&] { return absl::Now() - began > absl::Milliseconds(100); });
    EXPECT_THAT(client->Call("POST", "auth/token/renew-self", Json::object()), IsOk());
  }
  server_.set_delay(absl::ZeroDuration());
  server_.set_plan(Next({KvFault::kSlow}));
  const absl::Time second = absl::Now();
  const Allowance allowance(absl::Seconds(5),
                            [&] { return absl::Now() - second > absl::Milliseconds(100); });
  const auto write = client->Call("POST", kSecret, Json{{"data", {{"a", "2"}}}});
  EXPECT_THAT(write, StatusIs(absl::StatusCode::kUnavailable, HasSubstr("the caller has gone")));
  EXPECT_FALSE(NeverSent(write.status()));
  EXPECT_GT(absl::Now() - second, absl::Seconds(1));
  EXPECT_LT(absl::Now() - second, absl::Seconds(2));
}

TEST_F(ClientTest, InterimAnswersAreNotTheAnswer) {
  server_.set_plan(Next({KvFault::kInterim, KvFault::kInterim}));
  const auto reply = New(Approle())->Call("GET", kSecret);
  ASSERT_THAT(reply, IsOk());
  EXPECT_EQ(reply->status, 200);
  EXPECT_EQ(reply->Object("data")->at("data").at("a"), "1");
}

TEST_F(ClientTest, AFailedRenewalLeavesAGoodTokenInUse) {
  server_.set_token_ttl(900, true);
  const auto client = New(Approle());
  ASSERT_THAT(client->Call("GET", kSecret), IsOk());
  clock_.Advance(absl::Seconds(700));
  server_.set_plan([](const FakeKvServer::Call& call) {
    return call.path == kSecret ? KvFault::kNone : KvFault::kSealed;
  });
  ASSERT_THAT(client->Call("GET", kSecret), IsOk());
  ASSERT_THAT(client->Call("GET", kSecret), IsOk());
  EXPECT_EQ(server_.CallsTo("renew-self"), 1);  // not at every call
  clock_.Advance(absl::Seconds(200));
  EXPECT_THAT(client->Call("GET", kSecret),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr("503")));
}

TEST_F(ClientTest, AGivenTokenIsRenewed) {
  server_.set_token_ttl(900, true);
  const auto client = New(GivenToken());
  ASSERT_THAT(client->Call("GET", kSecret), IsOk());
  clock_.Advance(absl::Seconds(600));
  ASSERT_THAT(client->Call("GET", kSecret), IsOk());
  ASSERT_THAT(client->Call("GET", kSecret), IsOk());
  EXPECT_THAT(Paths(), ElementsAre("auth/token/lookup-self", kSecret, "auth/token/renew-self",
                                   kSecret, kSecret));
}

TEST_F(ClientTest, AGivenTokenIsLookedUpAgainIfTheServerCouldNotSayThen) {
  server_.set_token_ttl(900, true);
  server_.set_plan([](const FakeKvServer::Call& call) {
    return call.number == 1 ? KvFault::kSealed : KvFault::kNone;
  });
  const auto client = New(GivenToken());
  EXPECT_THAT(client->Call("GET", kSecret),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr("503")));
  ASSERT_THAT(client->Call("GET", kSecret), IsOk());
  clock_.Advance(absl::Seconds(600));
  ASSERT_THAT(client->Call("GET", kSecret), IsOk());
  EXPECT_THAT(Paths(), ElementsAre("auth/token/lookup-self", "auth/token/lookup-self", kSecret,
                                   "auth/token/renew-self", kSecret));
}

TEST_F(ClientTest, AGivenTokenThatCannotBeRenewedIsUsedAsItIs) {
  server_.set_token_ttl(900, false);
  const auto client = New(GivenToken());
  ASSERT_THAT(client->Call("GET", kSecret), IsOk());
  clock_.Advance(absl::Seconds(800));
  ASSERT_THAT(client->Call("GET", kSecret), IsOk());
  EXPECT_THAT(Paths(), ElementsAre("auth/token/lookup-self", kSecret, kSecret));
}

class JwtTest : public ClientTest {
 protected:
  JwtTest() {
    std::string name = ::testing::TempDir() + "jwt-XXXXXX";
    const int file = mkstemp(name.data());
    EXPECT_GE(file, 0);
    close(file);
    path_ = name;
  }
  ~JwtTest() override { unlink(path_.c_str()); }

  void Write(const std::string& text) { std::ofstream(path_) << text; }
  Settings Jwt() {
    Settings settings;
    settings.address = server_.address();
    settings.mount = FakeKvServer::kMount;
    settings.path = FakeKvServer::kPath;
    settings.auth_method = AuthMethod::kJwt;
    settings.role = "reader";
    settings.jwt_path = path_;
    return settings;
  }

  std::string path_;
};

TEST_F(JwtTest, TheFileIsReadAnewAtEachLogin) {
  Write(std::string(kJwt) + "\n");
  server_.AllowJwt(kJwt);
  const auto client = New(Jwt());
  ASSERT_THAT(client->Call("GET", kSecret), IsOk());
  const std::string second = std::string(kJwt) + "2";
  Write(second);
  server_.AllowJwt(second);
  server_.RevokeTokens();
  const auto reply = client->Call("GET", kSecret);
  ASSERT_THAT(reply, IsOk());
  EXPECT_EQ(reply->status, 200);
}

TEST_F(JwtTest, NothingButAJwtIsEverSent) {
  for (const char* text : {"", "root:x:0:0:root:/root:/bin/sh\n", "a.b", "a.b.c.d", "a.b c.d"}) {
    Write(text);
    EXPECT_THAT(New(Jwt())->Call("GET", kSecret),
                StatusIs(absl::StatusCode::kFailedPrecondition,
                         HasSubstr("no file with one JSON Web Token")));
  }
  unlink(path_.c_str());
  EXPECT_THAT(New(Jwt())->Call("GET", kSecret),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("it must be there")));
  ASSERT_EQ(mkfifo(path_.c_str(), 0600), 0);  // without a writer: to open it would wait
  EXPECT_THAT(New(Jwt())->Call("GET", kSecret),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("it must be there")));
  EXPECT_TRUE(server_.calls().empty());
}

TEST_F(ClientTest, AWrappedSecretIdIsUnwrappedOnce) {
  const auto client = New(Approle());
  const base::SecretBytes wrapping(std::string_view("wrapping-1"));
  const auto secret_id = client->UnwrapSecretId(wrapping);
  ASSERT_THAT(secret_id, IsOk());
  EXPECT_EQ(secret_id->view(), "secret-1");
  EXPECT_THAT(client->UnwrapSecretId(wrapping),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("revoke that secret id")));
}

TEST_F(ClientTest, NoFaultHangsItOrShowsWhatWasSent) {
  for (const auto& [fault, code, text] :
       {std::tuple{KvFault::kLostBefore, absl::StatusCode::kUnavailable, "not whole, or not HTTP"},
        std::tuple{KvFault::kGarbage, absl::StatusCode::kUnavailable, "not whole, or not HTTP"},
        std::tuple{KvFault::kCut, absl::StatusCode::kUnavailable, "not whole, or not HTTP"},
        std::tuple{KvFault::kSlow, absl::StatusCode::kUnavailable, "in time"}}) {
    const auto client = New(Approle());
    ASSERT_THAT(client->Call("GET", kSecret), IsOk());
    server_.set_plan(Next({fault}));
    const absl::Time before = absl::Now();
    const auto reply = client->Call("GET", kSecret);
    EXPECT_THAT(reply, StatusIs(code, HasSubstr(text)));
    EXPECT_FALSE(NeverSent(reply.status()));
    EXPECT_LT(absl::Now() - before, absl::Seconds(2));
  }
  const auto client = New(Approle());
  server_.set_plan(Next({KvFault::kEcho}));
  const auto login = client->Call("GET", kSecret);
  EXPECT_THAT(login, StatusIs(absl::StatusCode::kFailedPrecondition,
                              AllOf(HasSubstr("login at auth/approle/login is refused"),
                                    Not(HasSubstr("secret-1")), Not(HasSubstr("role-1")))));
  EXPECT_TRUE(NeverSent(login.status()));
}

TEST_F(ClientTest, ASealedServerIsUnavailable) {
  server_.set_plan([](const FakeKvServer::Call&) { return KvFault::kSealed; });
  EXPECT_THAT(New(Approle())->Call("GET", kSecret),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr("503, is sealed")));
}

TEST_F(ClientTest, FollowsARedirectWithinTheHostOnly) {
  const auto client = New(Approle());
  ASSERT_THAT(client->Call("GET", kSecret), IsOk());
  for (const std::string& same : {server_.address(), std::string()}) {
    server_.set_redirect_to(same);
    server_.set_plan(Next({KvFault::kRedirect}));
    const auto reply = client->Call("GET", kSecret);
    ASSERT_THAT(reply, IsOk());
    EXPECT_EQ(reply->status, 200);
  }
  FakeKvServer other;
  for (const std::string& elsewhere :
       {other.address("localhost"), std::string("https://127.0.0.1:1"), std::string("nonsense")}) {
    server_.set_redirect_to(elsewhere);
    server_.set_plan(Next({KvFault::kRedirect}));
    EXPECT_THAT(client->Call("GET", kSecret),
                StatusIs(absl::StatusCode::kUnavailable, HasSubstr("redirect")));
  }
  server_.set_redirect_to(server_.address());
  server_.set_plan(Next({KvFault::kRedirect, KvFault::kRedirect}));
  EXPECT_THAT(client->Call("GET", kSecret),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr("more than once")));
  EXPECT_TRUE(other.calls().empty());
}

TEST_F(ClientTest, NobodyThereMeansNeverSent) {
  Settings settings = Approle();
  {
    FakeKvServer gone;
    settings.address = gone.address();
  }
  const auto reply = New(std::move(settings))->Call("GET", kSecret);
  EXPECT_THAT(reply, StatusIs(absl::StatusCode::kUnavailable, HasSubstr("Connection refused")));
  EXPECT_TRUE(NeverSent(reply.status()));
}

TEST_F(ClientTest, NamesAreResolvedWithinTheDeadline) {
  Settings settings = Approle();
  settings.address = server_.address("localhost");
  EXPECT_THAT(New(settings.Clone())->Call("GET", kSecret), IsOk());
  settings.address = "http://no-such-host.invalid:8200";
  const absl::Time before = absl::Now();
  const auto reply = New(std::move(settings))->Call("GET", kSecret);
  EXPECT_FALSE(reply.ok());
  EXPECT_TRUE(NeverSent(reply.status()));
  EXPECT_LT(absl::Now() - before, absl::Seconds(2));
}

TEST_F(ClientTest, TlsTrustsTheGivenAuthorityAndTheNamedHost) {
  FakeKvServer server;
  const std::string ca = server.UseTls("DNS:localhost");
  Settings settings = Approle();
  settings.address = server.address("localhost");
  settings.ca_cert = ca;
  const auto login = New(settings.Clone())->Call("GET", kSecret);
  ASSERT_THAT(login, IsOk());
  EXPECT_EQ(login->status, 404);

  settings.ca_cert.clear();
  EXPECT_THAT(New(settings.Clone())->Call("GET", kSecret),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr("certificate is not accepted")));
  FakeKvServer stranger;
  settings.ca_cert = stranger.UseTls("DNS:localhost");
  EXPECT_THAT(New(settings.Clone())->Call("GET", kSecret),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr("certificate is not accepted")));
  settings.ca_cert = ca;
  settings.address = server.address("127.0.0.1");
  EXPECT_THAT(New(settings.Clone())->Call("GET", kSecret),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr("IP address mismatch")));
  settings.address = "https" + server_.address("localhost").substr(4);
  EXPECT_FALSE(New(std::move(settings))->Call("GET", kSecret).ok());
}

TEST_F(ClientTest, TlsToAServerOfAnotherName) {
  FakeKvServer server;
  Settings settings = Approle();
  settings.ca_cert = server.UseTls("DNS:openbao.vault.svc");
  settings.address = server.address();
  EXPECT_THAT(New(settings.Clone())->Call("GET", kSecret),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr("tls_server_name")));
  settings.tls_server_name = "openbao.vault.svc";
  server.set_redirect_to(server.address());
  server.set_plan(Next({KvFault::kNone, KvFault::kRedirect}));
  const auto client = New(settings.Clone());
  ASSERT_THAT(client->Call("GET", kSecret), IsOk());
  for (const auto& call : server.calls()) EXPECT_EQ(call.server_name, "openbao.vault.svc");
  EXPECT_EQ(server.calls().size(), 3U);
  settings.tls_server_name = "openbao";
  EXPECT_FALSE(New(std::move(settings))->Call("GET", kSecret).ok());
}

TEST_F(ClientTest, TlsToAnAddressThatTheCertificateNames) {
  FakeKvServer server;
  Settings settings = Approle();
  settings.ca_cert = server.UseTls("IP:127.0.0.1");
  settings.address = server.address();
  EXPECT_THAT(New(std::move(settings))->Call("GET", kSecret), IsOk());
}

}  // namespace
}  // namespace kvclient
