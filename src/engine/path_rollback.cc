#include <optional>
#include <set>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "engine/paths.h"
#include "engine/reply.h"
#include "engine/union.h"
#include "mek/rotation.h"

namespace engine {
namespace {

using openbao::FieldData;
using openbao::FieldType;
using openbao::Request;
using openbao::Response;

Answer Rollback(Mount& mount, const Request& request, const FieldData& data) {
  const std::uint64_t number = *data.Unsigned("version");
  const bool drop = data.String("newer_keys") == "drop";
  ASSIGN_OR_RETURN(
      const Outcome outcome,
      mount.Apply(
          request, WriteOptions::From(data), [&](const Version* live) -> absl::StatusOr<Change> {
            if (live != nullptr && number == live->number) {
              return absl::FailedPreconditionError(absl::StrCat(
                  "version ", number, " is the live one; there is nothing to roll back"));
            }
            ASSIGN_OR_RETURN(Version target, mount.Find(*request.storage, number));
            // It came up between the two reads.
            if (live == nullptr) {
              return absl::AbortedError("the record came up just now; try again");
            }
            ASSIGN_OR_RETURN(
                Change change,
                WithNewerKeys(mount, *request.storage, std::move(target.doc.record), *live, drop));
            change.operation = "rollback";
            change.rolled_back_to = number;
            // A staged key becomes a retained one: this is how a rotation is abandoned.
            change.unstages = true;
            change.WarnOfRecord(mount.Now());
            return change;
          }));
  Response response = ChangeReply(outcome);
  response.data["rolled_back_to"] = number;
  return response;
}

}  // namespace

std::vector<openbao::Path> RollbackPaths() {
  openbao::Path path;
  path.pattern = "rollback";
  path.synopsis = "Make an earlier version's record current again, as a new version.";
  path.description =
      "With newer_keys=keep (the default) the earlier record comes back with the keys that it "
      "lacks at the end of each set, so that what was sealed since still opens. newer_keys=drop "
      "restores it byte for byte; the keys it drops go to the archive, but no reader has them any "
      "more. A staged key becomes a retained one: a rollback to the version before it abandons the "
      "rotation. After a key was compromised rotate, don't roll back.";
  path.fields = WriteFields();
  path.fields.push_back({.name = "version",
                         .type = FieldType::kUnsigned,
                         .description = "The version to go back to; see list versions.",
                         .required = true});
  path.fields.push_back(NewerKeysField());
  path.operations.push_back({.operation = openbao::Operation::kUpdate,
                             .handler = Bind(Rollback),
                             .summary = "Go back to an earlier version.",
                             .active_node_only = true});
  return {path};
}

}  // namespace engine
