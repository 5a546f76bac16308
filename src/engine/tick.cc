#include "engine/tick.h"

#include <optional>
#include <string>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "base/text.h"
#include "engine/destroy.h"
#include "engine/kv_time.h"
#include "engine/operations.h"
#include "mek/document.h"
#include "sdk/logical/errors.h"

namespace engine {
namespace {

// How many old versions a tick deletes at most, while writers wait.
constexpr int kPruneAtOnce = 50;

// A request of the engine's own: nobody asked for it, and no host repeats it.
openbao::Request OwnRequest(const openbao::Request& tick) {
  openbao::Request own;
  own.operation = tick.operation;
  own.mount_point = tick.mount_point;
  own.context = tick.context;
  own.storage = tick.storage;
  return own;
}

absl::Status Settle(Mount& mount, const openbao::Request& request, std::string_view what,
                    const absl::StatusOr<Outcome>& outcome) {
  if (outcome.ok()) {
    mount.automatic().Succeeded();
    return absl::OkStatus();
  }
  // The node has just stepped down: the next active one goes on.
  if (openbao::IsReadOnlyStorage(outcome.status())) return absl::OkStatus();
  mount.automatic().Failed(std::string(what), std::string(outcome.status().message()), mount.Now(),
                           mount.Monotonic());
  mount.logger().Warn("an automatic operation failed and will be tried again",
                      {{"mount", request.mount_point},
                       {"operation", std::string(what)},
                       {"error", std::string(outcome.status().message())}});
  return outcome.status();
}

absl::Status ActivateIfTime(Mount& mount, const openbao::Request& request, const Version& live,
                            const Config& config) {
  const absl::StatusOr<mek::ActivationState> state =
      mount.Activation(*request.storage, live, config);
  if (!mount.automatic().MayTry(AutomaticRotation::kActivation, mount.Monotonic()))
    return absl::OkStatus();
  if (!state.ok()) return Settle(mount, request, AutomaticRotation::kActivation, state.status());
  if (!state->ready) {
    mount.automatic().Succeeded();
    return absl::OkStatus();
  }
  const WriteOptions write{.cas = live.number,
                           .reason = "automatic: the staged key's readers have it"};
  return Settle(mount, request, AutomaticRotation::kActivation,
                ActivateStaged(mount, request, write, /*force=*/false));
}

absl::Status RotateIfTime(Mount& mount, const openbao::Request& request, const Version& live,
                          const Config& config) {
  const mek::RotationDue due = RotationDueNow(live.doc, config, mount.Now());
  if (due.missed.has_value() && mount.automatic().IsNews(*due.missed)) {
    mount.logger().Warn("a scheduled rotation was missed, and its window is over",
                        {{"mount", request.mount_point},
                         {"time", mek::TimeText(*due.missed)},
                         {"next", due.next.has_value() ? mek::TimeText(*due.next) : ""}});
  }
  if (!due.due.has_value()) {
    // Whatever failed before, it is done with.
    mount.automatic().Succeeded();
    return absl::OkStatus();
  }
  if (!mount.automatic().MayTry(AutomaticRotation::kRotation, mount.Monotonic()))
    return absl::OkStatus();
  const WriteOptions write{
      .cas = live.number,
      .reason = config.rotation_schedule.empty()
                    ? absl::StrCat("automatic: the newest key is older than auto_rotate_period ",
                                   mek::DurationText(config.auto_rotate_period))
                    : absl::StrCat("automatic: rotation_schedule, ", mek::TimeText(*due.due))};
  const RotateOptions options{.staged = config.stages, .serves = due.due};
  return Settle(mount, request, AutomaticRotation::kRotation,
                RotateRecord(mount, request, write, options));
}

absl::Status RotateAndActivate(Mount& mount, const openbao::Request& request,
                               const Config& config) {
  ASSIGN_OR_RETURN(const VersionPtr live, mount.records().Live(*request.storage));
  if (live == nullptr) return absl::OkStatus();
  // A schedule skips while a key is staged.
  if (!live->doc.staged_kid.has_value()) return RotateIfTime(mount, request, *live, config);
  absl::Status activated = ActivateIfTime(mount, request, *live, config);
  const absl::Status kept = mount.spread().Save(*request.storage, *live->doc.staged_kid);
  return activated.ok() ? kept : activated;
}

// Each step is an operation of its own, so that a slow one leaves the others their time.
template <class Step>
absl::Status Do(const openbao::Request& request, Step step) {
  const kvclient::Allowance allowance = KvAllowance(request);
  return step();
}

}  // namespace

absl::Status Tick(Mount& mount, const openbao::Request& tick) {
  const openbao::Request request = OwnRequest(tick);
  absl::Status first;
  // With a home that can't be reached nothing of the rest can be done.
  absl::Status caught_up = Do(request, [&] { return mount.CatchUp(request); });
  if (absl::IsUnavailable(caught_up)) return caught_up;
  first.Update(caught_up);
  first.Update(Do(request, [&] { return FinishDestroying(mount, request); }));
  const absl::StatusOr<Config> config = mount.config().Get(*request.storage);
  first.Update(config.status());
  if (config.ok()) {
    first.Update(Do(request, [&] { return RotateAndActivate(mount, request, *config); }));
    const absl::Time now = mount.Now();
    first.Update(mount.readers().Save(*request.storage, now - config->reader_timeout, now));
  }
  first.Update(Do(request, [&] { return mount.Prune(request, kPruneAtOnce); }));
  return first;
}

}  // namespace engine
