#ifndef KVCLIENT_DEADLINE_H_
#define KVCLIENT_DEADLINE_H_

#include <poll.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <functional>
#include <optional>
#include <utility>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "base/turn.h"

namespace kvclient {

// Who waits for what is done, and may have gone. Not thread-safe.
class Caller {
 public:
  // `gone` may be empty: a caller that stays.
  explicit Caller(std::function<bool()> gone) : gone_(std::move(gone)) {}

  bool stays() const { return gone_ == nullptr; }
  // Whether it went at least `grace` ago, as far as it was asked.
  bool GoneFor(absl::Duration grace) {
    if (!since_.has_value() && gone_ != nullptr && gone_()) {
      since_ = std::chrono::steady_clock::now();
    }
    return since_.has_value() &&
           absl::FromChrono(std::chrono::steady_clock::now() - *since_) >= grace;
  }

 private:
  const std::function<bool()> gone_;
  std::optional<std::chrono::steady_clock::time_point> since_;
};

// The end of the time that something may take: at a moment, or when its caller has gone. A value
// type.
class Deadline {
 public:
  static Deadline In(absl::Duration time) {
    return Deadline(std::chrono::steady_clock::now() + absl::ToChronoNanoseconds(time));
  }
  // This one, or when `caller` went `grace` ago; it outlives all that is made of this.
  Deadline For(Caller& caller, absl::Duration grace) const {
    Deadline deadline = *this;
    deadline.caller_ = caller.stays() ? nullptr : &caller;
    deadline.grace_ = grace;
    return deadline;
  }
  // `time` from now, but no later than this one.
  Deadline Within(absl::Duration time) const {
    Deadline deadline = *this;
    deadline.end_ = std::min(end_, In(time).end_);
    return deadline;
  }
  // The first of `parts` equal parts of what is left.
  Deadline Share(int parts) const {
    return Within(absl::FromChrono(end_ - std::chrono::steady_clock::now()) / parts);
  }

  // DEADLINE_EXCEEDED, CANCELLED.
  absl::Status Check() const {
    if (MillisecondsLeft() == 0) {
      return absl::DeadlineExceededError("the server did not answer in time");
    }
    if (caller_ != nullptr && caller_->GoneFor(grace_)) {
      return absl::CancelledError("the caller has gone");
    }
    return absl::OkStatus();
  }

  // How long to wait at once, for poll(2): not beyond the end, and no longer than a caller may have
  // gone unnoticed.
  int MillisecondsToWait() const {
    return caller_ == nullptr ? MillisecondsLeft() : std::min(MillisecondsLeft(), kAskMilliseconds);
  }

  // Waits until one of the `count` descriptors at `polled` is ready. DEADLINE_EXCEEDED, CANCELLED.
  absl::Status Wait(pollfd* polled, nfds_t count) const {
    base::PassTurnOn();
    for (;;) {
      const int ready = poll(polled, count, MillisecondsToWait());
      if (ready > 0) return absl::OkStatus();
      if (ready < 0 && errno != EINTR) return absl::UnavailableError("waiting for it failed");
      if (absl::Status good = Check(); !good.ok()) return good;
    }
  }

 private:
  static constexpr int kAskMilliseconds = 50;

  explicit Deadline(std::chrono::steady_clock::time_point end) : end_(end) {}

  // Rounded up, so that a wait does not end just before; 0 when it is over.
  int MillisecondsLeft() const {
    const auto left =
        std::chrono::ceil<std::chrono::milliseconds>(end_ - std::chrono::steady_clock::now());
    return static_cast<int>(std::clamp<std::chrono::milliseconds::rep>(left.count(), 0, 3'600'000));
  }

  std::chrono::steady_clock::time_point end_;
  Caller* caller_ = nullptr;  // nullptr: it stays
  absl::Duration grace_;
};

}  // namespace kvclient

#endif  // KVCLIENT_DEADLINE_H_
