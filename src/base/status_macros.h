#ifndef BASE_STATUS_MACROS_H_
#define BASE_STATUS_MACROS_H_

#include "absl/status/status.h"
#include "absl/status/statusor.h"

// Leaves the function with the status of `expr` unless that is OK.
#define RETURN_IF_ERROR(expr) RETURN_IF_ERROR_IMPL_(STATUS_MACROS_CONCAT_(_status, __LINE__), expr)
#define RETURN_IF_ERROR_IMPL_(var, expr)        \
  do {                                          \
    if (absl::Status var = (expr); !var.ok()) { \
      return var;                               \
    }                                           \
  } while (false)

// ASSIGN_OR_RETURN(auto value, Expression()): declares or assigns `value`, or leaves the function
// with the status of the expression.
#define ASSIGN_OR_RETURN(lhs, expr) \
  ASSIGN_OR_RETURN_IMPL_(STATUS_MACROS_CONCAT_(_statusor, __LINE__), lhs, expr)
#define ASSIGN_OR_RETURN_IMPL_(var, lhs, expr)   \
  auto var = (expr);                             \
  if (!var.ok()) return std::move(var).status(); \
  lhs = *std::move(var)
#define STATUS_MACROS_CONCAT_(a, b) STATUS_MACROS_CONCAT_INNER_(a, b)
#define STATUS_MACROS_CONCAT_INNER_(a, b) a##b

#endif  // BASE_STATUS_MACROS_H_
