// Calls and the threads behind them, on a server without TLS. Its methods are those of the health
// service, as that needs no more than a text.
#include "goplugin/calls.h"

#include <gmock/gmock.h>
#include <grpcpp/alarm.h>
#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/impl/client_unary_call.h>
#include <gtest/gtest.h>
#include <pthread.h>

#include <filesystem>
#include <future>
#include <memory>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "base/turn.h"
#include "goplugin/health.grpc.pb.h"
#include "unit/goplugin/host.h"

namespace goplugin {
namespace {

using grpc::health::v1::Health;
using grpc::health::v1::HealthCheckRequest;
using grpc::health::v1::HealthCheckResponse;
using ::testing::SizeIs;

constexpr absl::Duration kPatience = absl::Seconds(4);

// A call that waits for its test.
struct Gate {
  absl::Notification reached;
  absl::Notification open;
  // Whether it was opened in time.
  bool Pass() {
    reached.Notify();
    return open.WaitForNotificationWithTimeout(kPatience);
  }
};

// Another server, whose answers take as long as its gate is shut.
class SlowServer final : public Health::Service {
 public:
  SlowServer() {
    grpc::ServerBuilder builder;
    builder.AddListeningPort(Address(), grpc::InsecureServerCredentials());
    builder.RegisterService(this);
    server_ = builder.BuildAndStart();
    stub_ = Health::NewStub(grpc::CreateChannel(Address(), grpc::InsecureChannelCredentials()));
  }

  grpc::Status Check(grpc::ServerContext*, const HealthCheckRequest* request,
                     HealthCheckResponse*) override {
    if (request->service() == "fails") return {grpc::StatusCode::NOT_FOUND, "no such thing"};
    if (request->service() == "waits" && !gate.Pass()) return grpc::Status::CANCELLED;
    return grpc::Status::OK;
  }

  // What a handler calls.
  grpc::Status Call(const std::string& what) {
    grpc::ClientContext context;
    context.set_deadline(Soon());
    HealthCheckRequest request;
    request.set_service(what);
    HealthCheckResponse response;
    return CallAndWait(*stub_, &Health::StubInterface::Check, &Health::StubInterface::AsyncCheck,
                       context, request, response);
  }

  Gate gate;

 private:
  std::string Address() const { return absl::StrCat("unix:", directory_.path(), "/slow"); }

  const TemporaryDirectory directory_;
  std::unique_ptr<grpc::Server> server_;
  std::unique_ptr<Health::StubInterface> stub_;
};

class CallsTest : public ::testing::Test {
 protected:
  using Handler = std::function<grpc::Status(const std::string& what, grpc::ServerContext&)>;

  // From a handler that is slow only because the machine is, no turn is taken away.
  explicit CallsTest(absl::Duration keeps_turn = absl::Hours(1)) {
    KeepGrpc();
    const std::string address = absl::StrCat("unix:", directory_.path(), "/calls");
    grpc::ServerBuilder builder;
    builder.AddListeningPort(address, grpc::InsecureServerCredentials());
    calls_ = std::make_unique<Calls>(
        builder, QueuePatience{.keeps_turn = keeps_turn, .longest_nap = keeps_turn});
    calls_->Answer(calls_->Add<Health::AsyncService>(), &Health::AsyncService::RequestCheck,
                   [this](grpc::ServerContext* context, const HealthCheckRequest* request,
                          HealthCheckResponse* response) {
                     {
                       absl::MutexLock lock(&mutex_);
                       threads_.insert(std::this_thread::get_id());
                     }
                     response->set_status(HealthCheckResponse::SERVING);
                     return handler_ ? handler_(request->service(), *context) : grpc::Status::OK;
                   });
    server_ = builder.BuildAndStart();
    if (!calls_->Start()) std::abort();
    stub_ = Health::NewStub(grpc::CreateChannel(address, grpc::InsecureChannelCredentials()));
  }
  ~CallsTest() override { Stop(); }

  void Stop() {
    if (server_ == nullptr) return;
    server_->Shutdown(std::chrono::system_clock::now());
    calls_->Stop();
    server_.reset();
  }

