#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <future>
#include <memory>
#include <string>

#include "absl/time/clock.h"
#include "base/status_macros.h"
#include "base/text.h"
#include "goplugin/broker.grpc.pb.h"
#include "goplugin/broker_service.h"
#include "support/status_matchers.h"
#include "unit/goplugin/host.h"
#include "unit/goplugin/test_service.h"

namespace goplugin {
namespace {

using ::testing::HasSubstr;
using ::testing_support::IsOk;
using ::testing_support::IsOkAndHolds;
using ::testing_support::StatusIs;

constexpr absl::Duration kPatience = absl::Seconds(4);

TEST(DialTarget, NamesUnixSockets) {
  EXPECT_THAT(DialTarget("unix", "/tmp/plugin123"), IsOkAndHolds("unix:/tmp/plugin123"));
  EXPECT_THAT(DialTarget("unix", "/a b/%41?#\xc3\xa9"),
              IsOkAndHolds("unix:/a%20b/%2541%3F%23%C3%A9"));
  EXPECT_THAT(DialTarget("unix", "/" + std::string(106, 'x')), IsOk());
}

TEST(DialTarget, NamesTcpServers) {
  EXPECT_THAT(DialTarget("tcp", "127.0.0.1:10000"), IsOkAndHolds("ipv4:127.0.0.1:10000"));
  EXPECT_THAT(DialTarget("tcp", "[::1]:65535"), IsOkAndHolds("ipv6:%5B::1%5D:65535"));
}

TEST(DialTarget, RefusesAnythingElse) {
  const auto refused = StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("the host named"));
  for (const char* path : {"", "relative", "@abstract"}) {
    EXPECT_THAT(DialTarget("unix", path), refused) << path;
  }
  EXPECT_THAT(DialTarget("unix", "/" + std::string(107, 'x')), refused);
  EXPECT_THAT(DialTarget("unix", std::string("/a\0b", 4)), refused);
  for (const char* address :
       {"", ":1", "127.0.0.1", "127.0.0.1:", "127.0.0.1:0", "127.0.0.1:65536", "127.0.0.1:+1",
        "127.0.0.1: 1", "localhost:1", "::1:1", "[127.0.0.1]:1", "[]:1", "[::1:1", "1.2.3.4.5:1"}) {
    EXPECT_THAT(DialTarget("tcp", address), refused) << address;
  }
  EXPECT_THAT(DialTarget("tcp", std::string("127.0.0.1\0:1", 12)), refused);
  for (const char* network : {"", "udp", "Unix"}) {
    EXPECT_THAT(DialTarget(network, "/tmp/x"), refused) << network;
  }
}

// The broker on a server of its own, without TLS, and the host's end of its stream.
class BrokerTest : public ::testing::Test {
 protected:
  BrokerTest() {
    KeepGrpc();
    grpc::ServerBuilder builder;
    calls_ = std::make_unique<Calls>(builder);
    broker_.Register(*calls_);
    server_ = builder.BuildAndStart();
    if (!calls_->Start()) std::abort();
    stub_ = plugin::GRPCBroker::NewStub(server_->InProcessChannel({}));
  }
  ~BrokerTest() override {
    context_->TryCancel();
    broker_.Stop();
    server_->Shutdown();
    calls_->Stop();
  }

  void OpenStream() {
    context_->set_deadline(Soon());
    stream_ = stub_->StartStream(context_.get());
    stream_->WaitForInitialMetadata();
  }
  void Tell(std::uint32_t id, const std::string& network, const std::string& address) {
    plugin::ConnInfo info;
    info.set_service_id(id);
    info.set_network(network);
    info.set_address(address);
    ASSERT_TRUE(stream_->Write(info));
  }
  // A server of the host's that echoes.
  std::string HostServer(const std::string& name) {
    std::string path = directory_.path() + "/" + name;
    grpc::ServerBuilder builder;
    builder.AddListeningPort("unix:" + path, grpc::InsecureServerCredentials());
    services_.push_back(std::make_unique<TestService>());
    builder.RegisterService(services_.back().get());
    host_servers_.push_back(builder.BuildAndStart());
    return path;
  }
  static std::string Echo(const std::shared_ptr<grpc::Channel>& channel, const std::string& text) {
    std::string echoed;
    const grpc::Status status = CallEcho(channel, text, &echoed);
    return status.ok() ? echoed : status.error_message();
  }

  // By a connection of its own to the server that the host told of.
  absl::StatusOr<std::string> EchoAt(std::uint32_t service_id, const std::string& text) {
    ASSIGN_OR_RETURN(const Connect connect, broker_.Locate(service_id, kPatience));
    return Echo(connect(), text);
  }

