// Injected sources under a test's control.
#ifndef TESTS_SUPPORT_FAKES_H_
#define TESTS_SUPPORT_FAKES_H_

#include <cstdint>
#include <random>
#include <span>

#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "base/random.h"

namespace testing_support {

// Stands still until told. Thread-safe.
class FakeClock final : public base::Clock {
 public:
  explicit FakeClock(absl::Time now) : now_(now) {}
  absl::Time Now() override {
    absl::MutexLock lock(&mutex_);
    return now_;
  }
  absl::Duration Monotonic() override {
    absl::MutexLock lock(&mutex_);
    return monotonic_;
  }
  void Advance(absl::Duration by) {
    absl::MutexLock lock(&mutex_);
    now_ += by;
    monotonic_ += by;
  }
  // Sets the time of day alone forward or back.
  void Step(absl::Duration by) {
    absl::MutexLock lock(&mutex_);
    now_ += by;
  }

 private:
  absl::Mutex mutex_;
  absl::Time now_ ABSL_GUARDED_BY(mutex_);
  absl::Duration monotonic_ ABSL_GUARDED_BY(mutex_) = absl::Hours(1);
};

// The same bytes for the same seed; fails while `fail` is set. Thread-safe.
class SeededRandom final : public base::Random {
 public:
  explicit SeededRandom(std::uint64_t seed) : engine_(seed) {}
  absl::Status Fill(std::span<std::uint8_t> out) override {
    absl::MutexLock lock(&mutex_);
    if (fail_) return absl::InternalError("the random source failed");
    for (std::uint8_t& byte : out) byte = static_cast<std::uint8_t>(engine_());
    return absl::OkStatus();
  }
  void set_fail(bool fail) {
    absl::MutexLock lock(&mutex_);
    fail_ = fail;
  }

 private:
  absl::Mutex mutex_;
  std::mt19937_64 engine_ ABSL_GUARDED_BY(mutex_);
  bool fail_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace testing_support

#endif  // TESTS_SUPPORT_FAKES_H_