  grpc::Status Call(const std::string& what, grpc::ClientContext& context) {
    context.set_deadline(Soon());
    HealthCheckRequest request;
    request.set_service(what);
    HealthCheckResponse response;
    grpc::Status status = stub_->Check(&context, request, &response);
    EXPECT_TRUE(!status.ok() || response.status() == HealthCheckResponse::SERVING);
    return status;
  }
  grpc::Status Call(const std::string& what) {
    grpc::ClientContext context;
    return Call(what, context);
  }
  std::future<grpc::Status> CallMeanwhile(const std::string& what) {
    return std::async(std::launch::async, [this, what] { return Call(what); });
  }

  // Those that have handled calls since the last time.
  std::set<std::thread::id> Threads() {
    absl::MutexLock lock(&mutex_);
    return std::exchange(threads_, {});
  }

  const TemporaryDirectory directory_;
  Handler handler_;
  SlowServer other_;
  std::unique_ptr<Calls> calls_;
  std::unique_ptr<grpc::Server> server_;
  std::unique_ptr<Health::Stub> stub_;
  absl::Mutex mutex_;
  std::set<std::thread::id> threads_ ABSL_GUARDED_BY(mutex_);
};

TEST_F(CallsTest, OneThreadAnswersQuickCalls) {
  for (int i = 0; i < 20; ++i) EXPECT_TRUE(Call("").ok());
  EXPECT_THAT(Threads(), SizeIs(1));
}

TEST_F(CallsTest, GivesTheHandlersStatusAndText) {
  handler_ = [](const std::string& what, grpc::ServerContext&) {
    return grpc::Status(grpc::StatusCode::NOT_FOUND, "no " + what);
  };
  const grpc::Status status = Call("thing");
  EXPECT_EQ(status.error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(status.error_message(), "no thing");
}

TEST_F(CallsTest, AnExceptionFailsTheCallAndIsNotShown) {
  handler_ = [](const std::string&, grpc::ServerContext&) -> grpc::Status {
    throw std::runtime_error("hunter2");
  };
  const grpc::Status status = Call("");
  EXPECT_EQ(status.error_code(), grpc::StatusCode::UNKNOWN);
  EXPECT_EQ(status.error_message(), "the plugin failed on this call");
  handler_ = nullptr;
  EXPECT_TRUE(Call("").ok());
}

TEST_F(CallsTest, AMethodThatIsNotThereIsUnimplemented) {
  grpc::ClientContext context;
  context.set_deadline(Soon());
  const grpc::internal::RpcMethod watch("/grpc.health.v1.Health/Watch",
                                        grpc::internal::RpcMethod::NORMAL_RPC);
  HealthCheckResponse response;
  const auto channel = grpc::CreateChannel(absl::StrCat("unix:", directory_.path(), "/calls"),
                                           grpc::InsecureChannelCredentials());
  const grpc::Status status =
      grpc::internal::BlockingUnaryCall<HealthCheckRequest, HealthCheckResponse,
                                        google::protobuf::MessageLite,
                                        google::protobuf::MessageLite>(
          channel.get(), watch, &context, HealthCheckRequest(), &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::UNIMPLEMENTED);
}

TEST_F(CallsTest, AHandlerThatPassesTheTurnOnHoldsUpNobody) {
  Gate gate;
  handler_ = [&](const std::string& what, grpc::ServerContext&) {
    if (what != "waits") return grpc::Status::OK;
    base::PassTurnOnFor(1 << 20);
    base::PassTurnOn();  // has no effect
    return gate.Pass() ? grpc::Status::OK : grpc::Status::CANCELLED;
  };
  auto waits = CallMeanwhile("waits");
  gate.reached.WaitForNotification();
  for (int i = 0; i < 20; ++i) EXPECT_TRUE(Call("").ok());
  gate.open.Notify();
  EXPECT_TRUE(waits.get().ok());
  EXPECT_THAT(Threads(), SizeIs(2));
}

TEST_F(CallsTest, ForLittleTextTheTurnIsKept) {
  handler_ = [](const std::string&, grpc::ServerContext&) {
    base::PassTurnOnFor(1 << 10);
    return grpc::Status::OK;
  };
  for (int i = 0; i < 20; ++i) EXPECT_TRUE(Call("").ok());
  EXPECT_THAT(Threads(), SizeIs(1));
}

TEST_F(CallsTest, ACallToAnotherServerWakesNoThread) {
  handler_ = [&](const std::string&, grpc::ServerContext&) { return other_.Call(""); };
  for (int i = 0; i < 20; ++i) EXPECT_TRUE(Call("").ok());
  EXPECT_THAT(Threads(), SizeIs(1));
}

TEST_F(CallsTest, ACallToAnotherServerFailsAsItDoes) {
  handler_ = [&](const std::string&, grpc::ServerContext&) { return other_.Call("fails"); };
  const grpc::Status status = Call("");
  EXPECT_EQ(status.error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(status.error_message(), "no such thing");
}

// A server that ends each call as if it had answered.
class MuteServer {
 public:
  MuteServer() {
    grpc::ServerBuilder builder;
    builder.RegisterCallbackGenericService(&service_);
    server_ = builder.BuildAndStart();
    stub_ = Health::NewStub(server_->InProcessChannel({}));
  }
  ~MuteServer() { server_->Shutdown(); }

  grpc::Status Call() {
    grpc::ClientContext context;
    context.set_deadline(Soon());
    HealthCheckResponse response;
    return CallAndWait(*stub_, &Health::StubInterface::Check, &Health::StubInterface::AsyncCheck,
                       context, HealthCheckRequest(), response);
  }

 private:
  struct Reactor final : grpc::ServerGenericBidiReactor {
    Reactor() { Finish(grpc::Status::OK); }
    void OnDone() override { delete this; }
  };
  struct Service final : grpc::CallbackGenericService {
    grpc::ServerGenericBidiReactor* CreateReactor(grpc::GenericCallbackServerContext*) override {
      return new Reactor();
    }
  };

  Service service_;
  std::unique_ptr<grpc::Server> server_;
  std::unique_ptr<Health::StubInterface> stub_;
};

TEST_F(CallsTest, ACallThatIsOverWithoutAReplyHasFailed) {
  MuteServer mute;
  EXPECT_FALSE(mute.Call().ok());
  handler_ = [&](const std::string&, grpc::ServerContext&) { return mute.Call(); };
  EXPECT_EQ(Call("").error_code(), grpc::StatusCode::INTERNAL);
}

TEST_F(CallsTest, WhileOneCallsAnotherServerOthersAreAnswered) {
  handler_ = [&](const std::string& what, grpc::ServerContext&) {
    return what == "waits" ? other_.Call(what) : grpc::Status::OK;
  };
  auto waits = CallMeanwhile("waits");
  other_.gate.reached.WaitForNotification();
  for (int i = 0; i < 20; ++i) EXPECT_TRUE(Call("").ok());
  other_.gate.open.Notify();
  EXPECT_TRUE(waits.get().ok());
  EXPECT_THAT(Threads(), SizeIs(2));
}

TEST_F(CallsTest, ManyCallAnotherServerAtTheSameTime) {
  handler_ = [&](const std::string&, grpc::ServerContext&) { return other_.Call(""); };
  std::vector<std::future<void>> callers;
  callers.reserve(16);
  for (int i = 0; i < 16; ++i) {
    callers.push_back(std::async(std::launch::async, [this] {
      for (int k = 0; k < 50; ++k) EXPECT_TRUE(Call("").ok());
    }));
  }
  for (auto& caller : callers) caller.get();
}

class WatchedCallsTest : public CallsTest {
 protected:
  WatchedCallsTest() : CallsTest(absl::Milliseconds(20)) {}
};

// The rule is broken: it waits, and keeps the turn.
TEST_F(WatchedCallsTest, FromAHandlerThatKeepsItTheTurnIsTakenAway) {
  Gate gate;
  handler_ = [&](const std::string& what, grpc::ServerContext&) {
    return what != "waits" || gate.Pass() ? grpc::Status::OK : grpc::Status::CANCELLED;
  };
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(Call("").ok());
  auto waits = CallMeanwhile("waits");
  gate.reached.WaitForNotification();
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(Call("").ok());
  gate.open.Notify();
  EXPECT_TRUE(waits.get().ok());
}

// Here it keeps it while it waits for what another handler holds, which waits for a reply that
// comes to the queue.
TEST_F(WatchedCallsTest, WhoeverWaitsWithTheTurnForOneThatCallsIsNotWaitedForForEver) {
  absl::Mutex held;
  absl::Notification wants;
  handler_ = [&](const std::string& what, grpc::ServerContext&) {
    if (what == "waits") {
      absl::MutexLock lock(&held);
      return other_.Call("waits");
    }
    wants.Notify();
    absl::MutexLock lock(&held);
    return grpc::Status::OK;
  };
  auto waits = CallMeanwhile("waits");
  other_.gate.reached.WaitForNotification();
  auto wants_it_too = CallMeanwhile("wants it too");
  wants.WaitForNotification();
  other_.gate.open.Notify();
  EXPECT_TRUE(waits.get().ok());
  EXPECT_TRUE(wants_it_too.get().ok());
}

TEST_F(CallsTest, AHandlerSeesThatItsCallerHasGone) {
  std::promise<bool> seen;
  absl::Notification began;
  handler_ = [&](const std::string&, grpc::ServerContext& context) {
    base::PassTurnOn();
    began.Notify();
    const absl::Time end = absl::Now() + kPatience;
    while (!context.IsCancelled() && absl::Now() < end) absl::SleepFor(absl::Milliseconds(1));
    seen.set_value(context.IsCancelled());
    return grpc::Status::OK;
  };
  grpc::ClientContext context;
  auto call = std::async(std::launch::async, [&] { return Call("", context); });
  began.WaitForNotification();
  context.TryCancel();
  EXPECT_EQ(call.get().error_code(), grpc::StatusCode::CANCELLED);
  EXPECT_TRUE(seen.get_future().get());
}

TEST_F(CallsTest, StopWaitsForTheHandlers) {
  Gate gate;
  handler_ = [&](const std::string&, grpc::ServerContext&) {
    base::PassTurnOn();
    return gate.Pass() ? grpc::Status::OK : grpc::Status::CANCELLED;
  };
  auto call = CallMeanwhile("");
  gate.reached.WaitForNotification();
  auto stopped = std::async(std::launch::async, [this] { Stop(); });
  EXPECT_EQ(call.get().error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(stopped.wait_for(std::chrono::milliseconds(20)), std::future_status::timeout);
  gate.open.Notify();
  stopped.get();
}

// While it lives no thread can be started: none has room for so large a stack.
class NoMoreThreads {
 public:
  NoMoreThreads() {
    pthread_getattr_default_np(&before_);
    pthread_attr_t huge;
    pthread_attr_init(&huge);
    pthread_attr_setstacksize(&huge, std::size_t{1} << 47);
    pthread_setattr_default_np(&huge);
  }
  NoMoreThreads(const NoMoreThreads&) = delete;
  NoMoreThreads& operator=(const NoMoreThreads&) = delete;
  ~NoMoreThreads() { pthread_setattr_default_np(&before_); }

 private:
  pthread_attr_t before_;
};

TEST_F(CallsTest, WithoutAnotherThreadCallsWaitForEachOther) {
  std::optional<NoMoreThreads> none;
  absl::Notification passed;
  handler_ = [&](const std::string& what, grpc::ServerContext&) {
    if (what == "passes") {
      base::PassTurnOn();
      passed.Notify();
    }
    return what == "calls" ? other_.Call("waits") : grpc::Status::OK;
  };
  none.emplace();
  EXPECT_TRUE(Call("passes").ok());
  EXPECT_TRUE(passed.HasBeenNotified());
  EXPECT_TRUE(Call("").ok());
  // One that waits at the queue keeps what else comes there for later.
  none.reset();
  auto calls = CallMeanwhile("calls");
  other_.gate.reached.WaitForNotification();
  auto waits = std::async(std::launch::async, [&] { return Call(""); });
  none.emplace();
  other_.gate.open.Notify();
  EXPECT_TRUE(calls.get().ok());
  EXPECT_TRUE(waits.get().ok());
}

// One that waits for a reply gets it even if another one waits for it with the turn, and no third
// thread can be started.
TEST_F(WatchedCallsTest, WithoutAnotherThreadRepliesComeAllTheSame) {
  std::optional<NoMoreThreads> none;
  absl::Mutex held;
  Gate spare;
  absl::Notification wants;
  std::promise<grpc::Status> got;
  handler_ = [&](const std::string& what, grpc::ServerContext&) {
    if (what == "spare") {
      base::PassTurnOn();
      spare.Pass();
    } else if (what == "holds") {
      absl::MutexLock lock(&held);
      got.set_value(other_.Call("waits"));
    } else if (what == "wants") {
      wants.Notify();
      base::PassTurnOn();
      absl::MutexLock lock(&held);
    }
    return grpc::Status::OK;
  };
  // So that there are two threads.
  auto spares = CallMeanwhile("spare");
  spare.reached.WaitForNotification();
  spare.open.Notify();
  EXPECT_TRUE(spares.get().ok());
  auto holds = CallMeanwhile("holds");
  other_.gate.reached.WaitForNotification();
  auto wanting = CallMeanwhile("wants");
  none.emplace();
  wants.WaitForNotification();
  other_.gate.open.Notify();
  EXPECT_TRUE(got.get_future().get().ok());
  none.reset();
  EXPECT_TRUE(holds.get().ok());
  EXPECT_TRUE(wanting.get().ok());
}

TEST(CallsWithoutThreads, DoNotStart) {
  KeepGrpc();
  grpc::ServerBuilder builder;
  Calls calls(builder);
  calls.Answer(calls.Add<Health::AsyncService>(), &Health::AsyncService::RequestCheck,
               [](grpc::ServerContext*, const HealthCheckRequest*, HealthCheckResponse*) {
                 return grpc::Status::OK;
               });
  const std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  {
    const NoMoreThreads none;
    EXPECT_FALSE(calls.Start());
  }
  server->Shutdown();
  calls.Stop();
}

// A call that comes while the server is being shut down is either answered or fails, and so does
// what its handler calls.
TEST(CallsThatCome, WhileTheServerStopsEndInOrder) {
  KeepGrpc();
  const TemporaryDirectory directory;
  const std::string address = absl::StrCat("unix:", directory.path(), "/stops");
  SlowServer other;
  for (int round = 0; round < 100; ++round) {
    grpc::ServerBuilder builder;
    builder.AddListeningPort(address, grpc::InsecureServerCredentials());
    Calls calls(builder);
    calls.Answer(calls.Add<Health::AsyncService>(), &Health::AsyncService::RequestCheck,
                 [&](grpc::ServerContext*, const HealthCheckRequest*, HealthCheckResponse*) {
                   return other.Call("");
                 });
    const std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
    ASSERT_TRUE(calls.Start());
    std::atomic<bool> stop = false;
    std::vector<std::thread> callers;
    callers.reserve(6);
    for (int i = 0; i < 6; ++i) {
      callers.emplace_back([&] {
        grpc::ChannelArguments arguments;
        arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
        const auto stub = Health::NewStub(
            grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(), arguments));
        while (!stop) {
          grpc::ClientContext context;
          context.set_deadline(Soon());
          HealthCheckResponse response;
          if (!stub->Check(&context, HealthCheckRequest(), &response).ok()) break;
        }
      });
    }
    absl::SleepFor(absl::Microseconds(2000 + 37 * round));
    server->Shutdown(std::chrono::system_clock::now());
    calls.Stop();
    stop = true;
    for (std::thread& caller : callers) caller.join();
  }
}

std::size_t ThreadsOfThisProcess() {
  return static_cast<std::size_t>(
      std::distance(std::filesystem::directory_iterator("/proc/self/task"),
                    std::filesystem::directory_iterator()));
}

// An event that its test sets off.
struct Busy final : QueueEvent {
  void Done(bool) override {
    base::PassTurnOn();
    gate.Pass();
  }
  Gate gate;
};

TEST(QueueThreadsTest, IdleThreadsEndAfterAWhile) {
  KeepGrpc();
  grpc::CompletionQueue queue;
  {
    QueueThreads threads(&queue, {.idle = absl::Milliseconds(20)});
    ASSERT_TRUE(threads.Start());
    std::vector<std::unique_ptr<grpc::Alarm>> alarms;
    std::vector<std::unique_ptr<Busy>> busy;
    for (int i = 0; i < 12; ++i) {
      busy.push_back(std::make_unique<Busy>());
      alarms.push_back(std::make_unique<grpc::Alarm>());
      alarms.back()->Set(&queue, std::chrono::system_clock::now(), busy.back().get());
    }
    for (const auto& event : busy) event->gate.reached.WaitForNotification();
    const std::size_t most = ThreadsOfThisProcess();
    for (const auto& event : busy) event->gate.open.Notify();
    // Of the 13, two idle ones are kept, and the one that has the turn.
    const absl::Time end = absl::Now() + kPatience;
    while (ThreadsOfThisProcess() > most - 10 && absl::Now() < end) {
      absl::SleepFor(absl::Milliseconds(5));
    }
    EXPECT_LE(ThreadsOfThisProcess(), most - 10);
    queue.Shutdown();
  }
}

}  // namespace
}  // namespace goplugin
