// The threads that take a completion queue's events, one of which at a time waits for the next.
#ifndef GOPLUGIN_QUEUE_THREADS_H_
#define GOPLUGIN_QUEUE_THREADS_H_

#include <grpcpp/grpcpp.h>
#include <grpcpp/support/async_unary_call.h>

#include <atomic>
#include <cstdint>
#include <deque>
#include <list>
#include <memory>
#include <optional>
#include <string_view>
#include <thread>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "absl/time/time.h"
#include "base/turn.h"

namespace goplugin {

// What comes to the queue; its address is the tag.
class QueueEvent {
 public:
  virtual ~QueueEvent() = default;
  // On one of the queue's threads, once for each time that it was given to gRPC as a tag. `ok` as
  // CompletionQueue::Next has it.
  virtual void Done(bool ok) = 0;
  // Whether Done neither waits nor works: then any thread may call it, at any time.
  virtual bool IsQuick() const { return false; }
};

struct QueuePatience {
  // Of the threads that are idle, all but two end after this time.
  absl::Duration idle = absl::Seconds(5);
  // A handler that keeps the turn for longer may lose it; that is found out at the latest after
  // `longest_nap`, when nothing happened before.
  absl::Duration keeps_turn = absl::Milliseconds(50);
  absl::Duration longest_nap = absl::Seconds(1);
};

// One thread has the turn: it waits for the queue's next event and handles it itself. Before a
// handler waits for something else it passes the turn on (base/turn.h), and another thread goes to
// the queue. So quick events wake nobody, and slow ones have as many threads as they need. From a
// handler that keeps the turn for too long it is taken away. Thread-safe.
class QueueThreads final : private base::Turn {
 public:
  // `queue` must outlive it.
  explicit QueueThreads(grpc::CompletionQueue* queue, const QueuePatience& patience = {})
      : queue_(queue), patience_(patience) {}
  QueueThreads(const QueueThreads&) = delete;
  QueueThreads& operator=(const QueueThreads&) = delete;
  ~QueueThreads() override { Join(); }

  // False if no thread can be started.
  [[nodiscard]] bool Start();

  // When the queue was shut down: waits until it is drained and all handlers have returned.
  void Join();

  // Those that this thread is one of, or nullptr.
  static QueueThreads* OfThisThread();
  grpc::CompletionQueue* queue() const { return queue_; }

  // An event to be waited for.
  class Arrival final : public QueueEvent {
   public:
    bool IsQuick() const override { return true; }
    void Done(bool ok) override {
      ok_ = ok;
      come_.Notify();
    }

   private:
    friend QueueThreads;
    bool ok_ = false;
    absl::Notification come_;
  };
  // Waits until `arrival` has come, and returns what it came with. To be called on one of these
  // threads: while it has the turn, it waits at the queue itself, and gives the first other event
  // that comes away with the turn.
  bool Await(Arrival& arrival);

 private:
  // A value of turn_ that says who has the turn: even while that thread waits at the queue, odd
  // while it handles an event. 0: no turn.
  using TurnValue = std::uint64_t;
  // What a thread is given to do: the event, and then to wait for the next one.
  struct Task {
    TurnValue turn = 0;
    QueueEvent* event = nullptr;
    bool ok = false;
  };
  struct Idle;

  // This thread's turn goes a step further: to handling, to the queue, or to another thread. False
  // if it hasn't one.
  bool Step();
  bool HasTurn() const;
  void PassOn() override;
  // To another thread. False if none can be started; then an event waits for one that has time.
  bool Give(const Task& task);
  bool StartThread(const Task& task) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void JoinEnded() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  void Run(std::list<std::thread>::iterator self, std::optional<Task> task);
  void TakeEvent();
  void Handle(QueueEvent& event, bool ok);
  std::optional<Task> Waiting() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // nullopt: this thread isn't needed any more.
  std::optional<Task> WaitForTask();
  void Watch();
  // The turn was taken from a handler, and no other thread can be started: sees to it that those
  // who wait for arrivals get them. True once another thread has the turn.
  bool ServeUntilGiven(TurnValue turn);
  void End();

  grpc::CompletionQueue* const queue_;
  const QueuePatience patience_;
  std::atomic<TurnValue> turn_ = 2;
  absl::Notification over_;  // the queue is shut down and drained
  absl::Mutex mutex_;
  std::vector<Idle*> idle_ ABSL_GUARDED_BY(mutex_);  // the last one has waited the least
  std::deque<Task> waiting_ ABSL_GUARDED_BY(mutex_);
  std::list<std::thread> running_ ABSL_GUARDED_BY(mutex_);
  std::list<std::thread> ended_ ABSL_GUARDED_BY(mutex_);
  std::thread watcher_;
};

// Makes a unary call and waits for its reply: `blocking` is the stub's method, `start` the one of
// its name with Async. On a thread of QueueThreads the reply comes to their queue, so that nobody
// needs to be woken for it; elsewhere gRPC waits.
template <class Stub, class Request, class Reply>
grpc::Status CallAndWait(
    Stub& stub, grpc::Status (Stub::*blocking)(grpc::ClientContext*, const Request&, Reply*),
    std::unique_ptr<grpc::ClientAsyncResponseReaderInterface<Reply>> (Stub::*start)(
        grpc::ClientContext*, const Request&, grpc::CompletionQueue*),
    grpc::ClientContext& context, const Request& request, Reply& reply) {
  QueueThreads* const threads = QueueThreads::OfThisThread();
  if (threads == nullptr) return (stub.*blocking)(&context, request, &reply);
  grpc::Status status;
  // gRPC doesn't tell here whether there was a reply at all. Reading one clears this, a field that
  // no message has (2047).
  constexpr std::string_view kNoReply("\xf8\x7f\x01", 3);
  reply.ParseFromArray(kNoReply.data(), kNoReply.size());
  QueueThreads::Arrival arrival;
  const auto call = (stub.*start)(&context, request, threads->queue());
  call->Finish(&reply, &status, &arrival);
  const bool readable = threads->Await(arrival);
  const bool came =
      reply.ByteSizeLong() != kNoReply.size() || reply.SerializeAsString() != kNoReply;
  if (status.ok() && (!readable || !came)) {
    return {grpc::StatusCode::INTERNAL, "an answer that makes no sense"};
  }
  return status;
}

}  // namespace goplugin

#endif  // GOPLUGIN_QUEUE_THREADS_H_
