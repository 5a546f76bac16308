// IsOk(), IsOkAndHolds(m) and StatusIs(code, message matcher) for absl::Status and StatusOr.
#ifndef TESTS_SUPPORT_STATUS_MATCHERS_H_
#define TESTS_SUPPORT_STATUS_MATCHERS_H_

#include <gmock/gmock.h>

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace testing_support {

inline const absl::Status& ToStatus(const absl::Status& status) { return status; }
template <class T>
const absl::Status& ToStatus(const absl::StatusOr<T>& status) {
  return status.status();
}

MATCHER(IsOk, negation ? "is not OK" : "is OK") {
  *result_listener << ToStatus(arg);
  return ToStatus(arg).ok();
}

MATCHER_P2(StatusIs, code, message, "has the code and a message that matches") {
  *result_listener << ToStatus(arg);
  return ToStatus(arg).code() == code &&
         ::testing::ExplainMatchResult(message, std::string(ToStatus(arg).message()),
                                       result_listener);
}

MATCHER_P(IsOkAndHolds, matcher, "is OK and holds a value that matches") {
  if (!arg.ok()) {
    *result_listener << arg.status();
    return false;
  }
  return ::testing::ExplainMatchResult(matcher, *arg, result_listener);
}

}  // namespace testing_support

#endif  // TESTS_SUPPORT_STATUS_MATCHERS_H_
