#include "engine/operations.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/str_join.h"
#include "base/status_macros.h"
#include "base/text.h"
#include "engine/compromised.h"
#include "mek/document.h"
#include "mek/kid.h"
#include "mek/rotation.h"

namespace engine {
namespace {

using base::Cat;
using mek::DurationText;

// How long the current key has been one, as far as its kid or else its version tells. A kid's time
// can be ahead of the clock.
absl::Duration CurrentKeyAge(const mek::VersionDoc& doc, absl::Time now) {
  const std::optional<absl::Time> made = mek::UuidV1Time(doc.record.current_kid());
  return std::max(absl::ZeroDuration(),
                  now - made.value_or(doc.effective_time.value_or(doc.created_time)));
}

// The latest time in any kid that was ever known here, so that a new one is later.
std::optional<absl::Time> LatestKnown(const ArchiveStore::Kids& archived,
                                      const mek::KeyMarks& marks) {
  std::optional<absl::Time> latest = LatestKidTime(*archived);
  for (const auto& [kid, when] : marks.destroyed) {
    latest = std::max(latest, mek::UuidV1Time(kid));
  }
  return latest;
}

bool IsCompromised(const mek::VersionDoc& doc) {
  return doc.marks.compromised.contains(doc.record.current_kid());
}

absl::Status StagedAlready(const mek::VersionDoc& doc) {
  std::string text = Cat("kid ", *doc.staged_kid, " is staged and waits for its activation. ");
  if (IsCompromised(doc)) {
    text += Cat("The current key is compromised: ", HowToLeaveKey(doc.staged_kid));
  } else {
    text +=
        "Status says what for. If it is not wanted, go back to the version before the staging with "
        "rollback, if list versions has it (a move of the record's home may leave none), or write "
        "rotate activation=staged force=true: it becomes a retained key, and a new one is staged. "
        "(With activation=immediate the new one is current at once)";
  }
  return absl::FailedPreconditionError(text + ". Nothing was changed");
}

// The time of the schedule that a person's rotation makes up for: one that was missed, or that is
// due and that the engine fails to serve. Else it would stay so, or be served once more. One that
// the engine is about to serve is left to it.
std::optional<absl::Time> MadeUpFor(Mount& mount, const mek::VersionDoc& doc, const Config& config,
                                    absl::Time now) {
  const mek::RotationDue due = RotationDueNow(doc, config, now);
  const auto failure = mount.automatic().failure();
  if (failure.has_value() && failure->what == AutomaticRotation::kRotation && due.due.has_value()) {
    return due.due;
  }
  return due.missed;
}

std::vector<std::string> RotateWarnings(const mek::VersionDoc& live, const Config& config,
                                        bool staged, absl::Time now) {
  std::vector<std::string> warnings;
  if (const absl::Duration age = CurrentKeyAge(live, now); !staged && age < config.grace_period) {
    warnings.push_back(Cat("the key that was current until now is ", DurationText(age),
                           " old, younger than the grace period of ",
                           DurationText(config.grace_period),
                           ": some readers may not have fetched it yet"));
  }
  if (staged && IsCompromised(live)) {
    warnings.push_back(Cat("the current key ", live.record.current_kid(),
                           " is compromised, and readers go on sealing with it until the staged "
                           "key is activated. Not to wait for that, write activate force=true"));
  }
  return warnings;
}

}  // namespace

absl::StatusOr<Outcome> RotateRecord(Mount& mount, const openbao::Request& request,
                                     const WriteOptions& write, const RotateOptions& options) {
  ASSIGN_OR_RETURN(const Config config, mount.config().Get(*request.storage));
  std::optional<std::string> staged;
  absl::StatusOr<Outcome> outcome =
      mount.Apply(request, write, [&](const Version* live) -> absl::StatusOr<Change> {
        if (live == nullptr) {
          return absl::NotFoundError(
              "there is no record to rotate: write init for a fresh one, or import the existing "
              "one");
        }
        const mek::VersionDoc& doc = live->doc;
        if (doc.staged_kid.has_value() && !options.force) return StagedAlready(doc);
        ASSIGN_OR_RETURN(const ArchiveStore::Kids archived, mount.archive().List(*request.storage));
        const absl::Time now = mount.Now();
        ASSIGN_OR_RETURN(const mek::NewKey key,
                         mek::GenerateKey(&doc.record, LatestKnown(archived, doc.marks),
                                          config.private_jwks, now, mount.random()));
        ASSIGN_OR_RETURN(mek::Record rotated, options.staged ? mek::Stage(doc.record, key)
                                                             : mek::Rotate(doc.record, key));
        Change change{.record = std::move(rotated),
                      .operation = options.staged ? "stage" : "rotate"};
        change.new_key = true;
        change.unstages = true;
        if (options.staged) change.stages = staged = key.kid;
        change.served_time = options.serves;
        if (!options.serves.has_value()) change.served_time = MadeUpFor(mount, doc, config, now);
        change.warnings = RotateWarnings(doc, config, options.staged, now);
        change.WarnOfRecord(now);
        return change;
      });
  // Not for a replayed request, whose key was staged before.
  if (outcome.ok() && !outcome->dry_run && staged.has_value()) mount.spread().Begin(*staged);
  return outcome;
}

absl::StatusOr<Outcome> ActivateStaged(Mount& mount, const openbao::Request& request,
                                       const WriteOptions& write, bool force) {
  ASSIGN_OR_RETURN(const Config config, mount.config().Get(*request.storage));
  return mount.Apply(request, write, [&](const Version* live) -> absl::StatusOr<Change> {
    if (live == nullptr || !live->doc.staged_kid.has_value()) {
      return absl::FailedPreconditionError(
          "no key is staged: write rotate activation=staged first");
    }
    const mek::VersionDoc& doc = live->doc;
    mek::ActivationState state;
    absl::StatusOr<mek::ActivationState> known = mount.Activation(*request.storage, *live, config);
    if (known.ok()) {
      state = *std::move(known);
    } else if (force) {
      state.waiting_for.push_back(Cat("what can't be told (", known.status().message(), ")"));
    } else {
      return known.status();
    }
    if (!state.ready && !force) {
      return absl::FailedPreconditionError(
          Cat("kid ", *doc.staged_kid,
              " can't become current yet, since a reader that lacks it "
              "would meet data sealed with it. It waits for ",
              absl::StrJoin(state.waiting_for, ", and for "),
              ". Nothing was changed; it becomes current by itself when it is time"));
    }
    ASSIGN_OR_RETURN(mek::Record promoted, mek::Promote(doc.record, *doc.staged_kid));
    Change change{.record = std::move(promoted), .operation = "activate"};
    if (!state.ready) {
      change.warnings.push_back(
          Cat("activated before its time: it did not wait for ",
              absl::StrJoin(state.waiting_for, ", nor for "),
              ". A reader that lacks the key can't open what is sealed with it from now on"));
    }
    change.WarnOfRecord(mount.Now());
    return change;
  });
}

absl::Time AvailableSince(const mek::VersionDoc& doc) {
  if (doc.available_time.has_value()) return *doc.available_time;
  return mek::UuidV1Time(doc.record.current_kid())
      .value_or(doc.effective_time.value_or(doc.created_time));
}

mek::RotationDue RotationDueNow(const mek::VersionDoc& doc, const Config& config, absl::Time now) {
  // A record that came from outside tells the age of its newest key by the kids, where they are to
  // be believed.
  const absl::Time newest =
      doc.rotated_time.has_value()
          ? *doc.rotated_time
          : std::min(doc.record.LatestKidTime().value_or(doc.created_time), doc.created_time);
  return mek::WhenToRotate(
      config.rotation_plan(),
      {.newest_key = newest, .last_slot = doc.scheduled_time, .plan_set = config.plan_set_time},
      now);
}

}  // namespace engine
