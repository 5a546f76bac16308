#include <optional>
#include <utility>

#include "base/status_macros.h"
#include "base/text.h"
#include "engine/operations.h"
#include "engine/paths.h"
#include "engine/reply.h"

namespace engine {
namespace {

using base::JsonText;
using mek::DurationText;
using openbao::FieldData;
using openbao::FieldType;
using openbao::Request;
using openbao::Response;

Response Show(const Config& config) {
  Response response;
  response.data = {{"activation", JsonText(ActivationName(config.stages))},
                   {"grace_period", JsonText(DurationText(config.grace_period))},
                   {"required_acks", TextList(config.required_acks)},
                   {"activate_early", config.activate_early},
                   {"reader_margin", JsonText(DurationText(config.reader_margin))},
                   {"reader_timeout", JsonText(DurationText(config.reader_timeout))},
                   {"auto_rotate_period", JsonText(DurationText(config.auto_rotate_period))},
                   {"rotation_schedule", JsonText(config.rotation_schedule)},
                   {"rotation_window", JsonText(DurationText(config.rotation_window))},
                   {"max_versions", config.max_versions},
                   {"private_jwks", JsonText(PrivateJwksName(config.private_jwks))}};
  return response;
}

Answer Read(Mount& mount, const Request& request, const FieldData&) {
  ASSIGN_OR_RETURN(const Config config, mount.config().Get(*request.storage));
  return Show(config);
}

// Whether the engine rotates at its next tick. No record, or none that can be read, is not for the
// settings to report; and a schedule skips while a key is staged.
bool IsDue(const absl::StatusOr<VersionPtr>& live, const Config& config, absl::Time now) {
  if (!live.ok() || *live == nullptr || (*live)->doc.staged_kid.has_value()) return false;
  return RotationDueNow((*live)->doc, config, now).due.has_value();
}

bool HasPlanOf(const Config& a, const Config& b) {
  return a.auto_rotate_period == b.auto_rotate_period &&
         a.rotation_schedule == b.rotation_schedule && a.rotation_window == b.rotation_window;
}

Answer Write(Mount& mount, const Request& request, const FieldData& data) {
  ASSIGN_OR_RETURN(const FairLock::Holder holder, mount.Lock(request));
  ASSIGN_OR_RETURN(const Config before, mount.config().Get(*request.storage));
  Config config = before;
  if (const auto name = data.String("activation"); name.has_value()) {
    config.stages = *name == "staged";
  }
  config.grace_period = data.Duration("grace_period").value_or(config.grace_period);
  config.required_acks = data.StringList("required_acks").value_or(config.required_acks);
  config.activate_early = data.Bool("activate_early").value_or(config.activate_early);
  if (config.activate_early && !before.activate_early) config.early_set_time = mount.Now();
  config.reader_margin = data.Duration("reader_margin").value_or(config.reader_margin);
  config.reader_timeout = data.Duration("reader_timeout").value_or(config.reader_timeout);
  config.auto_rotate_period =
      data.Duration("auto_rotate_period").value_or(config.auto_rotate_period);
  config.rotation_schedule =
      std::string(data.String("rotation_schedule").value_or(config.rotation_schedule));
  config.rotation_window = data.Duration("rotation_window").value_or(config.rotation_window);
  config.max_versions = data.Unsigned("max_versions").value_or(config.max_versions);
  if (const auto name = data.String("private_jwks"); name.has_value()) {
    config.private_jwks = *ParsePrivateJwks(*name);
  }
  // A time ahead was written while the clock was wrong, and would let no time count.
  if (config.auto_rotate_period != before.auto_rotate_period ||
      config.rotation_schedule != before.rotation_schedule || config.plan_set_time > mount.Now()) {
    config.plan_set_time = mount.Now();
  }
  RETURN_IF_ERROR(config.Check(mount.Now()));
  RETURN_IF_ERROR(mount.config().Put(*request.storage, config));
  mount.logger().Info("the settings were changed",
                      {{"mount", request.mount_point}, {"display_name", request.display_name}});
  Response response = Show(config);
  if (HasPlanOf(config, before)) return response;
  const absl::StatusOr<VersionPtr> live = mount.records().Live(*request.storage);
  if (IsDue(live, config, mount.Now()) && !IsDue(live, before, mount.Now())) {
    response.warnings.emplace_back(
        "with these settings a rotation is due, and begins within a minute. If that is not meant, "
        "write the earlier ones again before");
  }
  return response;
}

std::vector<openbao::Field> Fields() {
  return {
      {.name = "activation",
       .type = FieldType::kString,
       .description = "What rotate does unless it is told otherwise: \"immediate\" (the new key is "
                      "current at once) or \"staged\" (it waits until its readers have it).",
       .allowed = {"immediate", "staged"}},
      {.name = "grace_period",
       .type = FieldType::kDuration,
       .description = "How long a new key counts as still spreading among readers (48h). A staged "
                      "key becomes current by itself after it."},
      {.name = "required_acks",
       .type = FieldType::kStringList,
       .description = "The consumers that must have acknowledged a staged key (write ack) before "
                      "it becomes current by itself, such as nvcf-api,api-keys. Empty: none."},
      {.name = "activate_early",
       .type = FieldType::kBool,
       .description =
           "Activate a staged key before the grace period is over, once every known reader has "
           "fetched it reader_margin ago and the acknowledgements are in (false). Reads then all "
           "go to the active node; the first reader_timeout after it is turned on only gets to "
           "know the readers."},
      {.name = "reader_margin",
       .type = FieldType::kDuration,
       .description = "How long after a reader fetched a key it is taken to use it (30m)."},
      {.name = "reader_timeout",
       .type = FieldType::kDuration,
       .description = "A reader not seen for that long counts no more (24h)."},
      {.name = "auto_rotate_period",
       .type = FieldType::kDuration,
       .description = "Rotate when the newest key is that old; at least 1h, 0 for never (0). A "
                      "manual rotation begins the period anew."},
      {.name = "rotation_schedule",
       .type = FieldType::kString,
       .description = "Rotate at these times, in crontab's five fields and UTC, such as \"0 3 1 "
                      "*/3 *\". In place of auto_rotate_period. A manual rotation makes up "
                      "for a time that was missed, or at which the automatic one fails, and takes "
                      "no later one away. Empty: never."},
      {.name = "rotation_window",
       .type = FieldType::kDuration,
       .description = "How long after a time of the schedule the rotation may still begin, if it "
                      "couldn't then; at least 1h, 0 for until the next time (0). A wider one, "
                      "or 0, takes up a time that was missed: the rotation then begins within a "
                      "minute."},
      {.name = "max_versions",
       .type = FieldType::kUnsigned,
       .description = "How many versions are kept (100), 2 to 10000. More are kept while one holds "
                      "a key that is kept nowhere else."},
      {.name = "private_jwks",
       .type = FieldType::kString,
       .description = "The new key's material in private_jwks: \"mirror\" (that of keys), "
                      "\"independent\" (its own), or \"auto\" (as the record is). Existing keys "
                      "are never touched.",
       .allowed = {"auto", "mirror", "independent"}},
  };
}

}  // namespace

std::vector<openbao::Path> ConfigPaths() {
  openbao::Path path;
  path.pattern = "config";
  path.synopsis = "The mount's settings. What a write leaves out stays as it is.";
  path.fields = Fields();
  path.operations = {{.operation = openbao::Operation::kRead,
                      .handler = Bind(Read),
                      .summary = "Read the settings."},
                     {.operation = openbao::Operation::kUpdate,
                      .handler = Bind(Write),
                      .summary = "Change settings.",
                      .active_node_only = true}};
  return {path};
}

}  // namespace engine
