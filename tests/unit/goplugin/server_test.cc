// The server in this process, a host on the other end of the socket.
#include "goplugin/server.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <future>
#include <memory>
#include <string>

#include "absl/time/clock.h"
#include "base/clock.h"
#include "goplugin/broker.grpc.pb.h"
#include "goplugin/controller.grpc.pb.h"
#include "goplugin/log.h"
#include "goplugin/stdio.grpc.pb.h"
#include "support/status_matchers.h"
#include "unit/goplugin/host.h"
#include "unit/goplugin/test_service.h"

namespace goplugin {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing_support::StatusIs;

constexpr absl::Duration kPatience = absl::Seconds(4);

class ServerTest : public ::testing::Test {
 protected:
  ServerTest() {
    config_.protocol_version = 5;
    config_.register_services = [this](grpc::ServerBuilder&, Calls& calls, Broker& broker,
                                       base::Logger&) {
      service_ = std::make_unique<TestService>(&broker);
      service_->Register(calls);
    };
    absl::StatusOr<std::unique_ptr<Server>> server = Start(host_.Request(directory_.path()));
    if (!server.ok()) std::abort();
    server_ = *std::move(server);
    plugin_ = PluginAddress::Parse(server_->handshake_line());
    channel_ = host_.Connect(plugin_);
  }

  absl::StatusOr<std::unique_ptr<Server>> Start(const HandshakeRequest& request) {
    return Server::Start(config_, request, &clock_, &leaving_, &logger_);
  }

  const TemporaryDirectory directory_;
  const Host host_;
  base::SystemClock clock_;
  RecordingLogger logger_;
  Leaving leaving_;
  ServeConfig config_;
  std::unique_ptr<TestService> service_;
  std::unique_ptr<Server> server_;
  PluginAddress plugin_;
  std::shared_ptr<grpc::Channel> channel_;
};

using Broker_ = plugin::GRPCBroker;
using Stdio = plugin::GRPCStdio;
using Controller = plugin::GRPCController;

TEST_F(ServerTest, SaysWhereItIs) {
  ASSERT_EQ(plugin_.fields.size(), 6u);
  EXPECT_EQ(plugin_.fields[0], "1");
  EXPECT_EQ(plugin_.fields[1], "5");
  EXPECT_EQ(plugin_.fields[2], "unix");
  EXPECT_EQ(plugin_.fields[4], "grpc");
  EXPECT_TRUE(std::filesystem::is_socket(plugin_.socket_path));
}

TEST_F(ServerTest, RefusesWhatItCannotServe) {
  HandshakeRequest request = host_.Request(directory_.path());
  request.protocol_versions = {4};
  EXPECT_THAT(Start(request),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("version")));
  request = host_.Request(directory_.path());
  request.host_certificate_pem = "nonsense";
  EXPECT_THAT(Start(request), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("PEM")));
}

TEST_F(ServerTest, IsHealthy) {
  EXPECT_TRUE(CheckHealth(channel_).ok());
  EXPECT_TRUE(CheckHealth(channel_, "").ok());
  EXPECT_EQ(CheckHealth(channel_, "other").error_code(), grpc::StatusCode::NOT_FOUND);
}

TEST_F(ServerTest, ServesThePluginsOwnServiceWithoutLimitOnSize) {
  const std::string large(9 << 20, 'x');
  std::string echoed;
  const grpc::Status status = CallEcho(channel_, large, &echoed);
  EXPECT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(echoed, large);
}

TEST_F(ServerTest, DialsTheHostBack) {
  TestService host_service;
  const std::string path = directory_.path() + "/host";
  const auto host_server = host_.Serve("unix:" + path, plugin_, host_service);
  ASSERT_NE(host_server, nullptr);
  grpc::ClientContext context;
  context.set_deadline(Soon());
  const auto stream = Broker_::NewStub(channel_)->StartStream(&context);
  stream->WaitForInitialMetadata();
  plugin::ConnInfo info;
  info.set_service_id(42);
  info.set_network("unix");
  info.set_address(path);
  ASSERT_TRUE(stream->Write(info));

  const std::string large(9 << 20, 'y');
  std::string echoed;
  const grpc::Status status = CallRelay(channel_, 42, large, &echoed);
  EXPECT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(echoed, large);
}

