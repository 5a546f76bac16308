#include <optional>
#include <string>
#include <utility>

#include "base/status_macros.h"
#include "engine/operations.h"
#include "engine/paths.h"
#include "engine/reply.h"

namespace engine {
namespace {

using openbao::FieldData;
using openbao::FieldType;
using openbao::Request;
using openbao::Response;

Answer Rotate(Mount& mount, const Request& request, const FieldData& data) {
  ASSIGN_OR_RETURN(const Config config, mount.config().Get(*request.storage));
  RotateOptions options;
  options.staged = data.String("activation").value_or(ActivationName(config.stages)) == "staged";
  options.force = data.Bool("force").value_or(false);
  ASSIGN_OR_RETURN(const Outcome outcome,
                   RotateRecord(mount, request, WriteOptions::From(data), options));
  Response response = ChangeReply(outcome);
  if (outcome.dry_run) response.data[options.staged ? "staged_kid" : "current_kid"] = kNewKid;
  const mek::VersionDoc& doc = outcome.version->doc;
  if (doc.staged_time.has_value()) {
    response.data["effective_time"] = TimeOrEmpty(*doc.staged_time + config.grace_period);
  }
  return response;
}

Answer Activate(Mount& mount, const Request& request, const FieldData& data) {
  ASSIGN_OR_RETURN(const Outcome outcome, ActivateStaged(mount, request, WriteOptions::From(data),
                                                         data.Bool("force").value_or(false)));
  return ChangeReply(outcome);
}

openbao::Path RotatePath() {
  openbao::Path path;
  path.pattern = "rotate";
  path.synopsis = "Make a fresh key: current at once, or staged until its readers have it.";
  path.description =
      "Every key that was there stays: what was sealed before opens as before. The new key gets a "
      "kid that is a UUID version 1, later than every other, and material of its own in each set "
      "(or the same in both, where the record is mirrored or config private_jwks says "
      "so).\n\nactivation=immediate puts it first in both sets and makes it current, in one "
      "version. Readers that load the record only at their start (nvcf-api, api-keys) get it when "
      "they are restarted; until all have, one may seal with a key that another "
      "lacks.\n\nactivation=staged puts it last in both sets, where readers fetch it but don't "
      "seal with it. It becomes current by activate, or by itself once the grace period has "
      "passed and every consumer in config required_acks has acknowledged it. That leaves no "
      "reader behind.";
  path.fields = WriteFields();
  path.fields.push_back({.name = "activation",
                         .type = FieldType::kString,
                         .description = "When the new key becomes current: \"immediate\" or "
                                        "\"staged\"; if left out, as config says.",
                         .allowed = {"immediate", "staged"}});
  path.fields.push_back(
      {.name = "force",
       .type = FieldType::kBool,
       .description = "Rotate even while another key is staged, which then becomes a retained "
                      "one."});
  path.operations.push_back({.operation = openbao::Operation::kUpdate,
                             .handler = Bind(Rotate),
                             .summary = "Rotate the Master Encryption Key.",
                             .active_node_only = true});
  return path;
}

openbao::Path ActivatePath() {
  openbao::Path path;
  path.pattern = "activate";
  path.synopsis = "Make the staged key current.";
  path.description =
      "The staged key goes to the front of both sets and the selectors name it, in one version. "
      "Refused (409) while readers may lack it: until the grace period since its staging has "
      "passed, and every consumer in config required_acks has acknowledged it; status says what "
      "it waits for. It also happens by itself, within a minute after that.";
  path.fields = WriteFields();
  path.fields.push_back({.name = "force",
                         .type = FieldType::kBool,
                         .description = "Activate before its time. A reader that lacks the key "
                                        "can't open what is sealed with it from then on."});
  path.operations.push_back({.operation = openbao::Operation::kUpdate,
                             .handler = Bind(Activate),
                             .summary = "Activate the staged key.",
                             .active_node_only = true});
  return path;
}

}  // namespace

std::vector<openbao::Path> RotatePaths() { return {RotatePath(), ActivatePath()}; }

}  // namespace engine
