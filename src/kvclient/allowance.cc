#include "kvclient/allowance.h"

#include <algorithm>
#include <utility>

namespace kvclient {
namespace {

thread_local Allowance* innermost = nullptr;

}  // namespace

Allowance::Allowance(absl::Duration time, std::function<bool()> gone)
    : left_(time), caller_(std::move(gone)), around_(innermost) {
  innermost = this;
}

Allowance::~Allowance() { innermost = around_; }

Allowance Allowance::AtLeast(absl::Duration time) {
  return Allowance(innermost == nullptr ? time : std::max(time, innermost->left_));
}

Allowance Allowance::AtMost(absl::Duration time) {
  return Allowance(innermost == nullptr ? time : std::min(time, innermost->left_));
}

Allowance* Allowance::OfThread() { return innermost; }

void Allowance::Spend(absl::Duration time) {
  for (Allowance* one = this; one != nullptr; one = one->around_) {
    one->left_ = std::max(one->left_ - time, absl::ZeroDuration());
  }
}

}  // namespace kvclient
