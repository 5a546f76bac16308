#include "goplugin/queue_threads.h"

#include <algorithm>
#include <system_error>

#include "absl/time/clock.h"

namespace goplugin {
namespace {

constexpr std::size_t kKeptIdle = 2;

thread_local QueueThreads* of_this_thread = nullptr;
// The turn as this thread last had it.
thread_local std::uint64_t my_turn = 0;

bool IsHandling(std::uint64_t turn) { return turn % 2 == 1; }

}  // namespace

struct QueueThreads::Idle {
  absl::CondVar woken;
  std::optional<Task> task;
};

QueueThreads* QueueThreads::OfThisThread() { return of_this_thread; }

bool QueueThreads::Start() {
  absl::MutexLock lock(&mutex_);
  try {
    watcher_ = std::thread([this] { Watch(); });
  } catch (const std::system_error&) {
    return false;
  }
  if (StartThread({.turn = turn_})) return true;
  over_.Notify();
  return false;
}

void QueueThreads::Join() {
  if (!watcher_.joinable()) return;
  watcher_.join();
  absl::MutexLock lock(&mutex_);
  mutex_.Await(absl::Condition(
      +[](std::list<std::thread>* running) { return running->empty(); }, &running_));
  JoinEnded();
}

bool QueueThreads::HasTurn() const { return my_turn == turn_; }

bool QueueThreads::Step() {
  if (!turn_.compare_exchange_strong(my_turn, my_turn + 1)) {
    my_turn = 0;
    return false;
  }
  ++my_turn;
  return true;
}

void QueueThreads::PassOn() {
  if (!Step()) return;
  const TurnValue turn = std::exchange(my_turn, 0);
  if (Give({.turn = turn})) return;
  my_turn = turn;
  Step();
}

bool QueueThreads::Give(const Task& task) {
  absl::MutexLock lock(&mutex_);
  if (!idle_.empty()) {
    Idle* const next = idle_.back();
    idle_.pop_back();
    next->task = task;
    next->woken.Signal();
    return true;
  }
  JoinEnded();
  if (StartThread(task)) return true;
  if (task.event != nullptr) waiting_.push_back({.event = task.event, .ok = task.ok});
  return false;
}

bool QueueThreads::StartThread(const Task& task) {
  const auto self = running_.emplace(running_.end());
  try {
    *self = std::thread([this, self, task] { Run(self, task); });
    return true;
  } catch (const std::system_error&) {
    running_.erase(self);
    return false;
  }
}

void QueueThreads::JoinEnded() {
  for (std::thread& thread : ended_) thread.join();
  ended_.clear();
}

void QueueThreads::Run(std::list<std::thread>::iterator self, std::optional<Task> task) {
  of_this_thread = this;
  base::SetTurn(this);
  for (; task.has_value(); task = WaitForTask()) {
    my_turn = task->turn;
    if (task->event != nullptr) Handle(*task->event, task->ok);
    while (HasTurn()) TakeEvent();
  }
  absl::MutexLock lock(&mutex_);
  ended_.splice(ended_.end(), running_, self);
}

void QueueThreads::TakeEvent() {
  void* tag = nullptr;
  bool ok = false;
  std::optional<Task> task;
  {
    absl::MutexLock lock(&mutex_);
    task = Waiting();
  }
  if (task.has_value()) {
    Handle(*task->event, task->ok);
  } else if (queue_->Next(&tag, &ok)) {
    Handle(*static_cast<QueueEvent*>(tag), ok);
  } else {
    my_turn = 0;
    End();
  }
}

void QueueThreads::End() {
  absl::MutexLock lock(&mutex_);
  over_.Notify();
  for (Idle* idle : idle_) idle->woken.Signal();
}

void QueueThreads::Handle(QueueEvent& event, bool ok) {
  Step();
  event.Done(ok);
  Step();
}

std::optional<QueueThreads::Task> QueueThreads::Waiting() {
  if (waiting_.empty()) return std::nullopt;
  const Task task = waiting_.front();
  waiting_.pop_front();
  return task;
}

std::optional<QueueThreads::Task> QueueThreads::WaitForTask() {
  Idle self;
  absl::MutexLock lock(&mutex_);
  if (std::optional<Task> task = Waiting(); task.has_value()) return task;
  idle_.push_back(&self);
  while (!self.task.has_value() && !over_.HasBeenNotified()) {
    if (idle_.size() <= kKeptIdle) {
      self.woken.Wait(&mutex_);
    } else if (self.woken.WaitWithTimeout(&mutex_, patience_.idle) && !self.task.has_value()) {
      break;
    }
  }
  if (!self.task.has_value()) idle_.erase(std::ranges::find(idle_, &self));
  return self.task;
}

bool QueueThreads::Await(Arrival& arrival) {
  while (Step()) {
    void* tag = nullptr;
    bool ok = false;
    queue_->Next(&tag, &ok);
    if (tag == &arrival) {
      Step();
      return ok;
    }
    auto* const event = static_cast<QueueEvent*>(tag);
    if (event->IsQuick()) {
      event->Done(ok);
      Step();
      continue;
    }
    const TurnValue turn = std::exchange(my_turn, 0);
    if (Give({.turn = turn, .event = event, .ok = ok})) break;
    my_turn = turn;
    Step();
  }
  arrival.come_.WaitForNotification();
  return arrival.ok_;
}

void QueueThreads::Watch() {
  TurnValue last = 0;
  absl::Duration nap = patience_.keeps_turn;
  while (!over_.WaitForNotificationWithTimeout(nap)) {
    TurnValue seen = turn_;
    if (seen == last && IsHandling(seen) && turn_.compare_exchange_strong(seen, seen + 1)) {
      while (!ServeUntilGiven(seen + 1)) {
      }
    }
    // Less and less often while nothing happens.
    nap = seen == last ? std::min(2 * nap, patience_.longest_nap) : patience_.keeps_turn;
    last = seen;
  }
}

bool QueueThreads::ServeUntilGiven(TurnValue turn) {
  if (Give({.turn = turn})) return true;
  void* tag = nullptr;
  bool ok = false;
  const auto soon = absl::ToChronoTime(absl::Now() + patience_.keeps_turn);
  switch (queue_->AsyncNext(&tag, &ok, soon)) {
    case grpc::CompletionQueue::TIMEOUT:
      return false;
    case grpc::CompletionQueue::SHUTDOWN:
      End();
      return true;
    case grpc::CompletionQueue::GOT_EVENT:
      break;
  }
  auto* const event = static_cast<QueueEvent*>(tag);
  if (!event->IsQuick()) return Give({.turn = turn, .event = event, .ok = ok});
  event->Done(ok);
  return false;
}

}  // namespace goplugin
