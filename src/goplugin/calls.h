// What a server answers, on threads of which one at a time waits for the next call.
#ifndef GOPLUGIN_CALLS_H_
#define GOPLUGIN_CALLS_H_

#include <grpcpp/grpcpp.h>

#include <atomic>
#include <functional>
#include <memory>
#include <type_traits>
#include <utility>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "goplugin/queue_threads.h"

namespace goplugin {

// The calls of a server. Services that are registered with its builder as well are served by gRPC's
// own threads; these wait in gRPC all the time, and cost the others a switch for each event.
// Add, Answer and OnStart before the server is built; not thread-safe.
class Calls {
 public:
  // Many run at once. For what it waits for, see base/turn.h.
  template <class Request, class Reply>
  using Handler = std::function<grpc::Status(grpc::ServerContext*, const Request*, Reply*)>;

  // Gives the builder a completion queue.
  explicit Calls(grpc::ServerBuilder& builder, const QueuePatience& patience = {})
      : builder_(builder), queue_(builder.AddCompletionQueue()), threads_(queue_.get(), patience) {}
  Calls(const Calls&) = delete;
  Calls& operator=(const Calls&) = delete;
  ~Calls() { Stop(); }

  // Registers a generated AsyncService. Calls of a method that nobody answers hang.
  template <class AsyncService>
  AsyncService& Add() {
    auto service = std::make_shared<AsyncService>();
    builder_.RegisterService(service.get());
    services_.push_back(service);
    return *service;
  }

  // Answers a unary method: `take` is the service's Request….
  template <class Service, class Request, class Reply>
  void Answer(std::type_identity_t<Service>& service,
              void (Service::*take)(grpc::ServerContext*, Request*,
                                    grpc::ServerAsyncResponseWriter<Reply>*, grpc::CompletionQueue*,
                                    grpc::ServerCompletionQueue*, void*),
              std::type_identity_t<Handler<Request, Reply>> handler) {
    OnStart([this, &service, take, handler = std::move(handler)] {
      new Unary<Service, Request, Reply>(*this, service, take, handler);
    });
  }

  // For streams: called when the server runs, and kept as long as this object. What it gives to the
  // queue are QueueEvents, and each stream has an Open from then on until its end.
  void OnStart(std::function<void()> start) { starts_.push_back(std::move(start)); }
  grpc::ServerCompletionQueue* queue() { return queue_.get(); }

  // A call that is waited for, or hasn't ended: the queue must take its events. When the server is
  // shut down, the ones waited for end, but one that comes just then is begun still.
  class Open {
   public:
    explicit Open(Calls& calls) : calls_(calls) { calls_.CountOpen(+1); }
    Open(const Open&) = delete;
    Open& operator=(const Open&) = delete;
    ~Open() { calls_.CountOpen(-1); }

   private:
    Calls& calls_;
  };

  // Once the server runs. False if no thread can be started.
  [[nodiscard]] bool Start() {
    if (!threads_.Start()) return false;
    for (const auto& start : starts_) start();
    return true;
  }

  // When the server was shut down, and before it is destroyed: waits until all calls have ended,
  // and with them the threads. Idempotent.
  void Stop() {
    if (std::exchange(stopped_, true)) return;
    {
      absl::MutexLock lock(&mutex_);
      mutex_.Await(absl::Condition(
          +[](int* open) { return *open == 0; }, &open_));
    }
    queue_->Shutdown();
    threads_.Join();
    // What is left if there never were any threads.
    void* tag = nullptr;
    bool ok = false;
    while (queue_->Next(&tag, &ok)) {
    }
  }

 private:
  template <class Service, class Request, class Reply>
  class Unary;

  void CountOpen(int change) {
    absl::MutexLock lock(&mutex_);
    open_ += change;
  }

  grpc::ServerBuilder& builder_;
  std::vector<std::shared_ptr<void>> services_;
  std::vector<std::function<void()>> starts_;
  absl::Mutex mutex_;
  int open_ ABSL_GUARDED_BY(mutex_) = 0;
  const std::unique_ptr<grpc::ServerCompletionQueue> queue_;
  QueueThreads threads_;
  bool stopped_ = false;
};

// One call, from waiting for it to its end. Owns itself.
template <class Service, class Request, class Reply>
class Calls::Unary final : public QueueEvent {
 public:
  using Take = void (Service::*)(grpc::ServerContext*, Request*,
                                 grpc::ServerAsyncResponseWriter<Reply>*, grpc::CompletionQueue*,
                                 grpc::ServerCompletionQueue*, void*);

  Unary(Calls& calls, Service& service, Take take, const Handler<Request, Reply>& handler)
      : calls_(calls), service_(service), take_(take), handler_(handler) {
    // So that the handler can see whether its caller has gone.
    context_.AsyncNotifyWhenDone(&over_);
    (service.*take)(&context_, &request_, &writer_, calls.queue(), calls.queue(), this);
  }

  // Its answer has left.
  bool IsQuick() const override { return came_; }
  void Done(bool ok) override {
    if (came_) return Release();
    // The server leaves: no call came, and none will be over.
    if (!ok) return delete this;
    came_ = true;
    new Unary(calls_, service_, take_, handler_);
    const grpc::Status status = Handle();
    if (status.ok()) {
      writer_.Finish(reply_, status, this);
    } else {
      writer_.FinishWithError(status, this);
    }
  }

 private:
  struct Over final : QueueEvent {
    explicit Over(Unary* over) : call(over) {}
    bool IsQuick() const override { return true; }
    void Done(bool) override { call->Release(); }
    Unary* const call;
  };

  // A handler's exception is a defect, which must not end the process; its text is not ours to
  // show.
  grpc::Status Handle() {
    try {
      return handler_(&context_, &request_, &reply_);
    } catch (...) {
      return {grpc::StatusCode::UNKNOWN, "the plugin failed on this call"};
    }
  }

  // Called when the answer has left, and when the call is over.
  void Release() {
    if (--holds_ == 0) delete this;
  }

  Calls& calls_;
  Service& service_;
  const Take take_;
  const Handler<Request, Reply>& handler_;
  const Open open_{calls_};  // destroyed last, as the server may then go
  bool came_ = false;
  grpc::ServerContext context_;
  Request request_;
  Reply reply_;
  grpc::ServerAsyncResponseWriter<Reply> writer_{&context_};
  Over over_{this};
  std::atomic<int> holds_ = 2;
};

}  // namespace goplugin

#endif  // GOPLUGIN_CALLS_H_
