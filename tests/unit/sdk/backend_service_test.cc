#include "sdk/transport/backend_service.h"

#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <typeinfo>
#include <utility>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "base/text.h"
#include "sdk/logical/errors.h"
#include "support/status_matchers.h"
#include "unit/sdk/scripted_host.h"

namespace openbao {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::Pair;
using ::testing_support::IsOk;
using ::testing_support::LocalServer;
using ::testing_support::ScriptedHost;
using ::testing_support::StatusIs;

using Result = absl::StatusOr<std::optional<Response>>;

constexpr absl::Duration kPatience = absl::Seconds(20);

// Waits until it is so, or patience ends.
bool Eventually(const std::function<bool()>& condition) {
  const absl::Time end = absl::Now() + kPatience;
  while (!condition()) {
    if (absl::Now() > end) return false;
    absl::SleepFor(absl::Milliseconds(2));
  }
  return true;
}

class KeptLog final : public base::Logger {
 public:
  void Log(base::LogLevel, std::string_view message,
           std::initializer_list<base::LogPair> pairs) override {
    absl::MutexLock lock(&mutex_);
    lines_.emplace_back(message);
    for (const auto& [key, value] : pairs) lines_.back() += base::Cat(" ", key, "=", value);
  }
  std::vector<std::string> lines() {
    absl::MutexLock lock(&mutex_);
    return lines_;
  }

 private:
  absl::Mutex mutex_;
  std::vector<std::string> lines_ ABSL_GUARDED_BY(mutex_);
};

// What a test's backend does; unset hooks answer OK with nothing. Set before the calls that use
// them.
struct Hooks {
  std::function<Result(const Request&)> handle;
  std::function<absl::Status(Storage&)> initialize;
  openbao::SpecialPaths special;
  std::function<void(std::string_view)> invalidate;
  std::atomic<int> alive = 0;
};

class HookedBackend final : public Backend {
 public:
  HookedBackend(Hooks& hooks, const BackendConfig& config) : hooks_(hooks), config_(config) {
    ++hooks_.alive;
  }
  ~HookedBackend() override {
    // The pointers outlive the backend.
    config_.logger->Info("leaving");
    config_.system->PerformanceStandby().IgnoreError();
    --hooks_.alive;
  }

  absl::Status Initialize(Storage& storage) override {
    return hooks_.initialize ? hooks_.initialize(storage) : absl::OkStatus();
  }
  Result HandleRequest(const Request& request) override {
    return hooks_.handle ? hooks_.handle(request) : Result(std::nullopt);
  }
  openbao::SpecialPaths Special() const override { return hooks_.special; }
  void InvalidateKey(std::string_view key) override {
    if (hooks_.invalidate) hooks_.invalidate(key);
  }

 private:
  Hooks& hooks_;
  const BackendConfig config_;
};

// A plugin with BackendService on its server, and the host on both sides of it: its calls go over
// one channel, and the storage it serves over another.
class BackendServiceTest : public ::testing::Test {
 protected:
  // A context of a call for a mount.
  static std::unique_ptr<grpc::ClientContext> For(const std::string& mount) {
    auto context = std::make_unique<grpc::ClientContext>();
    context->set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(60));
    if (!mount.empty()) context->AddMetadata("multiplex_id", mount);
    return context;
  }

  grpc::Status SetUpMount(const std::string& mount, std::uint32_t broker_id = 1) {
    pb::SetupArgs args;
    args.set_broker_id(broker_id);
    (*args.mutable_config())["option"] = "value";
    args.set_backenduuid("uuid-" + mount);
    setup_reply_.Clear();
    return stub_->Setup(For(mount).get(), args, &setup_reply_);
  }

  grpc::Status Initialize(const std::string& mount) {
    initialize_reply_.Clear();
    return stub_->Initialize(For(mount).get(), pb::InitializeArgs(), &initialize_reply_);
  }

  grpc::Status Handle(const std::string& mount, const pb::Request& request,
                      pb::HandleRequestReply& reply) {
    pb::HandleRequestArgs args;
    *args.mutable_request() = request;
    reply.Clear();
    return stub_->HandleRequest(For(mount).get(), args, &reply);
  }

  // A request with this body, to mount "m".
  pb::HandleRequestReply Send(std::string_view data) {
    pb::Request request;
    request.set_operation("update");
    request.set_path("p");
    request.set_data(data.data(), data.size());
    pb::HandleRequestReply reply;
    const grpc::Status status = Handle("m", request, reply);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return reply;
  }

  // Answers each request with {"path": its path, "data": its body}.
  void Echo() {
    hooks_.handle = [](const Request& request) -> Result {
      Response response;
      response.data["path"] = base::JsonText(request.path);
      response.data["data"] = request.data;
      return response;
    };
  }

