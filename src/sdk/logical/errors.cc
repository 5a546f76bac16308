#include "sdk/logical/errors.h"

#include "absl/strings/cord.h"

namespace openbao {
namespace {

// Payload marks, so that no message text decides how a status is mapped.
constexpr std::string_view kReadOnly = "openbao/read-only";
constexpr std::string_view kNoPath = "openbao/unsupported-path";

absl::Status Marked(absl::Status status, std::string_view mark) {
  status.SetPayload({mark.data(), mark.size()}, absl::Cord());
  return status;
}

bool IsMarked(const absl::Status& status, std::string_view mark) {
  return status.GetPayload({mark.data(), mark.size()}).has_value();
}

}  // namespace

absl::Status ReadOnlyStorage() {
  // The text is the host's own (openbao sdk/logical ErrReadOnly); it is matched there.
  return Marked(absl::UnavailableError("cannot write to readonly storage"), kReadOnly);
}

bool IsReadOnlyStorage(const absl::Status& status) { return IsMarked(status, kReadOnly); }

absl::Status UnsupportedOperation() { return absl::UnimplementedError("unsupported operation"); }

absl::Status UnsupportedPath() {
  return Marked(absl::UnimplementedError("unsupported path"), kNoPath);
}

bool IsUnsupportedPath(const absl::Status& status) { return IsMarked(status, kNoPath); }

}  // namespace openbao
