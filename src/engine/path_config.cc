#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "engine/paths.h"
#include "engine/reply.h"

namespace engine {
namespace {

using base::JsonText;
using openbao::FieldData;
using openbao::FieldType;
using openbao::Request;
using openbao::Response;

// With fewer a rollback would have nowhere to go.
constexpr std::uint64_t kLeastVersions = 2;

Response Show(const Config& config) {
  Response response;
  response.data = {{"grace_period", JsonText(DurationText(config.grace_period))},
                   {"max_versions", config.max_versions},
                   {"private_jwks", JsonText(PrivateJwksName(config.private_jwks))}};
  return response;
}

Answer Read(Mount& mount, const Request& request, const FieldData&) {
  ASSIGN_OR_RETURN(const Config config, mount.config().Get(*request.storage));
  return Show(config);
}

Answer Write(Mount& mount, const Request& request, const FieldData& data) {
  ASSIGN_OR_RETURN(const FairLock::Holder holder, mount.Lock(request));
  ASSIGN_OR_RETURN(Config config, mount.config().Get(*request.storage));
  config.grace_period = data.Duration("grace_period").value_or(config.grace_period);
  config.max_versions = data.Unsigned("max_versions").value_or(config.max_versions);
  if (const auto name = data.String("private_jwks"); name.has_value()) {
    config.private_jwks = *ParsePrivateJwks(*name);
  }
  if (config.max_versions < kLeastVersions) {
    return absl::InvalidArgumentError(
        absl::StrCat("max_versions: expected ", kLeastVersions, " or more"));
  }
  RETURN_IF_ERROR(mount.config().Put(*request.storage, config));
  return Show(config);
}

}  // namespace

std::vector<openbao::Path> ConfigPaths(Mount& mount) {
  openbao::Path path;
  path.pattern = "config";
  path.synopsis = "The mount's settings. What a write leaves out stays as it is.";
  path.fields = {
      {.name = "grace_period",
       .type = FieldType::kDuration,
       .description = "How long after a rotation the new key counts as still spreading (48h): "
                      "status shows it, "
                      "and rotate warns."},
      {.name = "max_versions",
       .type = FieldType::kUnsigned,
       .description =
           "How many versions are kept (100). More are kept while one holds a key that the "
           "record lacks."},
      {.name = "private_jwks",
       .type = FieldType::kString,
       .description = "The new key's material in private_jwks: \"mirror\" (that of keys), "
                      "\"independent\" (its "
                      "own), or \"auto\" (as the record is). Existing keys are never touched.",
       .allowed = {"auto", "mirror", "independent"}}};
  path.operations = {{.operation = openbao::Operation::kRead,
                      .handler = Bind(mount, Read),
                      .summary = "Read the settings."},
                     {.operation = openbao::Operation::kUpdate,
                      .handler = Bind(mount, Write),
                      .summary = "Change settings.",
                      .active_node_only = true}};
  return {path};
}

}  // namespace engine