  const TemporaryDirectory directory_;
  RecordingLogger logger_;
  Leaving leaving_;
  BrokerService broker_{grpc::InsecureChannelCredentials(), &leaving_, &logger_};
  std::unique_ptr<Calls> calls_;
  std::unique_ptr<grpc::Server> server_;
  std::vector<std::unique_ptr<TestService>> services_;
  std::vector<std::unique_ptr<grpc::Server>> host_servers_;
  std::unique_ptr<plugin::GRPCBroker::Stub> stub_;
  std::unique_ptr<grpc::ClientContext> context_ = std::make_unique<grpc::ClientContext>();
  std::unique_ptr<grpc::ClientReaderWriter<plugin::ConnInfo, plugin::ConnInfo>> stream_;
};

TEST_F(BrokerTest, ConnectsToWhatTheHostHasTold) {
  OpenStream();
  Tell(7, "unix", HostServer("seven"));
  EXPECT_THAT(EchoAt(7, "hello"), IsOkAndHolds("hello"));
}

TEST_F(BrokerTest, TellsServersApart) {
  OpenStream();
  Tell(1, "unix", HostServer("one"));
  Tell(2, "unix", directory_.path() + "/nobody");
  const auto two = broker_.Locate(2, kPatience);
  const auto one = broker_.Locate(1, kPatience);
  ASSERT_THAT(two, IsOk());
  ASSERT_THAT(one, IsOk());
  EXPECT_EQ(Echo((*one)(), "hello"), "hello");
  std::string echoed;
  EXPECT_EQ(CallEcho((*two)(), "hello", &echoed).error_code(), grpc::StatusCode::UNAVAILABLE);
}

TEST_F(BrokerTest, WaitsForAHostThatIsLate) {
  auto located = std::async(std::launch::async, [&] { return broker_.Locate(7, kPatience); });
  OpenStream();
  Tell(7, "unix", HostServer("seven"));
  const auto connect = located.get();
  ASSERT_THAT(connect, IsOk());
  EXPECT_EQ(Echo((*connect)(), "late"), "late");
}

TEST_F(BrokerTest, DialsPathsWithOddCharacters) {
  OpenStream();
  std::filesystem::create_directory(directory_.path() + "/a b?c#d");
  // gRPC's server reads its address as a URI too.
  const std::string path = directory_.path() + "/a b?c#d/odd";
  grpc::ServerBuilder builder;
  builder.AddListeningPort("unix:" + directory_.path() + "/a%20b%3Fc%23d/odd",
                           grpc::InsecureServerCredentials());
  TestService service;
  builder.RegisterService(&service);
  host_servers_.push_back(builder.BuildAndStart());
  ASSERT_TRUE(std::filesystem::exists(path));
  Tell(7, "unix", path);
  EXPECT_THAT(EchoAt(7, "odd"), IsOkAndHolds("odd"));
  host_servers_.clear();
}

TEST_F(BrokerTest, DialsOverTcp) {
  OpenStream();
  grpc::ServerBuilder builder;
  int port = 0;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
  TestService service;
  builder.RegisterService(&service);
  const auto server = builder.BuildAndStart();
  Tell(7, "tcp", base::Cat("127.0.0.1:", port));
  EXPECT_THAT(EchoAt(7, "tcp"), IsOkAndHolds("tcp"));
}

TEST_F(BrokerTest, ConnectsAsOftenAsItIsAsked) {
  OpenStream();
  Tell(7, "unix", HostServer("seven"));
  const auto connect = broker_.Locate(7, kPatience);
  ASSERT_THAT(connect, IsOk());
  std::shared_ptr<grpc::Channel> one = (*connect)();
  EXPECT_EQ(Echo(one, "before"), "before");
  const std::shared_ptr<grpc::Channel> two = (*connect)();
  EXPECT_NE(one, two);
  one.reset();
  EXPECT_EQ(Echo(two, "after"), "after");
}

TEST_F(BrokerTest, GivesUpOnAServerNobodyTold) {
  OpenStream();
  Tell(1, "unix", directory_.path() + "/one");
  const absl::Time start = absl::Now();
  EXPECT_THAT(broker_.Locate(2, absl::Milliseconds(50)),
              StatusIs(absl::StatusCode::kDeadlineExceeded, HasSubstr("server 2")));
  EXPECT_GE(absl::Now() - start, absl::Milliseconds(50));
  EXPECT_THAT(broker_.Locate(2, absl::ZeroDuration()),
              StatusIs(absl::StatusCode::kDeadlineExceeded, HasSubstr("server 2")));
}

TEST_F(BrokerTest, TellsOfEachServerOnce) {
  OpenStream();
  Tell(7, "unix", HostServer("seven"));
  ASSERT_THAT(broker_.Locate(7, kPatience), IsOk());
  EXPECT_THAT(broker_.Locate(7, absl::ZeroDuration()),
              StatusIs(absl::StatusCode::kDeadlineExceeded, HasSubstr("server 7")));
}

TEST_F(BrokerTest, TakesTheLaterOfTwoAddresses) {
  OpenStream();
  Tell(7, "unix", directory_.path() + "/nobody");
  Tell(7, "unix", HostServer("seven"));
  Tell(8, "unix", directory_.path() + "/after");
  // The stream keeps its order: with 8 known, both words on 7 are.
  ASSERT_THAT(broker_.Locate(8, kPatience), IsOk());
  EXPECT_THAT(EchoAt(7, "again"), IsOkAndHolds("again"));
}

TEST_F(BrokerTest, SaysWhatIsWrongWithAnAddress) {
  OpenStream();
  Tell(7, "carrier-pigeon", "/x");
  EXPECT_THAT(broker_.Locate(7, kPatience),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("unknown kind of network")));
  EXPECT_THAT(logger_.Text(),
              HasSubstr("warn: the host named a server on an unknown kind of network "
                        "service_id=7\n"));
}

