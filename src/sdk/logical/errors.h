// Errors a backend answers with. They are absl::Status; sdk/transport maps each code to what the
// host turns into an HTTP status:
//
//   INVALID_ARGUMENT            400   bad input, a cas that does not match
//   PERMISSION_DENIED           403
//   NOT_FOUND                   404
//   FAILED_PRECONDITION         409   the state forbids it
//   ABORTED                     409   a transaction lost against another
//   RESOURCE_EXHAUSTED          413   too large to store
//   UNIMPLEMENTED               405   (unsupported path: 404)
//   anything else               500
#ifndef SDK_LOGICAL_ERRORS_H_
#define SDK_LOGICAL_ERRORS_H_

#include <string_view>

#include "absl/status/status.h"

namespace openbao {

// The storage is a standby's: the host forwards the request to the active node when it reads this
// text.
absl::Status ReadOnlyStorage();
bool IsReadOnlyStorage(const absl::Status& status);

// A path that serves other operations, and a path that does not exist.
absl::Status UnsupportedOperation();
absl::Status UnsupportedPath();
bool IsUnsupportedPath(const absl::Status& status);

}  // namespace openbao

#endif  // SDK_LOGICAL_ERRORS_H_