  KeptLog log_;
  Hooks hooks_;
  std::map<std::uint32_t, ScriptedHost> hosts_;  // by broker id
  ScriptedHost& host_ = hosts_[1];
  absl::Status factory_result_;
  BackendConfig config_;
  int made_ = 0;
  BackendService service_{
      [this](const BackendConfig& config) -> absl::StatusOr<std::unique_ptr<Backend>> {
        ++made_;
        config_ = config;
        if (!factory_result_.ok()) return factory_result_;
        return std::make_unique<HookedBackend>(hooks_, config);
      },
      [this](std::uint32_t id) -> absl::StatusOr<goplugin::Connect> {
        const auto at = hosts_.find(id);
        if (at == hosts_.end()) return absl::DeadlineExceededError("the host said nothing");
        return at->second.connect();
      },
      log_};
  LocalServer server_{[this](goplugin::Calls& calls) { service_.Register(calls); }};
  std::unique_ptr<pb::Backend::Stub> stub_ = pb::Backend::NewStub(server_.channel());
  pb::SetupReply setup_reply_;
  pb::InitializeReply initialize_reply_;
};

TEST_F(BackendServiceTest, SetupGivesTheFactoryWhatTheHostSaid) {
  EXPECT_TRUE(SetUpMount("m").ok());
  EXPECT_EQ(setup_reply_.err(), "");
  EXPECT_EQ(made_, 1);
  EXPECT_THAT(config_.options, ElementsAre(Pair("option", "value")));
  EXPECT_EQ(config_.uuid, "uuid-m");
  EXPECT_EQ(config_.logger, &log_);
  host_.set_replication_state(1 << 14);
  EXPECT_THAT(config_.system->PerformanceStandby(), testing_support::IsOkAndHolds(true));
  // It may be a probe without storage.
  EXPECT_THAT(host_.calls(), ElementsAre("ReplicationState"));
}

TEST_F(BackendServiceTest, WithoutAServerToDialSetupFailsAndThereIsNoMount) {
  const grpc::Status status = SetUpMount("m", 9);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(status.error_message(), "the host said nothing");
  EXPECT_EQ(made_, 0);
  EXPECT_THAT(log_.lines(),
              ElementsAre("cannot reach the server for a new mount error=the host said nothing"));
  EXPECT_EQ(Initialize("m").error_code(), grpc::StatusCode::FAILED_PRECONDITION);
}

TEST_F(BackendServiceTest, WhenTheFactoryFailsSetupSaysWhyAndThereIsNoMount) {
  factory_result_ = absl::InvalidArgumentError("no such option");
  EXPECT_TRUE(SetUpMount("m").ok());
  EXPECT_EQ(setup_reply_.err(), "no such option");
  EXPECT_EQ(made_, 1);
  EXPECT_EQ(Initialize("m").error_code(), grpc::StatusCode::FAILED_PRECONDITION);
  factory_result_ = absl::OkStatus();
  EXPECT_TRUE(SetUpMount("m").ok());
  EXPECT_EQ(setup_reply_.err(), "");
  EXPECT_TRUE(Initialize("m").ok());
}

TEST_F(BackendServiceTest, BeforeSetupCallsOfAMountFail) {
  constexpr char kNone[] = "no backend was set up for this mount";
  pb::HandleRequestReply reply;
  for (const char* mount : {"m", ""}) {
    const grpc::Status handled = Handle(mount, pb::Request(), reply);
    EXPECT_EQ(handled.error_code(), grpc::StatusCode::FAILED_PRECONDITION);
    EXPECT_EQ(handled.error_message(), kNone);
    EXPECT_EQ(Initialize(mount).error_message(), kNone);
    pb::SpecialPathsReply paths;
    EXPECT_EQ(stub_->SpecialPaths(For(mount).get(), pb::Empty(), &paths).error_message(), kNone);
    pb::Empty empty;
    EXPECT_EQ(
        stub_->InvalidateKey(For(mount).get(), pb::InvalidateKeyArgs(), &empty).error_message(),
        kNone);
    EXPECT_TRUE(stub_->Cleanup(For(mount).get(), pb::Empty(), &empty).ok());
  }
  EXPECT_EQ(made_, 0);
}

TEST_F(BackendServiceTest, TypeAndExistenceNeedNoMount) {
  pb::TypeReply type;
  EXPECT_TRUE(stub_->Type(For("").get(), pb::Empty(), &type).ok());
  EXPECT_EQ(type.type(), 1U);
  pb::HandleExistenceCheckReply existence;
  EXPECT_TRUE(
      stub_->HandleExistenceCheck(For("m").get(), pb::HandleExistenceCheckArgs(), &existence).ok());
  EXPECT_FALSE(existence.check_found());
  EXPECT_FALSE(existence.exists());
  EXPECT_FALSE(existence.has_err());
}