TEST_F(ServerTest, DialsNobodyButTheHost) {
  TestService impostor_service;
  const Host impostor;
  const std::string path = directory_.path() + "/impostor";
  const auto impostor_server = impostor.Serve("unix:" + path, plugin_, impostor_service);
  grpc::ClientContext context;
  context.set_deadline(Soon());
  const auto stream = Broker_::NewStub(channel_)->StartStream(&context);
  plugin::ConnInfo info;
  info.set_service_id(42);
  info.set_network("unix");
  info.set_address(path);
  ASSERT_TRUE(stream->Write(info));
  std::string echoed;
  EXPECT_EQ(CallRelay(channel_, 42, "secret", &echoed).error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(echoed, "");
}

TEST_F(ServerTest, KeepsStdioOpenUntilItStops) {
  grpc::ClientContext context;
  context.set_deadline(Soon());
  const auto stream = Stdio::NewStub(channel_)->StreamStdio(&context, {});
  stream->WaitForInitialMetadata();
  plugin::StdioData data;
  auto read = std::async(std::launch::async, [&] { return stream->Read(&data); });
  EXPECT_TRUE(CheckHealth(channel_).ok());
  EXPECT_EQ(read.wait_for(std::chrono::seconds(0)), std::future_status::timeout);
  server_->Stop(kPatience);
  EXPECT_FALSE(read.get());
  EXPECT_TRUE(stream->Finish().ok());
}

TEST_F(ServerTest, GivesStdioToTheLatestOnly) {
  grpc::ClientContext first_context;
  first_context.set_deadline(Soon());
  const auto first = Stdio::NewStub(channel_)->StreamStdio(&first_context, {});
  first->WaitForInitialMetadata();
  grpc::ClientContext second_context;
  second_context.set_deadline(Soon());
  const auto second = Stdio::NewStub(channel_)->StreamStdio(&second_context, {});
  plugin::StdioData data;
  EXPECT_FALSE(first->Read(&data));
  EXPECT_TRUE(first->Finish().ok());
  server_->Stop(kPatience);
  EXPECT_TRUE(second->Finish().ok());
}

TEST_F(ServerTest, AnswersShutdownAndDecidesToLeave) {
  grpc::ClientContext context;
  context.set_deadline(Soon());
  plugin::Empty response;
  EXPECT_TRUE(Controller::NewStub(channel_)->Shutdown(&context, {}, &response).ok());
  EXPECT_EQ(leaving_.reason(), LeaveReason::kShutdown);
}

TEST_F(ServerTest, StopsAtOnceWithStreamsOpen) {
  grpc::ClientContext broker_context;
  const auto broker = Broker_::NewStub(channel_)->StartStream(&broker_context);
  broker->WaitForInitialMetadata();
  grpc::ClientContext stdio_context;
  const auto stdio = Stdio::NewStub(channel_)->StreamStdio(&stdio_context, {});
  stdio->WaitForInitialMetadata();
  EXPECT_TRUE(server_->host_seen());

  const absl::Time start = absl::Now();
  server_->Stop(kPatience);
  EXPECT_LT(absl::Now() - start, absl::Seconds(1));
  EXPECT_TRUE(std::filesystem::is_empty(directory_.path()));
  EXPECT_FALSE(CheckHealth(channel_).ok());
  EXPECT_EQ(leaving_.reason(), LeaveReason::kNone);
}

TEST_F(ServerTest, LetsCallsUnderWayFinish) {
  auto call = std::async(std::launch::async, [&] { return CallHang(channel_); });
  service_->hanging.WaitForNotification();
  auto stopped = std::async(std::launch::async, [&] { server_->Stop(kPatience); });
  service_->release_hanging.Notify();
  EXPECT_TRUE(call.get().ok());
  stopped.get();
}

TEST_F(ServerTest, CancelsCallsThatTakeTooLong) {
  auto call = std::async(std::launch::async, [&] { return CallHang(channel_); });
  service_->hanging.WaitForNotification();
  auto stopped = std::async(std::launch::async, [&] { server_->Stop(absl::Milliseconds(10)); });
  EXPECT_EQ(call.get().error_code(), grpc::StatusCode::UNAVAILABLE);
  service_->release_hanging.Notify();
  stopped.get();
}

// Whoever is not the host gets nothing.

grpc::StatusCode Attempt(const PluginAddress& plugin,
                         const std::shared_ptr<grpc::ChannelCredentials>& credentials) {
  return CheckHealth(ConnectWith(plugin.socket_path, credentials)).error_code();
}

TEST_F(ServerTest, TurnsAwayAClientWithoutCertificate) {
  EXPECT_EQ(Attempt(plugin_, ClientCredentials(nullptr, plugin_.certificate_pem)),
            grpc::StatusCode::UNAVAILABLE);
}

TEST_F(ServerTest, TurnsAwayAnotherCertificate) {
  const Identity other = *MakeIdentity(absl::Now());
  EXPECT_EQ(Attempt(plugin_, ClientCredentials(&other, plugin_.certificate_pem)),
            grpc::StatusCode::UNAVAILABLE);
}

TEST_F(ServerTest, TurnsAwayPlaintext) {
  EXPECT_EQ(Attempt(plugin_, grpc::InsecureChannelCredentials()), grpc::StatusCode::UNAVAILABLE);
}

template <class T>
T* ReadPem(T* (*read)(BIO*, T**, pem_password_cb*, void*), std::string_view pem) {
  const std::unique_ptr<BIO, int (*)(BIO*)> bio(
      BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())), BIO_free);
  return read(bio.get(), nullptr, nullptr, nullptr);
}

