#ifndef KVCLIENT_DEADLINE_H_
#define KVCLIENT_DEADLINE_H_

#include <poll.h>

#include <algorithm>
#include <cerrno>
#include <chrono>

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace kvclient {

// The end of the time that something may take. A value type.
class Deadline {
 public:
  static Deadline In(absl::Duration time) {
    return Deadline(std::chrono::steady_clock::now() + absl::ToChronoNanoseconds(time));
  }
  static Deadline Earlier(Deadline a, Deadline b) { return Deadline(std::min(a.end_, b.end_)); }

  // Rounded up, so that a wait does not end just before; 0 when it is over.
  int MillisecondsLeft() const {
    const auto left =
        std::chrono::ceil<std::chrono::milliseconds>(end_ - std::chrono::steady_clock::now());
    return static_cast<int>(std::clamp<std::chrono::milliseconds::rep>(left.count(), 0, 3'600'000));
  }

  // Waits until one of the `count` descriptors at `polled` is ready. DEADLINE_EXCEEDED.
  absl::Status Wait(pollfd* polled, nfds_t count) const {
    for (;;) {
      const int ready = poll(polled, count, MillisecondsLeft());
      if (ready > 0) return absl::OkStatus();
      if (ready == 0 && MillisecondsLeft() == 0) {
        return absl::DeadlineExceededError("the server did not answer in time");
      }
      if (ready < 0 && errno != EINTR) return absl::UnavailableError("waiting for it failed");
    }
  }

 private:
  explicit Deadline(std::chrono::steady_clock::time_point end) : end_(end) {}
  std::chrono::steady_clock::time_point end_;
};

}  // namespace kvclient

#endif  // KVCLIENT_DEADLINE_H_