TEST_F(BackendServiceTest, TheExistenceCheckTouchesNothing) {
  ASSERT_TRUE(SetUpMount("m").ok());
  pb::HandleExistenceCheckReply existence;
  EXPECT_TRUE(
      stub_->HandleExistenceCheck(For("m").get(), pb::HandleExistenceCheckArgs(), &existence).ok());
  EXPECT_THAT(host_.calls(), IsEmpty());
}

TEST_F(BackendServiceTest, InitializeHasTheStorageAndItsErrorIsInTheReply) {
  ASSERT_TRUE(SetUpMount("m").ok());
  hooks_.initialize = [](Storage& storage) { return storage.Put("k", base::SecretBytes("v")); };
  EXPECT_TRUE(Initialize("m").ok());
  EXPECT_FALSE(initialize_reply_.has_err());
  EXPECT_THAT(host_.content(), ElementsAre(Pair("k", "v")));
  hooks_.initialize = [](Storage&) { return absl::NotFoundError("nothing there"); };
  EXPECT_TRUE(Initialize("m").ok());
  EXPECT_EQ(initialize_reply_.err().err_type(), 0U);
  EXPECT_EQ(initialize_reply_.err().err_code(), 0);
  EXPECT_EQ(initialize_reply_.err().err_msg(), "nothing there");
}

TEST_F(BackendServiceTest, TheRequestArrivesWhole) {
  ASSERT_TRUE(SetUpMount("m").ok());
  pb::Request wire;
  wire.set_id("id-1");
  wire.set_operation("patch");
  wire.set_path("a/b");
  wire.set_data(R"({"n":3,"s":"x"})");
  wire.set_mount_point("mek/");
  wire.set_entity_id("entity-1");
  wire.set_display_name("token-x");
  wire.set_client_token("hashed");
  wire.set_client_token_accessor("accessor-1");
  wire.mutable_connection()->set_remote_addr("192.0.2.1");
  int handled = 0;
  hooks_.handle = [&](const Request& request) -> Result {
    ++handled;
    EXPECT_EQ(request.id, "id-1");
    EXPECT_EQ(request.operation, Operation::kPatch);
    EXPECT_EQ(request.path, "a/b");
    EXPECT_EQ(base::DumpJson(request.data)->view(), R"({"n":3,"s":"x"})");
    EXPECT_EQ(request.mount_point, "mek/");
    EXPECT_EQ(request.entity_id, "entity-1");
    EXPECT_EQ(request.display_name, "token-x");
    EXPECT_EQ(request.client_token_accessor, "accessor-1");
    EXPECT_EQ(request.remote_address, "192.0.2.1");
    EXPECT_FALSE(request.context->Cancelled());
    EXPECT_THAT(request.storage->Put("k", base::SecretBytes("v")), IsOk());
    return std::nullopt;
  };
  pb::HandleRequestReply reply;
  EXPECT_TRUE(Handle("m", wire, reply).ok());
  EXPECT_EQ(handled, 1);
  EXPECT_FALSE(reply.has_err());
  EXPECT_THAT(host_.calls(), ElementsAre("Put k"));
}

TEST_F(BackendServiceTest, AnOperationWeDontKnowStaysUnknown) {
  ASSERT_TRUE(SetUpMount("m").ok());
  pb::Request wire;
  wire.set_operation("resolve-path");
  wire.set_path("rotate");
  wire.set_data("null");
  hooks_.handle = [](const Request& request) -> Result {
    EXPECT_EQ(request.operation, Operation::kOther);
    return UnsupportedOperation();
  };
  pb::HandleRequestReply reply;
  EXPECT_TRUE(Handle("m", wire, reply).ok());
  EXPECT_EQ(reply.err().err_type(), 5U);
}

// "resolve-path" brings the body of the request that follows, which is parsed and refused there.
TEST_F(BackendServiceTest, TheBodyOfAnOperationWeDontKnowIsNotLookedAt) {
  ASSERT_TRUE(SetUpMount("m").ok());
  int handled = 0;
  hooks_.handle = [&](const Request& request) -> Result {
    ++handled;
    EXPECT_EQ(base::DumpJson(request.data)->view(), "{}");
    return UnsupportedOperation();
  };
  for (const char* body : {R"({"a":1})", "[]", R"({"a":"hunter2",})"}) {
    pb::Request wire;
    wire.set_operation("resolve-path");
    wire.set_path("rotate");
    wire.set_data(body);
    pb::HandleRequestReply reply;
    EXPECT_TRUE(Handle("m", wire, reply).ok());
    EXPECT_EQ(reply.err().err_type(), 5U) << body;
    EXPECT_FALSE(reply.has_response()) << body;
  }
  EXPECT_EQ(handled, 3);
}

