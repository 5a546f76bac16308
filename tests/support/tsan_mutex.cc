// Shows ThreadSanitizer what Abseil's mutexes and notifications order, which it can't see by
// itself: Debian's Abseil isn't compiled with it. Only in the `tsan` preset, which links Abseil and
// gRPC as shared libraries: they call a program's definition of a function rather than their own,
// so the definitions here serve them too. Each tells ThreadSanitizer what it does, and leaves the
// doing to the library's.
#include <dlfcn.h>
#include <sanitizer/tsan_interface.h>

#include <cstdio>
#include <cstdlib>

#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "absl/time/time.h"

namespace {

template <typename Function>
Function* Find(const char* name) {
  void* const found = dlsym(RTLD_NEXT, name);
  if (found == nullptr) {
    std::fprintf(stderr, "tsan_mutex.cc: Abseil has no %s\n", name);
    std::abort();
  }
  return reinterpret_cast<Function*>(found);
}

// While one of these lives ThreadSanitizer looks away: Abseil evaluates a condition on any thread
// that holds the mutex, in the middle of locking or unlocking it.
class Locking {
 public:
  explicit Locking(void* mutex, unsigned flags = 0) : mutex_(mutex), flags_(flags) {
    __tsan_mutex_pre_lock(mutex_, flags_);
  }
  ~Locking() { __tsan_mutex_post_lock(mutex_, flags_, 0); }
  Locking(const Locking&) = delete;
  Locking& operator=(const Locking&) = delete;

  bool Tried(bool taken) {
    if (!taken) flags_ |= __tsan_mutex_try_lock_failed;
    return taken;
  }

 private:
  void* const mutex_;
  unsigned flags_;
};

class Unlocking {
 public:
  explicit Unlocking(void* mutex, unsigned flags = 0) : mutex_(mutex), flags_(flags) {
    __tsan_mutex_pre_unlock(mutex_, flags_);
  }
  ~Unlocking() { __tsan_mutex_post_unlock(mutex_, flags_); }
  Unlocking(const Unlocking&) = delete;
  Unlocking& operator=(const Unlocking&) = delete;

 private:
  void* const mutex_;
  const unsigned flags_;
};

// A wait lets go of the mutex and has it again at the end. Which kind of hold a wait had, reader's
// or writer's, can't be told from the call: nobody here waits as a reader.
class Waiting {
 public:
  explicit Waiting(void* mutex) : mutex_(mutex) { __tsan_mutex_pre_unlock(mutex_, 0); }
  ~Waiting() {
    __tsan_mutex_post_unlock(mutex_, 0);
    const Locking again(mutex_);
  }
  Waiting(const Waiting&) = delete;
  Waiting& operator=(const Waiting&) = delete;

 private:
  void* const mutex_;
};

// Abseil looks for deadlocks in a graph of all mutexes, under a lock that ThreadSanitizer can't see
// either. It looks for deadlocks by itself.
[[maybe_unused]] const bool without_graph = [] {
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
  return true;
}();

}  // namespace

// The library's function of this name and type, as `real`. Those that end in WithTimeout call those
// that end in WithDeadline, by way of here, and are left alone.
#define REAL(name, ...) static auto* const real = Find<__VA_ARGS__>("_Z" name)

namespace absl {
ABSL_NAMESPACE_BEGIN

Mutex::~Mutex() {
  REAL("N4absl7debian35MutexD1Ev", void(Mutex*));
  __tsan_mutex_destroy(this, __tsan_mutex_not_static);
  real(this);
}

void Mutex::Lock() {
  REAL("N4absl7debian35Mutex4LockEv", void(Mutex*));
  const Locking locking(this);
  real(this);
}

void Mutex::Unlock() {
  REAL("N4absl7debian35Mutex6UnlockEv", void(Mutex*));
  const Unlocking unlocking(this);
  real(this);
}

bool Mutex::TryLock() {
  REAL("N4absl7debian35Mutex7TryLockEv", bool(Mutex*));
  Locking locking(this, __tsan_mutex_try_lock);
  return locking.Tried(real(this));
}

void Mutex::ReaderLock() {
  REAL("N4absl7debian35Mutex10ReaderLockEv", void(Mutex*));
  const Locking locking(this, __tsan_mutex_read_lock);
  real(this);
}

void Mutex::ReaderUnlock() {
  REAL("N4absl7debian35Mutex12ReaderUnlockEv", void(Mutex*));
  const Unlocking unlocking(this, __tsan_mutex_read_lock);
  real(this);
}

void Mutex::Await(const Condition& condition) {
  REAL("N4absl7debian35Mutex5AwaitERKNS0_9ConditionE", void(Mutex*, const Condition&));
  const Waiting waiting(this);
  real(this, condition);
}

bool Mutex::AwaitWithDeadline(const Condition& condition, Time deadline) {
  REAL("N4absl7debian35Mutex17AwaitWithDeadlineERKNS0_9ConditionENS0_4TimeE",
       bool(Mutex*, const Condition&, Time));
  const Waiting waiting(this);
  return real(this, condition, deadline);
}

void Mutex::LockWhen(const Condition& condition) {
  REAL("N4absl7debian35Mutex8LockWhenERKNS0_9ConditionE", void(Mutex*, const Condition&));
  const Locking locking(this);
  real(this, condition);
}

bool Mutex::LockWhenWithDeadline(const Condition& condition, Time deadline) {
  REAL("N4absl7debian35Mutex20LockWhenWithDeadlineERKNS0_9ConditionENS0_4TimeE",
       bool(Mutex*, const Condition&, Time));
  const Locking locking(this);
  return real(this, condition, deadline);
}

void CondVar::Wait(Mutex* mutex) {
  REAL("N4absl7debian37CondVar4WaitEPNS0_5MutexE", void(CondVar*, Mutex*));
  const Waiting waiting(mutex);
  real(this, mutex);
}

bool CondVar::WaitWithDeadline(Mutex* mutex, Time deadline) {
  REAL("N4absl7debian37CondVar16WaitWithDeadlineEPNS0_5MutexENS0_4TimeE",
       bool(CondVar*, Mutex*, Time));
  const Waiting waiting(mutex);
  return real(this, mutex, deadline);
}

// A notification that has been is known by an atomic that only the library sees.
void Notification::Notify() {
  REAL("N4absl7debian312Notification6NotifyEv", void(Notification*));
  __tsan_release(this);
  real(this);
}

void Notification::WaitForNotification() const {
  REAL("NK4absl7debian312Notification19WaitForNotificationEv", void(const Notification*));
  real(this);
  __tsan_acquire(const_cast<Notification*>(this));
}

bool Notification::WaitForNotificationWithTimeout(Duration timeout) const {
  REAL("NK4absl7debian312Notification30WaitForNotificationWithTimeoutENS0_8DurationE",
       bool(const Notification*, Duration));
  const bool notified = real(this, timeout);
  if (notified) __tsan_acquire(const_cast<Notification*>(this));
  return notified;
}

ABSL_NAMESPACE_END
}  // namespace absl
