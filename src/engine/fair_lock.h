#ifndef ENGINE_FAIR_LOCK_H_
#define ENGINE_FAIR_LOCK_H_

#include <deque>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "sdk/logical/request.h"

namespace engine {

// A lock that is given in the order in which it was asked for, so that under load no writer
// starves. One whose caller has gone leaves the queue. Thread-safe.
class FairLock {
 public:
  // Holds the lock until destroyed. Move-only; must not outlive the lock.
  class Holder {
   public:
    explicit Holder(FairLock* lock) : lock_(lock) {}
    Holder(Holder&& other) noexcept : lock_(std::exchange(other.lock_, nullptr)) {}
    Holder& operator=(Holder&&) = delete;
    ~Holder() {
      if (lock_ != nullptr) lock_->Release();
    }

   private:
    FairLock* lock_;
  };

  FairLock() = default;
  FairLock(const FairLock&) = delete;
  FairLock& operator=(const FairLock&) = delete;

  // CANCELLED if `context` (may be nullptr) was while waiting.
  absl::StatusOr<Holder> Acquire(const openbao::Context* context);

 private:
  struct Waiter {
    absl::CondVar turn;
    bool has_lock = false;
  };

  void Release();

  absl::Mutex mutex_;
  bool held_ ABSL_GUARDED_BY(mutex_) = false;
  std::deque<Waiter*> queue_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace engine

#endif  // ENGINE_FAIR_LOCK_H_