TEST_F(BrokerTest, PassesOverKnocks) {
  OpenStream();
  plugin::ConnInfo knock;
  knock.set_service_id(7);
  knock.mutable_knock()->set_knock(true);
  ASSERT_TRUE(stream_->Write(knock));
  Tell(8, "unix", directory_.path() + "/after");
  ASSERT_THAT(broker_.Locate(8, kPatience), IsOk());
  EXPECT_THAT(broker_.Locate(7, absl::ZeroDuration()),
              StatusIs(absl::StatusCode::kDeadlineExceeded, HasSubstr("server 7")));
}

TEST_F(BrokerTest, ForgetsTheOldestWhenThereAreTooMany) {
  OpenStream();
  constexpr std::uint32_t kOneTooMany = kMaxWaitingServers + 1;
  for (std::uint32_t id = 1; id <= kOneTooMany; ++id) Tell(id, "unix", "/tmp/x");
  ASSERT_THAT(broker_.Locate(kOneTooMany, kPatience), IsOk());
  EXPECT_THAT(broker_.Locate(1, absl::ZeroDuration()),
              StatusIs(absl::StatusCode::kDeadlineExceeded, HasSubstr("server 1")));
  EXPECT_THAT(broker_.Locate(2, absl::ZeroDuration()), IsOk());
}

TEST_F(BrokerTest, HostIsSeenOnceItsStreamIsOpen) {
  EXPECT_FALSE(broker_.host_seen());
  OpenStream();
  EXPECT_TRUE(broker_.host_seen());
  EXPECT_EQ(leaving_.reason(), LeaveReason::kNone);
}

TEST_F(BrokerTest, EndOfTheStreamMeansTheHostIsGone) {
  OpenStream();
  auto located = std::async(std::launch::async, [&] { return broker_.Locate(7, kPatience); });
  context_->TryCancel();
  EXPECT_TRUE(leaving_.WaitFor(LeaveReason::kHostGone, kPatience));
  EXPECT_THAT(located.get(), StatusIs(absl::StatusCode::kUnavailable, HasSubstr("ended")));
}

TEST_F(BrokerTest, EndOfOneStreamOfTwoMeansNothing) {
  OpenStream();
  {
    grpc::ClientContext second;
    second.set_deadline(Soon());
    const auto stream = stub_->StartStream(&second);
    stream->WaitForInitialMetadata();
    stream->WritesDone();
    ASSERT_TRUE(stream->Finish().ok());
  }
  EXPECT_EQ(leaving_.reason(), LeaveReason::kNone);
  Tell(7, "unix", HostServer("seven"));
  EXPECT_THAT(broker_.Locate(7, kPatience), IsOk());
}

TEST_F(BrokerTest, StopEndsAllThatWaits) {
  OpenStream();
  auto located = std::async(std::launch::async, [&] { return broker_.Locate(7, kPatience); });
  broker_.Stop();
  EXPECT_THAT(located.get(), StatusIs(absl::StatusCode::kUnavailable, HasSubstr("ended")));
  plugin::ConnInfo info;
  EXPECT_FALSE(stream_->Read(&info));
  EXPECT_EQ(stream_->Finish().error_code(), grpc::StatusCode::CANCELLED);
  // Our own leaving is not the host's.
  EXPECT_EQ(leaving_.reason(), LeaveReason::kNone);

  grpc::ClientContext late;
  late.set_deadline(Soon());
  EXPECT_EQ(stub_->StartStream(&late)->Finish().error_code(), grpc::StatusCode::UNAVAILABLE);
}

}  // namespace
}  // namespace goplugin