// Whether it serves a client of that identity that speaks just this version of TLS: with 1.3 a
// handshake is over for the client before the server has looked at its certificate, but only then
// the server sends something.
bool Serves(const PluginAddress& plugin, const Identity& identity, int version) {
  std::signal(SIGPIPE, SIG_IGN);
  const std::unique_ptr<SSL_CTX, void (*)(SSL_CTX*)> context(SSL_CTX_new(TLS_client_method()),
                                                             SSL_CTX_free);
  SSL_CTX_set_security_level(context.get(), 0);
  SSL_CTX_set_min_proto_version(context.get(), version);
  SSL_CTX_set_max_proto_version(context.get(), version);
  const std::unique_ptr<X509, void (*)(X509*)> certificate(
      ReadPem(PEM_read_bio_X509, identity.certificate_pem), X509_free);
  const std::unique_ptr<EVP_PKEY, void (*)(EVP_PKEY*)> key(
      ReadPem(PEM_read_bio_PrivateKey, identity.private_key_pem.view()), EVP_PKEY_free);
  SSL_CTX_use_certificate(context.get(), certificate.get());
  SSL_CTX_use_PrivateKey(context.get(), key.get());
  constexpr unsigned char kAlpn[] = "\x02h2";
  SSL_CTX_set_alpn_protos(context.get(), kAlpn, 3);

  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  std::ranges::copy(plugin.socket_path, address.sun_path);
  const Fd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    return false;
  const std::unique_ptr<SSL, void (*)(SSL*)> ssl(SSL_new(context.get()), SSL_free);
  SSL_set_fd(ssl.get(), fd.get());
  char first = 0;
  return SSL_connect(ssl.get()) == 1 && SSL_read(ssl.get(), &first, 1) == 1;
}

// An identity whose certificate the issuer signed, as the issuer's certificate allows it to.
Identity IssuedBy(const Identity& issuer) {
  Identity identity = *MakeIdentity(absl::Now());
  const std::unique_ptr<X509, void (*)(X509*)> certificate(
      ReadPem(PEM_read_bio_X509, identity.certificate_pem), X509_free);
  const std::unique_ptr<EVP_PKEY, void (*)(EVP_PKEY*)> key(
      ReadPem(PEM_read_bio_PrivateKey, issuer.private_key_pem.view()), EVP_PKEY_free);
  X509_NAME* name = X509_get_subject_name(certificate.get());
  X509_NAME_add_entry_by_NID(name, NID_organizationName, MBSTRING_ASC,
                             reinterpret_cast<const unsigned char*>("issued"), -1, -1, 0);
  X509_sign(certificate.get(), key.get(), EVP_sha512());
  identity.certificate_pem = testing_support::CertificatePem(certificate.get());
  return identity;
}

TEST_F(ServerTest, TurnsAwayACertificateThatTheHostSigned) {
  const Identity issued = IssuedBy(host_.identity());
  // It is good for anyone who takes the host's certificate for an authority.
  const std::unique_ptr<X509, void (*)(X509*)> root(
      ReadPem(PEM_read_bio_X509, host_.identity().certificate_pem), X509_free);
  const std::unique_ptr<X509, void (*)(X509*)> leaf(
      ReadPem(PEM_read_bio_X509, issued.certificate_pem), X509_free);
  ASSERT_EQ(X509_verify(leaf.get(), X509_get0_pubkey(root.get())), 1);
  EXPECT_EQ(Attempt(plugin_, ClientCredentials(&issued, plugin_.certificate_pem)),
            grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(Attempt(plugin_, ClientCredentials(&host_.identity(), plugin_.certificate_pem)),
            grpc::StatusCode::OK);
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    EXPECT_FALSE(Serves(plugin_, issued, version)) << version;
  }
}

TEST_F(ServerTest, SpeaksNoTlsOlderThan12) {
  const GrpcLogToLogger grpc_log(&logger_);
  EXPECT_TRUE(Serves(plugin_, host_.identity(), TLS1_3_VERSION));
  EXPECT_EQ(logger_.Text(), "");
  // 1.2 is allowed, but fails too: there gRPC takes P-256 only, for certificates as well.
  EXPECT_FALSE(Serves(plugin_, host_.identity(), TLS1_2_VERSION));
  EXPECT_THAT(logger_.Text(), HasSubstr("wrong curve"));
  EXPECT_THAT(logger_.Text(), Not(HasSubstr("unsupported protocol")));
  EXPECT_FALSE(Serves(plugin_, host_.identity(), TLS1_1_VERSION));
  EXPECT_THAT(logger_.Text(), HasSubstr("unsupported protocol"));
}

}  // namespace
}  // namespace goplugin