TEST_F(BackendServiceTest, APathLosesTheSlashOfAListing) {
  ASSERT_TRUE(SetUpMount("m").ok());
  Echo();
  for (const auto& [given, taken] :
       {std::pair{"keys/", "keys"}, {"keys", "keys"}, {"a/b/", "a/b"}, {"", ""}, {"/", ""}}) {
    pb::Request wire;
    wire.set_operation("list");
    wire.set_path(given);
    pb::HandleRequestReply reply;
    EXPECT_TRUE(Handle("m", wire, reply).ok());
    EXPECT_EQ(reply.response().data(), base::Cat("{\"path\":\"", taken, "\",\"data\":{}}"));
  }
}

// The host's policies know "a" and "a/" as two paths: a rule on the one must not be passed by the
// other.
TEST_F(BackendServiceTest, AnyOtherPathKeepsItsSlash) {
  ASSERT_TRUE(SetUpMount("m").ok());
  Echo();
  for (const char* operation : {"read", "update", "patch", "delete"}) {
    pb::Request wire;
    wire.set_operation(operation);
    wire.set_path("data/x/");
    pb::HandleRequestReply reply;
    EXPECT_TRUE(Handle("m", wire, reply).ok());
    EXPECT_EQ(reply.response().data(), R"({"path":"data/x/","data":{}})") << operation;
  }
}

TEST_F(BackendServiceTest, ABodyThatIsEmptyOrNullHasNoParameters) {
  ASSERT_TRUE(SetUpMount("m").ok());
  Echo();
  for (std::string_view data : {"", "null", "{}", " null\n", " { } "}) {
    EXPECT_EQ(Send(data).response().data(), R"({"path":"p","data":{}})") << data;
  }
}

