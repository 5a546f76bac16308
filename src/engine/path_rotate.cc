#include <algorithm>
#include <optional>
#include <string>
#include <utility>

#include "base/status_macros.h"
#include "base/text.h"
#include "engine/paths.h"
#include "engine/reply.h"
#include "mek/kid.h"
#include "mek/rotation.h"

namespace engine {
namespace {

using openbao::FieldData;
using openbao::FieldType;
using openbao::Request;
using openbao::Response;

// How long the current key has been one, as far as its kid or else its version tells.
absl::Duration CurrentKeyAge(const Version& live, absl::Time now) {
  const std::optional<absl::Time> made = mek::UuidV1Time(live.doc.record.current_kid());
  // A kid's time can be ahead of the clock.
  return std::max(absl::ZeroDuration(),
                  now - made.value_or(live.doc.effective_time.value_or(live.doc.created_time)));
}

Answer Rotate(Mount& mount, const Request& request, const FieldData& data) {
  ASSIGN_OR_RETURN(const Config config, mount.config().Get(*request.storage));
  std::string live_kid;
  ASSIGN_OR_RETURN(
      const Outcome outcome,
      mount.Apply(
          request, WriteOptions::From(data),
          [&](const std::optional<Version>& live) -> absl::StatusOr<Change> {
            if (!live.has_value()) {
              return absl::NotFoundError(
                  "there is no record to rotate: write init for a fresh one, or import the "
                  "existing "
                  "one");
            }
            live_kid = live->doc.record.current_kid();
            ASSIGN_OR_RETURN(const ArchiveStore::Kids archived,
                             mount.archive().List(*request.storage));
            const absl::Time now = mount.Now();
            ASSIGN_OR_RETURN(const mek::NewKey key,
                             mek::GenerateKey(&live->doc.record, LatestKidTime(*archived),
                                              config.private_jwks, now, mount.random()));
            ASSIGN_OR_RETURN(mek::Record rotated, mek::Rotate(live->doc.record, key));
            Change change{.record = std::move(rotated), .operation = "rotate"};
            if (const absl::Duration age = CurrentKeyAge(*live, now); age < config.grace_period) {
              change.warnings.push_back(base::Cat(
                  "the key that was current until now is ", DurationText(age),
                  " old, younger than the grace period of ", DurationText(config.grace_period),
                  ": some readers may not have fetched it yet"));
            }
            for (std::string& warning : change.record.Warnings(now)) {
              change.warnings.push_back(std::move(warning));
            }
            return change;
          }));
  return ChangeReply(outcome, outcome.dry_run ? std::optional(live_kid) : std::nullopt);
}

}  // namespace

std::vector<openbao::Path> RotatePaths(Mount& mount) {
  openbao::Path path;
  path.pattern = "rotate";
  path.synopsis = "Put a fresh key in front of both key sets and make it current, in one version.";
  path.description =
      "Every key that was there stays: what was sealed before opens as before. The new key gets a "
      "kid that is a UUID version 1, later than every other, and material of its own in each set "
      "(or the same in both, where the record is mirrored or config private_jwks says "
      "so).\n\nReaders that load the record only at their start (nvcf-api, api-keys) get the new "
      "key when they are restarted; until all have, one may seal with a key that another lacks.";
  path.fields = WriteFields();
  path.fields.push_back({.name = "activation",
                         .type = FieldType::kString,
                         .description = "When the new key becomes current: \"immediate\".",
                         .allowed = {"immediate"}});
  path.fields.push_back(
      {.name = "force",
       .type = FieldType::kBool,
       .description = "Rotate even while a staged key waits for its activation."});
  path.operations.push_back({.operation = openbao::Operation::kUpdate,
                             .handler = Bind(mount, Rotate),
                             .summary = "Rotate the Master Encryption Key.",
                             .active_node_only = true});
  return {path};
}

}  // namespace engine
