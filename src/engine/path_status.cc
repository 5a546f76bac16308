#include <algorithm>
#include <optional>
#include <string>
#include <utility>

#include "base/status_macros.h"
#include "engine/paths.h"
#include "engine/reply.h"
#include "mek/kid.h"

namespace engine {
namespace {

using base::Json;
using base::JsonText;
using openbao::FieldData;
using openbao::Request;
using openbao::Response;

Response Empty() {
  Response response;
  response.data = Json{{"home", "mount"},
                       {"phase", "empty"},
                       {"version", 0},
                       {"next_step", "write init for a fresh record, or import the existing one"}};
  return response;
}

Answer Status(Mount& mount, const Request& request, const FieldData&) {
  ASSIGN_OR_RETURN(const std::optional<Version> live, mount.records().Live(*request.storage));
  if (!live.has_value()) return Empty();
  ASSIGN_OR_RETURN(const Config config, mount.config().Get(*request.storage));
  const mek::VersionDoc& doc = live->doc;
  const mek::Record& record = doc.record;

  // Age is the key's own where its kid tells, as ESS reckons it. A clock that was set back makes it
  // 0.
  const absl::Time made =
      mek::UuidV1Time(record.current_kid()).value_or(doc.effective_time.value_or(doc.created_time));
  const absl::Duration age = std::max(mount.Now() - made, absl::ZeroDuration());
  const bool propagating = age < config.grace_period;

  Response response;
  response.data = Json{
      {"home", "mount"},
      {"version", live->number},
      {"current_kid", JsonText(record.current_kid())},
      {"current_kid_age", JsonText(DurationText(age))},
      {"previous_kid", JsonText(doc.previous_kid)},
      {"staged_kid", JsonText(doc.staged_kid.value_or(""))},
      {"phase", propagating ? "propagating" : "active"},
      {"next_step",
       propagating
           ? "readers that load the record only at their start (nvcf-api, api-keys) get the "
             "current key when they are restarted"
           : "none; rotate when it is time"},
      {"next_step_time",
       TimeOrEmpty(propagating ? std::optional(made + config.grace_period) : std::nullopt)},
      {"last_operation", JsonText(doc.operation)},
      {"last_change_time", TimeOrEmpty(doc.created_time)},
      {"key_count", record.set(mek::Set::kKeys).keys().size()},
      {"private_key_count", record.set(mek::Set::kPrivateJwks).keys().size()},
      {"private_jwks", record.mirrored() ? "mirrored" : "independent"},
  };
  response.warnings = record.Warnings(mount.Now());
  return response;
}

}  // namespace

std::vector<openbao::Path> StatusPaths(Mount& mount) {
  openbao::Path path;
  path.pattern = "status";
  path.synopsis =
      "Where the record stands: version, kids, phase, and what comes next. No key material.";
  path.description =
      "phase is \"empty\" (no record), \"propagating\" (the current key is younger than the grace "
      "period, so some readers may not have it) or \"active\".";
  path.operations.push_back({.operation = openbao::Operation::kRead,
                             .handler = Bind(mount, Status),
                             .summary = "Read the status.",
                             .active_node_only = true});
  return {path};
}

}  // namespace engine
