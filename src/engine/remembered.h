#ifndef ENGINE_REMEMBERED_H_
#define ENGINE_REMEMBERED_H_

#include <cstdint>
#include <optional>
#include <utility>

#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"

namespace engine {

// A small value of storage that is remembered between requests, so that it needn't be read each
// time. Key material only sealed (base/sealed.h). Remembers nothing until Allow(): only the active
// node may, where this process is the one writer, and for as long as this object lives (the host
// builds a new backend after a change of leader). Thread-safe.
template <class T>
class Remembered {
 public:
  // A moment before a read of storage; what is read is remembered only if nothing changed since.
  using Moment = std::uint64_t;

  void Allow() {
    absl::MutexLock lock(&mutex_);
    allowed_ = true;
  }

  bool allowed() {
    absl::MutexLock lock(&mutex_);
    return allowed_;
  }

  std::optional<T> Get(Moment& moment) {
    absl::MutexLock lock(&mutex_);
    moment = changes_;
    return value_;
  }

  // A value that was read from storage after `moment`.
  void Offer(Moment moment, T value) {
    absl::MutexLock lock(&mutex_);
    if (allowed_ && moment == changes_) value_ = std::move(value);
  }

  // What storage now holds, made of what is remembered, if anything is.
  template <class Change>
  void Update(Change change) {
    absl::MutexLock lock(&mutex_);
    ++changes_;
    if (value_.has_value()) value_ = change(*value_);
  }

  // What came of a write to storage. If that got no answer, it may still take effect at any time:
  // nothing that is read from now on is sure to stay true, and nothing is remembered any more.
  void Written(const absl::Status& put) {
    absl::MutexLock lock(&mutex_);
    if (absl::IsUnavailable(put)) allowed_ = false;
    ++changes_;
    value_.reset();
  }

  void Forget() {
    absl::MutexLock lock(&mutex_);
    ++changes_;
    value_.reset();
  }

 private:
  absl::Mutex mutex_;
  bool allowed_ ABSL_GUARDED_BY(mutex_) = false;
  Moment changes_ ABSL_GUARDED_BY(mutex_) = 0;
  std::optional<T> value_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace engine

#endif  // ENGINE_REMEMBERED_H_
