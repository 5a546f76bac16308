// A whole plugin process, run as a host runs it.
#include "goplugin/serve.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <future>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "absl/strings/str_split.h"
#include "base/json.h"
#include "base/text.h"
#include "goplugin/broker.grpc.pb.h"
#include "goplugin/controller.grpc.pb.h"
#include "unit/goplugin/child.h"
#include "unit/goplugin/host.h"
#include "unit/goplugin/test_service.h"

namespace goplugin {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::MatchesRegex;
using ::testing::Not;

class ServeTest : public ::testing::Test {
 protected:
  // Starts the plugin, reads its line and connects.
  void Start() {
    child_ = std::make_unique<Child>(TEST_PLUGIN, environment_);
    const auto line = child_->ReadLine();
    ASSERT_TRUE(line.has_value()) << child_->stderr_text();
    plugin_ = PluginAddress::Parse(*line);
    channel_ = host_.Connect(plugin_);
    ASSERT_TRUE(CheckHealth(channel_).ok());
  }

  void OpenBrokerStream() {
    stream_ = plugin::GRPCBroker::NewStub(channel_)->StartStream(&broker_context_);
    stream_->WaitForInitialMetadata();
  }

  // The plugin leaves by itself, in time and tidily.
  void ExpectCleanEnd() {
    const auto end = child_->Wait();
    ASSERT_TRUE(end.has_value());
    EXPECT_EQ(end->code, 0) << child_->stderr_text();
    EXPECT_LT(end->took, absl::Seconds(2));
    EXPECT_EQ(child_->stdout_text(), "");
    EXPECT_TRUE(std::filesystem::is_empty(directory_.path()));
    ExpectHclog();
  }

  // Every line on stderr is one that the host takes: a JSON object with nothing but strings.
  void ExpectHclog() {
    for (const auto& line : absl::StrSplit(child_->stderr_text(), '\n', absl::SkipEmpty())) {
      const auto json = base::ParseJson(base::ToStd(line));
      ASSERT_TRUE(json.ok()) << line;
      for (const auto& value : *json) EXPECT_TRUE(value.is_string()) << line;
      EXPECT_EQ(*base::FindString(*json, "@module"), "test-plugin");
    }
  }

  const TemporaryDirectory directory_;
  const Host host_;
  // What a host sets; a test may add to it. A process that can't be dumped can't be looked at by
  // the leak checker either.
  std::vector<std::string> environment_ = {
      "TEST_COOKIE=crumb",
      "PLUGIN_PROTOCOL_VERSIONS=4,5",
      "PLUGIN_CLIENT_CERT=" + host_.identity().certificate_pem,
      "TMPDIR=" + directory_.path(),
      "ASAN_OPTIONS=detect_leaks=0",
  };
  std::unique_ptr<Child> child_;
  PluginAddress plugin_;
  std::shared_ptr<grpc::Channel> channel_;
  grpc::ClientContext broker_context_;
  std::unique_ptr<grpc::ClientReaderWriter<plugin::ConnInfo, plugin::ConnInfo>> stream_;
};

TEST_F(ServeTest, ExplainsItselfToAPerson) {
  Child child(TEST_PLUGIN, {"PATH=/bin", "ASAN_OPTIONS=detect_leaks=0"});
  const auto end = child.Wait();
  ASSERT_TRUE(end.has_value());
  EXPECT_EQ(end->code, 1);
  EXPECT_THAT(child.stderr_text(),
              MatchesRegex("test-plugin v1\\.2\\.3 is a plugin: .*\nTo register it, ask a test\\.\n"
                           "See test-plugin --help\\.\n"));
  EXPECT_EQ(child.stdout_text(), "late\n");
}

TEST_F(ServeTest, RefusesAHostWithoutCertificate) {
  std::erase_if(environment_, [](const auto& v) { return v.starts_with("PLUGIN_CLIENT_CERT="); });
  child_ = std::make_unique<Child>(TEST_PLUGIN, environment_);
  const auto end = child_->Wait();
  ASSERT_TRUE(end.has_value());
  EXPECT_EQ(end->code, 1);
  EXPECT_THAT(child_->stderr_text(),
              AllOf(HasSubstr(R"("@level":"error")"), HasSubstr("PLUGIN_CLIENT_CERT")));
  EXPECT_EQ(child_->stdout_text(), "late\n");
  ExpectHclog();
}

TEST_F(ServeTest, RefusesAHostOfAnotherVersion) {
  std::erase_if(environment_,
                [](const auto& v) { return v.starts_with("PLUGIN_PROTOCOL_VERSIONS="); });
  environment_.emplace_back("PLUGIN_PROTOCOL_VERSIONS=3,4");
  child_ = std::make_unique<Child>(TEST_PLUGIN, environment_);
  const auto end = child_->Wait();
  ASSERT_TRUE(end.has_value());
  EXPECT_EQ(end->code, 1);
  EXPECT_THAT(child_->stderr_text(),
              AllOf(HasSubstr("the host speaks 3, 4"), HasSubstr("speaks 5")));
  EXPECT_TRUE(std::filesystem::is_empty(directory_.path()));
}

TEST_F(ServeTest, LeavesWhenTheHostAsks) {
  Start();
  EXPECT_EQ(plugin_.fields.size(), 6u);
  OpenBrokerStream();
  grpc::ClientContext context;
  context.set_deadline(Soon());
  plugin::Empty response;
  EXPECT_TRUE(plugin::GRPCController::NewStub(channel_)->Shutdown(&context, {}, &response).ok());
  ExpectCleanEnd();
  EXPECT_THAT(child_->stderr_text(), HasSubstr("the host asked for it"));
}

// The order of go-plugin's own host: the stream ends, and then it calls.
TEST_F(ServeTest, StillAnswersWhenTheStreamEndsFirst) {
  Start();
  OpenBrokerStream();
  broker_context_.TryCancel();
  grpc::ClientContext context;
  context.set_deadline(Soon());
  plugin::Empty response;
  EXPECT_TRUE(plugin::GRPCController::NewStub(channel_)->Shutdown(&context, {}, &response).ok());
  ExpectCleanEnd();
}

TEST_F(ServeTest, DeclinesMultiplexingWhenAsked) {
  environment_.emplace_back("PLUGIN_MULTIPLEX_GRPC=true");
  Start();
  ASSERT_EQ(plugin_.fields.size(), 7u);
  EXPECT_EQ(plugin_.fields[6], "false");
}

TEST_F(ServeTest, LeavesOnSigterm) {
  Start();
  kill(child_->pid(), SIGTERM);
  ExpectCleanEnd();
  EXPECT_THAT(child_->stderr_text(), HasSubstr("SIGTERM"));
}

TEST_F(ServeTest, StaysOnSigint) {
  Start();
  kill(child_->pid(), SIGINT);
  EXPECT_TRUE(CheckHealth(channel_).ok());
  kill(child_->pid(), SIGTERM);
  ExpectCleanEnd();
}

TEST_F(ServeTest, LeavesWhenTheHostsConnectionEnds) {
  Start();
  OpenBrokerStream();
  broker_context_.TryCancel();
  ExpectCleanEnd();
  EXPECT_THAT(child_->stderr_text(), HasSubstr("the host is gone"));
}

TEST_F(ServeTest, LeavesWhenTheHostDiesBeforeItConnects) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  const Fd reader(ends[0]);
  const pid_t host = fork();
  if (host == 0) {
    // A host that dies once the plugin has started. The plugin gets the pipe's end.
    close(ends[0]);
    Child child(TEST_PLUGIN, environment_);
    _exit(child.ReadLine().has_value() ? 0 : 1);
  }
  close(ends[1]);
  int status = -1;
  ASSERT_EQ(waitpid(host, &status, 0), host);
  ASSERT_EQ(status, 0);
  auto ended = std::async(std::launch::async, [&] {
    char byte;
    return read(reader.get(), &byte, 1);
  });
  ASSERT_EQ(ended.wait_for(std::chrono::seconds(4)), std::future_status::ready);
  EXPECT_EQ(ended.get(), 0);
  EXPECT_TRUE(std::filesystem::is_empty(directory_.path()));
}

