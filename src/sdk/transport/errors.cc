#include "sdk/transport/errors.h"

#include <string>

#include "base/json.h"
#include "base/text.h"
#include "sdk/logical/errors.h"

namespace openbao {
namespace {

int HttpStatus(absl::StatusCode code) {
  switch (code) {
    case absl::StatusCode::kNotFound:
      return 404;
    case absl::StatusCode::kFailedPrecondition:
    case absl::StatusCode::kAborted:
      return 409;
    case absl::StatusCode::kResourceExhausted:
      return 413;
    default:
      return 500;
  }
}

void Set(pb::ProtoError& error, ErrorType type, std::string_view message) {
  error.set_err_type(static_cast<std::uint32_t>(type));
  error.set_err_msg(message.data(), message.size());
}

}  // namespace

void SetError(const absl::Status& status, pb::HandleRequestReply& reply) {
  const std::string_view message = base::ToStd(status.message());
  pb::ProtoError& error = *reply.mutable_err();
  if (IsReadOnlyStorage(status)) return Set(error, ErrorType::kUnknown, message);
  if (IsUnsupportedPath(status)) return Set(error, ErrorType::kUnsupportedPath, message);
  switch (status.code()) {
    case absl::StatusCode::kUnimplemented:
      return Set(error, ErrorType::kUnsupportedOperation, message);
    case absl::StatusCode::kPermissionDenied:
      return Set(error, ErrorType::kPermissionDenied, message);
    case absl::StatusCode::kInvalidArgument: {
      // The host shows the text only from the response's data, and answers 400 for this pair.
      Set(error, ErrorType::kInvalidRequest, "invalid request");
      const base::Json data{{"error", base::JsonText(message)}};
      if (const auto text = base::DumpJson(data); text.ok()) {
        reply.mutable_response()->set_data(std::string(text->view()));
      }
      return;
    }
    default:
      // A coded error must come without data, or the host makes it a 400.
      Set(error, ErrorType::kCoded, message);
      error.set_err_code(HttpStatus(status.code()));
  }
}

}  // namespace openbao
