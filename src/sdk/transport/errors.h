#ifndef SDK_TRANSPORT_ERRORS_H_
#define SDK_TRANSPORT_ERRORS_H_

#include <optional>

#include "absl/status/status.h"
#include "openbao/backend.pb.h"
#include "sdk/logical/request.h"

namespace openbao {

// The kinds of error on the wire (openbao sdk/plugin/pb/translation.go).
enum class ErrorType : std::uint32_t {
  kUnknown = 0,
  kCoded = 3,
  kUnsupportedOperation = 5,
  kUnsupportedPath = 6,
  kInvalidRequest = 7,
  kPermissionDenied = 8,
};

// Puts a failed status into the reply in the form that the host turns into the HTTP status of
// sdk/logical/errors.h. The one place where our codes and the host's meet.
void SetError(const absl::Status& status, pb::HandleRequestReply& reply);

}  // namespace openbao

#endif  // SDK_TRANSPORT_ERRORS_H_