TEST_F(ServeTest, LeavesUnderCallsThatDoNotEnd) {
  Start();
  auto call = std::async(std::launch::async, [&] { return CallHang(channel_); });
  ASSERT_TRUE(child_->AwaitStderr("hanging"));
  kill(child_->pid(), SIGTERM);
  const auto end = child_->Wait();
  ASSERT_TRUE(end.has_value());
  EXPECT_EQ(end->code, 1);
  EXPECT_LT(end->took, absl::Seconds(2));
  EXPECT_FALSE(call.get().ok());
  EXPECT_THAT(child_->stderr_text(), HasSubstr("leaving without them"));
  EXPECT_TRUE(std::filesystem::is_empty(directory_.path()));
}

// gRPC's tear-down waits 10 s after writes that did not fit into the socket's buffer.
TEST_F(ServeTest, LeavesInTimeAfterLargeMessages) {
  Start();
  const std::string large(16 << 20, 'x');
  std::string echoed;
  ASSERT_TRUE(CallEcho(channel_, large, &echoed).ok());
  EXPECT_EQ(echoed, large);
  kill(child_->pid(), SIGTERM);
  ExpectCleanEnd();
}

TEST_F(ServeTest, DoesNotTraceWhatItServes) {
  for (const char* variable : {"GRPC_TRACE=all", "GRPC_VERBOSITY=debug"}) {
    environment_.emplace_back(variable);
  }
  Start();
  std::string echoed;
  ASSERT_TRUE(CallEcho(channel_, "top secret", &echoed).ok());
  kill(child_->pid(), SIGTERM);
  ExpectCleanEnd();
  EXPECT_THAT(child_->stderr_text(), Not(HasSubstr("top secret")));
}

TEST_F(ServeTest, CannotBeDumped) {
  Start();
  std::stringstream limits;
  limits << std::ifstream(base::Cat("/proc/", child_->pid(), "/limits")).rdbuf();
  EXPECT_THAT(limits.str(), testing::ContainsRegex("Max core file size +0 +0 "));
}

TEST_F(ServeTest, TidiesUpAfterOneThatWasKilled) {
  Start();
  const std::filesystem::path abandoned = plugin_.socket_path;
  kill(child_->pid(), SIGKILL);
  ASSERT_TRUE(child_->Wait().has_value());
  ASSERT_TRUE(std::filesystem::exists(abandoned));
  Start();
  kill(child_->pid(), SIGTERM);
  ExpectCleanEnd();
  EXPECT_FALSE(std::filesystem::exists(abandoned.parent_path()));
}

}  // namespace
}  // namespace goplugin
