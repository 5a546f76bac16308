#include "engine/fair_lock.h"

#include <algorithm>
#include <utility>

#include "absl/time/time.h"
#include "base/turn.h"

namespace engine {
namespace {

// How often a waiter looks whether its caller has gone.
constexpr absl::Duration kLookAround = absl::Milliseconds(100);

}  // namespace

absl::StatusOr<FairLock::Holder> FairLock::Acquire(const openbao::Context* context) {
  if (TryAcquire()) return Holder(this, nullptr);
  base::PassTurnOn();
  absl::MutexLock lock(&mutex_);
  if (!std::exchange(held_, true)) return Holder(this, nullptr);
  Waiter self;
  queue_.push_back(&self);
  while (!self.has_lock) {
    self.turn.WaitWithTimeout(&mutex_, kLookAround);
    if (!self.has_lock && context != nullptr && context->Cancelled()) {
      queue_.erase(std::ranges::find(queue_, &self));
      return absl::CancelledError(
          "the request ended while it waited for its turn; nothing was changed");
    }
  }
  return Holder(this, std::move(self.left));
}

bool FairLock::TryAcquire() {
  absl::MutexLock lock(&mutex_);
  return !std::exchange(held_, true);
}

void FairLock::Release(std::shared_ptr<const void> left) {
  absl::MutexLock lock(&mutex_);
  if (queue_.empty()) {
    held_ = false;
    return;
  }
  Waiter* next = queue_.front();
  queue_.pop_front();
  next->has_lock = true;
  next->left = std::move(left);
  next->turn.Signal();
}

}  // namespace engine