TEST_F(BackendServiceTest, ABodyThatIsNoObjectIsBadInput) {
  ASSERT_TRUE(SetUpMount("m").ok());
  hooks_.handle = [](const Request&) -> Result { throw std::logic_error("was called"); };
  constexpr std::string_view kNoObject = "the request's body: expected a JSON object";
  constexpr std::string_view kDeep = "the request's body: JSON nested deeper than 64 levels";
  const std::string deep =
      base::Cat(R"({"a":)", std::string(100'000, '['), std::string(100'000, ']'), "}");
  const std::string wide = [] {
    std::string text = "{";
    for (int i = 0; i < 257; ++i) text += base::Cat(i == 0 ? "" : ",", "\"", i, "\":0");
    return text + "}";
  }();
  const std::pair<std::string_view, std::string_view> kBodies[] = {
      {"[]", kNoObject},
      {R"(["hunter2"])", kNoObject},
      {R"("hunter2")", kNoObject},
      {"7", kNoObject},
      {"false", kNoObject},
      {"{", "the request's body: not valid JSON at byte 2"},
      {"nul", "the request's body: not valid JSON at byte 4"},
      {R"({"a":"hunter2",})", "the request's body: not valid JSON at byte 16"},
      {"{}{}", "the request's body: not valid JSON at byte 3"},
      {R"({"a":1,"a":2})", "the request's body: a JSON member stands twice in one object"},
      {deep, kDeep},
      {wide, "the request's body: a JSON object has more than 256 members"},
  };
  for (const auto& [data, message] : kBodies) {
    SCOPED_TRACE(data.substr(0, 20));
    const pb::HandleRequestReply reply = Send(data);
    EXPECT_EQ(reply.err().err_type(), 7U);
    EXPECT_EQ(reply.err().err_code(), 0);
    EXPECT_EQ(reply.err().err_msg(), "invalid request");
    EXPECT_EQ(reply.response().data(), base::Cat("{\"error\":\"", message, "\"}"));
  }
  EXPECT_THAT(host_.calls(), IsEmpty());
}

TEST_F(BackendServiceTest, ALargeBodyIsFine) {
  ASSERT_TRUE(SetUpMount("m").ok());
  Echo();
  const std::string large(8 << 20, 'x');
  const pb::HandleRequestReply reply = Send(base::Cat("{\"a\":\"", large, "\"}"));
  EXPECT_FALSE(reply.has_err());
  EXPECT_TRUE(reply.response().data() ==
              base::Cat("{\"path\":\"p\",\"data\":{\"a\":\"", large, "\"}}"));
}

TEST_F(BackendServiceTest, ALargeBodyOfGarbageIsBadInput) {
  ASSERT_TRUE(SetUpMount("m").ok());
  for (const char c : {'x', '{', '[', '"', '\0', ' '}) {
    EXPECT_EQ(Send(std::string(8 << 20, c)).err().err_type(), 7U) << c;
  }
}

TEST_F(BackendServiceTest, AnAnswerHasItsDataAndWarnings) {
  ASSERT_TRUE(SetUpMount("m").ok());
  hooks_.handle = [](const Request&) -> Result {
    Response response;
    response.data["z"] = 1;
    response.data["a"] = base::JsonText("\xc3\xa9");
    response.warnings = {"first", "second"};
    return response;
  };
  const pb::HandleRequestReply reply = Send("{}");
  EXPECT_FALSE(reply.has_err());
  EXPECT_EQ(reply.response().data(), "{\"z\":1,\"a\":\"\xc3\xa9\"}");
  EXPECT_THAT(reply.response().warnings(), ElementsAre("first", "second"));
}

// The host makes a read of nothing a 404.
TEST_F(BackendServiceTest, NoAnswerIsNeitherResponseNorError) {
  ASSERT_TRUE(SetUpMount("m").ok());
  const pb::HandleRequestReply reply = Send("{}");
  EXPECT_FALSE(reply.has_response());
  EXPECT_FALSE(reply.has_err());
}

TEST_F(BackendServiceTest, AnEmptyAnswerIsAResponse) {
  ASSERT_TRUE(SetUpMount("m").ok());
  hooks_.handle = [](const Request&) -> Result { return Response(); };
  const pb::HandleRequestReply reply = Send("{}");
  EXPECT_TRUE(reply.has_response());
  EXPECT_EQ(reply.response().data(), "{}");
  EXPECT_FALSE(reply.has_err());
}

TEST_F(BackendServiceTest, AnErrorIsInTheReplyWithoutData) {
  ASSERT_TRUE(SetUpMount("m").ok());
  hooks_.handle = [](const Request&) -> Result { return absl::FailedPreconditionError("not now"); };
  const pb::HandleRequestReply conflict = Send("{}");
  EXPECT_EQ(conflict.err().err_type(), 3U);
  EXPECT_EQ(conflict.err().err_code(), 409);
  EXPECT_EQ(conflict.err().err_msg(), "not now");
  EXPECT_FALSE(conflict.has_response());

  hooks_.handle = [](const Request&) -> Result { return ReadOnlyStorage(); };
  const pb::HandleRequestReply forwarded = Send("{}");
  EXPECT_EQ(forwarded.err().err_type(), 0U);
  EXPECT_EQ(forwarded.err().err_msg(), "cannot write to readonly storage");
  EXPECT_FALSE(forwarded.has_response());
}

TEST_F(BackendServiceTest, AnAnswerThatIsNotUtf8IsAServerErrorWithoutWarnings) {
  ASSERT_TRUE(SetUpMount("m").ok());
  hooks_.handle = [](const Request&) -> Result {
    Response response;
    response.data["a"] = base::JsonText("hunter2\xff");
    response.warnings = {"w"};
    return response;
  };
  const pb::HandleRequestReply reply = Send("{}");
  EXPECT_EQ(reply.err().err_code(), 500);
  EXPECT_THAT(reply.err().err_msg(), Not(HasSubstr("hunter2")));
  EXPECT_FALSE(reply.has_response());
}

TEST_F(BackendServiceTest, AHandlersExceptionIsAServerErrorWithoutItsText) {
  ASSERT_TRUE(SetUpMount("m").ok());
  hooks_.handle = [](const Request&) -> Result { throw std::runtime_error("hunter2"); };
  const pb::HandleRequestReply reply = Send("{}");
  EXPECT_EQ(reply.err().err_type(), 3U);
  EXPECT_EQ(reply.err().err_code(), 500);
  EXPECT_EQ(reply.err().err_msg(),
            "the plugin failed on this request; this is a defect, please report it");
  EXPECT_FALSE(reply.has_response());
  Echo();
  EXPECT_FALSE(Send("{}").has_err());
}

TEST_F(BackendServiceTest, AHandlersExceptionIsLoggedByItsType) {
  ASSERT_TRUE(SetUpMount("m").ok());
  hooks_.handle = [](const Request&) -> Result { throw std::runtime_error("hunter2"); };
  pb::Request wire;
  wire.set_operation("patch");
  wire.set_path("hunter2");
  wire.set_mount_point("counters/");
  pb::HandleRequestReply reply;
  EXPECT_TRUE(Handle("m", wire, reply).ok());
  EXPECT_THAT(log_.lines(),
              ElementsAre(base::Cat("a handler threw an exception; this is a defect, please report "
                                    "it exception=",
                                    typeid(std::runtime_error).name(),
                                    " operation=patch mount=counters/")));
}

TEST_F(BackendServiceTest, AnExceptionElsewhereFailsThatCallOnly) {
  ASSERT_TRUE(SetUpMount("m").ok());
  hooks_.initialize = [](Storage&) -> absl::Status { throw std::runtime_error("hunter2"); };
  const grpc::Status status = Initialize("m");
  EXPECT_FALSE(status.ok());
  EXPECT_THAT(status.error_message(), Not(HasSubstr("hunter2")));
  hooks_.initialize = nullptr;
  EXPECT_TRUE(Initialize("m").ok());
}

TEST_F(BackendServiceTest, SpecialPathsAreTheBackends) {
  ASSERT_TRUE(SetUpMount("m").ok());
  hooks_.special = {.root = {"config", "keys/*"},
                    .unauthenticated = {"open"},
                    .local_storage = {"local/"},
                    .seal_wrap_storage = {"versions/", "archive/"}};
  pb::SpecialPathsReply reply;
  EXPECT_TRUE(stub_->SpecialPaths(For("m").get(), pb::Empty(), &reply).ok());
  EXPECT_THAT(reply.paths().root(), ElementsAre("config", "keys/*"));
  EXPECT_THAT(reply.paths().unauthenticated(), ElementsAre("open"));
  EXPECT_THAT(reply.paths().local_storage(), ElementsAre("local/"));
  EXPECT_THAT(reply.paths().seal_wrap_storage(), ElementsAre("versions/", "archive/"));
  EXPECT_THAT(reply.paths().write_forwarded_storage(), IsEmpty());
}

TEST_F(BackendServiceTest, AnInvalidationIsPassedOn) {
  ASSERT_TRUE(SetUpMount("m").ok());
  std::string invalidated;
  hooks_.invalidate = [&](std::string_view key) { invalidated = key; };
  pb::InvalidateKeyArgs args;
  args.set_key("versions/3");
  pb::Empty empty;
  EXPECT_TRUE(stub_->InvalidateKey(For("m").get(), args, &empty).ok());
  EXPECT_EQ(invalidated, "versions/3");
}

TEST_F(BackendServiceTest, MountsAreToldApartByTheirMultiplexId) {
  ASSERT_TRUE(SetUpMount("a", 1).ok());
  hosts_[2].set_transactional(false);
  ASSERT_TRUE(SetUpMount("b", 2).ok());
  EXPECT_EQ(hooks_.alive, 2);
  hooks_.handle = [](const Request& request) -> Result {
    EXPECT_THAT(request.storage->Put(request.path, base::SecretBytes("x")), IsOk());
    Response response;
    response.data["transactional"] = *request.storage->IsTransactional();
    return response;
  };
  pb::Request wire;
  pb::HandleRequestReply reply;
  wire.set_path("from-a");
  EXPECT_TRUE(Handle("a", wire, reply).ok());
  EXPECT_EQ(reply.response().data(), R"({"transactional":true})");
  wire.set_path("from-b");
  EXPECT_TRUE(Handle("b", wire, reply).ok());
  EXPECT_EQ(reply.response().data(), R"({"transactional":false})");
  EXPECT_THAT(hosts_[1].content(), ElementsAre(Pair("from-a", "x")));
  EXPECT_THAT(hosts_[2].content(), ElementsAre(Pair("from-b", "x")));

  pb::Empty empty;
  EXPECT_TRUE(stub_->Cleanup(For("a").get(), pb::Empty(), &empty).ok());
  EXPECT_EQ(hooks_.alive, 1);
  EXPECT_EQ(Handle("a", wire, reply).error_code(), grpc::StatusCode::FAILED_PRECONDITION);
  EXPECT_TRUE(Handle("b", wire, reply).ok());
  EXPECT_EQ(Handle("c", wire, reply).error_code(), grpc::StatusCode::FAILED_PRECONDITION);
}

TEST_F(BackendServiceTest, AMountSetUpAgainIsANewOne) {
  ASSERT_TRUE(SetUpMount("m", 1).ok());
  hosts_[2].Set("k", "second");
  ASSERT_TRUE(SetUpMount("m", 2).ok());
  EXPECT_EQ(made_, 2);
  EXPECT_EQ(hooks_.alive, 1);
  hooks_.handle = [](const Request& request) -> Result {
    Response response;
    response.data["k"] = base::JsonText((*request.storage->Get("k"))->view());
    return response;
  };
  EXPECT_EQ(Send("{}").response().data(), R"({"k":"second"})");
}

TEST_F(BackendServiceTest, TransactionsAreAskedForOnceAMount) {
  ASSERT_TRUE(SetUpMount("m").ok());
  hooks_.handle = [](const Request& request) -> Result {
    EXPECT_THAT(request.storage->IsTransactional(), testing_support::IsOkAndHolds(true));
    return std::nullopt;
  };
  for (int i = 0; i < 3; ++i) Send("{}");
  EXPECT_EQ(host_.Count("IsTransactional"), 1);
}

TEST_F(BackendServiceTest, AMountCleanedUpLivesUntilItsLastCallEnds) {
  ASSERT_TRUE(SetUpMount("m").ok());
  absl::Notification running;
  absl::Notification go_on;
  absl::Status used;
  hooks_.handle = [&](const Request& request) -> Result {
    running.Notify();
    go_on.WaitForNotificationWithTimeout(kPatience);
    used = request.storage->Put("k", base::SecretBytes("v"));
    return Response();
  };
  std::thread caller([&] {
    const pb::HandleRequestReply reply = Send("{}");
    EXPECT_FALSE(reply.has_err());
    EXPECT_EQ(reply.response().data(), "{}");
  });
  ASSERT_TRUE(running.WaitForNotificationWithTimeout(kPatience));
  pb::Empty empty;
  EXPECT_TRUE(stub_->Cleanup(For("m").get(), pb::Empty(), &empty).ok());
  EXPECT_EQ(hooks_.alive, 1);
  EXPECT_EQ(Initialize("m").error_code(), grpc::StatusCode::FAILED_PRECONDITION);
  go_on.Notify();
  caller.join();
  EXPECT_THAT(used, IsOk());
  EXPECT_THAT(host_.content(), ElementsAre(Pair("k", "v")));
  EXPECT_TRUE(Eventually([&] { return hooks_.alive == 0; }));
}

// A mount that is slow to go must not hold up the others.
TEST_F(BackendServiceTest, OtherMountsAreServedWhileOneIsCleanedUp) {
  ASSERT_TRUE(SetUpMount("slow", 1).ok());
  hosts_[2];
  ASSERT_TRUE(SetUpMount("m", 2).ok());
  Echo();
  absl::Notification leaving;
  absl::Notification go_on;
  // Its destructor asks the host.
  host_.Once("ReplicationState", {.before = [&](grpc::ServerContext&) {
               leaving.Notify();
               go_on.WaitForNotificationWithTimeout(absl::Seconds(5));
             }});
  std::thread cleaner([&] {
    pb::Empty empty;
    EXPECT_TRUE(stub_->Cleanup(For("slow").get(), pb::Empty(), &empty).ok());
  });
  ASSERT_TRUE(leaving.WaitForNotificationWithTimeout(kPatience));
  EXPECT_FALSE(Send("{}").has_err());
  EXPECT_FALSE(go_on.HasBeenNotified());
  EXPECT_EQ(hooks_.alive, 2);
  go_on.Notify();
  cleaner.join();
  EXPECT_EQ(hooks_.alive, 1);
}

// One request whose caller leaves while the host is busy with a call of its storage.
class CallerLeavesTest : public BackendServiceTest {
 protected:
  // Makes the request, whose handler makes `call`; leaves once the host is in `name`. The host goes
  // on when it sees the call cancelled or after `host_waits`.
  void Run(const std::string& name, absl::Duration host_waits,
           std::function<absl::Status(TransactionalStorage&)> call) {
    ASSERT_TRUE(SetUpMount("m").ok());
    host_.Once(name, {.before = [&, host_waits](grpc::ServerContext& context) {
                 in_call_.Notify();
                 const absl::Time end = absl::Now() + host_waits;
                 while (absl::Now() < end && !context.IsCancelled()) {
                   absl::SleepFor(absl::Milliseconds(2));
                 }
                 host_saw_cancelled_ = context.IsCancelled();
                 host_done_.Notify();
               }});
    hooks_.handle = [&](const Request& request) -> Result {
      result_ = call(*request.storage);
      saw_cancelled_ = Eventually([&] { return request.context->Cancelled(); });
      handled_.Notify();
      return Response();
    };
    const auto context = For("m");
    grpc::Status status;
    std::thread caller([&] {
      pb::HandleRequestReply reply;
      status = stub_->HandleRequest(context.get(), pb::HandleRequestArgs(), &reply);
    });
    EXPECT_TRUE(in_call_.WaitForNotificationWithTimeout(kPatience));
    context->TryCancel();
    caller.join();
    EXPECT_EQ(status.error_code(), grpc::StatusCode::CANCELLED);
    ASSERT_TRUE(handled_.WaitForNotificationWithTimeout(2 * kPatience));
    EXPECT_TRUE(saw_cancelled_);
    ASSERT_TRUE(host_done_.WaitForNotificationWithTimeout(2 * kPatience));
  }

  absl::Notification in_call_;
  absl::Notification handled_;
  absl::Notification host_done_;
  absl::Status result_;
  std::atomic<bool> saw_cancelled_ = false;
  std::atomic<bool> host_saw_cancelled_ = false;
};

TEST_F(CallerLeavesTest, AReadEndsWithItsRequest) {
  Run("Get", kPatience, [](TransactionalStorage& storage) { return storage.Get("k").status(); });
  EXPECT_THAT(result_, StatusIs(absl::StatusCode::kUnavailable, HasSubstr("read: no answer")));
  EXPECT_TRUE(host_saw_cancelled_);
}

TEST_F(CallerLeavesTest, AListEndsWithItsRequest) {
  Run("List", kPatience, [](TransactionalStorage& storage) { return storage.List("k/").status(); });
  EXPECT_THAT(result_, StatusIs(absl::StatusCode::kUnavailable, HasSubstr("list: no answer")));
  EXPECT_TRUE(host_saw_cancelled_);
}

TEST_F(CallerLeavesTest, AReadInATransactionEndsWithItsRequestAndTheTransactionIsRolledBack) {
  Run("Get", kPatience, [](TransactionalStorage& storage) {
    return RunInTransaction(storage, [](Storage& inside) { return inside.Get("k").status(); });
  });
  EXPECT_THAT(result_, StatusIs(absl::StatusCode::kUnavailable, HasSubstr("read: no answer")));
  EXPECT_THAT(host_.calls(),
              ElementsAre("IsTransactional", "BeginTx", "Get k in t1", "Rollback in t1"));
}

TEST_F(CallerLeavesTest, AWriteWaitsForItsOutcome) {
  Run("Put", absl::Milliseconds(300),
      [](TransactionalStorage& storage) { return storage.Put("k", base::SecretBytes("v")); });
  EXPECT_THAT(result_, IsOk());
  EXPECT_FALSE(host_saw_cancelled_);
  EXPECT_THAT(host_.content(), ElementsAre(Pair("k", "v")));
}

TEST_F(CallerLeavesTest, ADeleteWaitsForItsOutcome) {
  host_.Set("k", "v");
  Run("Delete", absl::Milliseconds(300),
      [](TransactionalStorage& storage) { return storage.Delete("k"); });
  EXPECT_THAT(result_, IsOk());
  EXPECT_FALSE(host_saw_cancelled_);
  EXPECT_THAT(host_.content(), IsEmpty());
}

TEST_F(CallerLeavesTest, ACommitWaitsForItsOutcome) {
  Run("Commit", absl::Milliseconds(300), [](TransactionalStorage& storage) {
    return RunInTransaction(
        storage, [](Storage& inside) { return inside.Put("k", base::SecretBytes("v")); });
  });
  EXPECT_THAT(result_, IsOk());
  EXPECT_FALSE(host_saw_cancelled_);
  EXPECT_EQ(host_.Count("Rollback"), 0);
}

TEST_F(BackendServiceTest, AReadHasTheDeadlineOfItsRequestAndAWriteHasNot) {
  ASSERT_TRUE(SetUpMount("m").ok());
  absl::Duration read_left;
  absl::Duration write_left;
  host_.Once("Get", {.before = [&](grpc::ServerContext& context) {
               read_left = absl::FromChrono(context.deadline()) - absl::Now();
             }});
  host_.Once("Put", {.before = [&](grpc::ServerContext& context) {
               write_left = absl::FromChrono(context.deadline()) - absl::Now();
             }});
  hooks_.handle = [](const Request& request) -> Result {
    EXPECT_THAT(request.storage->Get("k"), IsOk());
    EXPECT_THAT(request.storage->Put("k", base::SecretBytes("v")), IsOk());
    return std::nullopt;
  };
  const auto context = For("m");
  context->set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(10));
  pb::HandleRequestReply reply;
  EXPECT_TRUE(stub_->HandleRequest(context.get(), pb::HandleRequestArgs(), &reply).ok());
  // gRPC rounds deadlines.
  EXPECT_LE(read_left, absl::Seconds(11));
  EXPECT_GT(read_left, absl::ZeroDuration());
  EXPECT_GT(write_left, absl::Seconds(50));
}

}  // namespace
}  // namespace openbao
