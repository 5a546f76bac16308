#ifndef ENGINE_FAIR_LOCK_H_
#define ENGINE_FAIR_LOCK_H_

#include <deque>
#include <memory>
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
    Holder(FairLock* lock, std::shared_ptr<const void> left)
        : lock_(lock), left_(std::move(left)) {}
    Holder(Holder&& other) noexcept
        : lock_(std::exchange(other.lock_, nullptr)), left_(std::move(other.left_)) {}
    Holder& operator=(Holder&&) = delete;
    ~Holder() {
      if (lock_ != nullptr) lock_->Release(std::move(left_));
    }

    // Something to be kept alive, if one waits for the lock, until that one has done with it.
    void Leave(std::shared_ptr<const void> something) { left_ = std::move(something); }

   private:
    FairLock* lock_;
    std::shared_ptr<const void> left_;  // by the holder before, or for the next one
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
    std::shared_ptr<const void> left;
  };

  bool TryAcquire();
  void Release(std::shared_ptr<const void> left);

  absl::Mutex mutex_;
  bool held_ ABSL_GUARDED_BY(mutex_) = false;
  std::deque<Waiter*> queue_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace engine

#endif  // ENGINE_FAIR_LOCK_H_
