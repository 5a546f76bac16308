#ifndef KVCLIENT_ALLOWANCE_H_
#define KVCLIENT_ALLOWANCE_H_

#include <functional>

#include "absl/time/time.h"
#include "kvclient/deadline.h"

namespace kvclient {

// How long an operation may talk with the server in all its requests together, and who waits for
// it. It holds for the thread that made it, for as long as it lives, and so need not be handed down
// to each request through what knows of no server; an operation is done by one thread. Only the
// time of the talk counts, not what passes between the requests. The innermost one holds, and what
// it uses is taken from the one around it too.
class Allowance {
 public:
  // `gone`: whether nobody waits for the operation any more. Nothing is begun after that.
  explicit Allowance(absl::Duration time, std::function<bool()> gone = nullptr);
  ~Allowance();
  Allowance(const Allowance&) = delete;
  Allowance& operator=(const Allowance&) = delete;

  // What is left of the thread's allowance, but `time` at least, whoever has gone: for what is
  // worth a moment more.
  static Allowance AtLeast(absl::Duration time);
  // What is left of the thread's allowance, but `time` at most.
  static Allowance AtMost(absl::Duration time);

  // The thread's; nullptr if it has none.
  static Allowance* OfThread();

  absl::Duration left() const { return left_; }
  Caller& caller() { return caller_; }
  void Spend(absl::Duration time);

 private:
  absl::Duration left_;
  Caller caller_;
  Allowance* const around_;
};

}  // namespace kvclient

#endif  // KVCLIENT_ALLOWANCE_H_
