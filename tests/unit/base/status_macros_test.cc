#include "base/status_macros.h"

#include <gtest/gtest.h>

#include "support/status_matchers.h"

namespace base {
namespace {

using ::testing_support::IsOk;
using ::testing_support::StatusIs;

// That it compiles, with -Wshadow, is half of the test.
absl::Status Nested(const absl::Status& inner, const absl::StatusOr<int>& outer) {
  RETURN_IF_ERROR([&]() -> absl::Status {
    RETURN_IF_ERROR(inner);
    return outer.status();
  }());
  ASSIGN_OR_RETURN(const int value, [&]() -> absl::StatusOr<int> {
    ASSIGN_OR_RETURN(const int same, outer);
    return same;
  }());
  return value == 1 ? absl::OkStatus() : absl::InternalError("another value");
}

TEST(StatusMacros, OneWithinAnotherLeavesTheFunctionThatItIsIn) {
  EXPECT_THAT(Nested(absl::OkStatus(), 1), IsOk());
  EXPECT_THAT(Nested(absl::NotFoundError("inner"), 1),
              StatusIs(absl::StatusCode::kNotFound, "inner"));
  EXPECT_THAT(Nested(absl::OkStatus(), absl::AbortedError("outer")),
              StatusIs(absl::StatusCode::kAborted, "outer"));
}

}  // namespace
}  // namespace base
