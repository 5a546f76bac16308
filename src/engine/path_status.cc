#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/status_macros.h"
#include "base/text.h"
#include "engine/compromised.h"
#include "engine/known_keys.h"
#include "engine/operations.h"
#include "engine/paths.h"
#include "engine/reply.h"
#include "mek/document.h"
#include "mek/kid.h"

namespace engine {
namespace {

using base::Cat;
using base::Json;
using base::JsonText;
using mek::DurationText;
using openbao::FieldData;
using openbao::Request;
using openbao::Response;
using Failure = AutomaticRotation::Failure;

Response Empty(std::string_view home) {
  Response response;
  response.data = Json{{"home", JsonText(home)},
                       {"phase", "empty"},
                       {"version", 0},
                       {"next_step", "write init for a fresh record, or import the existing one"}};
  return response;
}

// Where the record stands, and what comes next.
struct Phase {
  std::string name;
  std::string next_step;
  std::optional<absl::Time> next_step_time = std::nullopt;
};

std::string FailureText(const Failure& failure) {
  return Cat("the automatic ", failure.what, " has failed ", failure.attempts,
             failure.attempts == 1 ? " time" : " times",
             " and is tried again within an hour: ", failure.why);
}

// A failure of `what`, and not one of something else before it.
bool IsOf(const std::optional<Failure>& failure, std::string_view what) {
  return failure.has_value() && failure->what == what;
}

Phase Staged(const std::string& kid, const mek::ActivationState& state,
             const std::optional<Failure>& failure, absl::Time now) {
  if (state.ready && IsOf(failure, AutomaticRotation::kActivation)) {
    return {"staged", Cat("the staged key may become current, but ", FailureText(*failure))};
  }
  if (state.ready) return {"staged", "the staged key becomes current within a minute", now};
  std::string step = absl::StrCat("the staged key becomes current by itself after ",
                                  absl::StrJoin(state.waiting_for, ", and "));
  if (!state.missing_acks.empty()) {
    step += Cat(". Restart these consumers, then write ack consumer=NAME kid=", kid, " for each");
    return {"staged", step};
  }
  return {"staged", step, now + state.grace_left};
}

Phase Unstaged(const mek::VersionDoc& doc, const Config& config, const mek::RotationDue& due,
               const std::optional<Failure>& failure, absl::Time now) {
  if (due.due.has_value()) {
    return {"overdue",
            IsOf(failure, AutomaticRotation::kRotation)
                ? Cat("a rotation is due, but ", FailureText(*failure))
                : "a rotation is due, and begins within a minute",
            due.due};
  }
  if (due.missed.has_value()) {
    return {"overdue",
            Cat("the scheduled rotation of ", mek::TimeText(*due.missed),
                " was missed, and its rotation_window is over: write rotate, or wait for the next "
                "time"),
            due.next};
  }
  // A clock that was set back makes an age of 0.
  const absl::Time since = AvailableSince(doc);
  if (std::max(now - since, absl::ZeroDuration()) < config.grace_period) {
    return {"propagating",
            "readers that load the record only at their start (nvcf-api, api-keys) get the current "
            "key when they are restarted",
            since + config.grace_period};
  }
  if (due.next.has_value()) return {"active", "the next automatic rotation", due.next};
  return {"active", "none; rotate when it is time"};
}

// The readers that lack the newest key, for people: up to ten by name.
absl::Status AddReaders(Mount& mount, openbao::Storage& storage, const mek::VersionDoc& doc,
                        const Config& config, Json& data) {
  constexpr std::size_t kMostNames = 10;
  ASSIGN_OR_RETURN(const std::vector<Reader> readers,
                   mount.readers().Seen(storage, mount.Now() - config.reader_timeout));
  std::vector<std::string> behind;
  std::size_t count = 0;
  for (const Reader& reader : readers) {
    if (!IsBehind(reader, doc)) continue;
    if (++count <= kMostNames) behind.push_back(Cat(reader.display_name, "@", reader.address));
  }
  data["readers"] = readers.size();
  data["readers_behind"] = count;
  if (!behind.empty()) data["behind"] = TextList(behind);
  return absl::OkStatus();
}

void AddFailure(const Failure& failure, const Phase& phase, Response& response) {
  response.data["automatic_failure"] = JsonText(failure.why);
  response.data["automatic_failure_time"] = TimeOrEmpty(failure.time);
  std::string text = FailureText(failure);
  if (!absl::StrContains(phase.next_step, text)) response.warnings.push_back(std::move(text));
}

// What another hand did in the KV secret, where the record lives, that readers suffer from.
absl::StatusOr<std::vector<std::string>> Harm(Mount& mount, openbao::Storage& storage,
                                              const mek::VersionDoc& doc) {
  std::vector<std::string> harm;
  std::vector<std::string> left;
  bool named_repair = false;
  if (auto back = DestroyedIsBack(doc); back.has_value()) harm.push_back(*std::move(back));
  ASSIGN_OR_RETURN(const ArchiveStore::Kids kids, mount.archive().List(storage));
  for (const std::string& kid : *kids) {
    const auto entry = mount.archive().Get(storage, kid);
    if (mek::IsUnreadable(entry.status())) continue;  // verify names it
    RETURN_IF_ERROR(entry.status());
    if (!entry->has_value()) continue;
    for (const mek::ArchivedKey& key : (*entry)->keys()) {
      auto taken = TakenFromReaders(key, doc, /*in_kv=*/true);
      if (!taken.has_value()) continue;
      // One repair brings back all that it brings back at all, and comes first.
      if (taken->repair_brings && std::exchange(named_repair, true)) continue;
      (taken->repair_brings ? harm : left).push_back(std::move(taken->text));
    }
  }
  for (std::string& text : left) harm.push_back(std::move(text));
  return harm;
}

Answer Status(Mount& mount, const Request& request, const FieldData&) {
  openbao::Storage& storage = *request.storage;
  ASSIGN_OR_RETURN(const auto current, mount.records().Current(storage));
  const std::string_view home = current->settings.type();
  ASSIGN_OR_RETURN(const VersionPtr live, mount.records().Live(storage));
  if (live == nullptr) return Empty(home);
  ASSIGN_OR_RETURN(const Config config, mount.config().Get(storage));
  const mek::VersionDoc& doc = live->doc;
  const mek::Record& record = doc.record;
  const absl::Time now = mount.Now();

  const mek::RotationDue due = RotationDueNow(doc, config, now);
  std::optional<mek::ActivationState> activation;
  if (doc.staged_kid.has_value()) {
    ASSIGN_OR_RETURN(activation, mount.Activation(storage, *live, config));
  }
  const std::optional<Failure> failure = mount.automatic().failure();
  Phase phase = activation.has_value() ? Staged(*doc.staged_kid, *activation, failure, now)
                                       : Unstaged(doc, config, due, failure, now);
  std::vector<std::string> harm;
  if (current->settings.in_kv) {
    ASSIGN_OR_RETURN(harm, Harm(mount, storage, doc));
  }
  if (!harm.empty()) phase = {phase.name, harm.front()};
  // The key's own age where its kid tells, as ESS reckons it.
  const absl::Time made =
      mek::UuidV1Time(record.current_kid()).value_or(doc.effective_time.value_or(doc.created_time));

  Response response;
  response.data = Json{
      {"home", JsonText(home)},
      {"version", live->number},
      {"current_kid", JsonText(record.current_kid())},
      {"current_kid_age", JsonText(DurationText(std::max(now - made, absl::ZeroDuration())))},
      {"previous_kid", JsonText(doc.previous_kid)},
      {"staged_kid", JsonText(doc.staged_kid.value_or(""))},
      {"phase", JsonText(phase.name)},
      {"next_step", JsonText(phase.next_step)},
      {"next_step_time", TimeOrEmpty(phase.next_step_time)},
      // A schedule skips while a key is staged.
      {"next_rotation_time", TimeOrEmpty(activation.has_value() ? std::nullopt
                                         : due.due.has_value()  ? due.due
                                                                : due.next)},
      {"last_operation", JsonText(doc.operation)},
      {"last_change_time", TimeOrEmpty(doc.created_time)},
      {"key_count", record.set(mek::Set::kKeys).keys().size()},
      {"private_key_count", record.set(mek::Set::kPrivateJwks).keys().size()},
      {"private_jwks", record.mirrored() ? "mirrored" : "independent"},
  };
  if (activation.has_value()) {
    response.data["staged_time"] = TimeOrEmpty(doc.staged_time);
    response.data["waiting_for"] = JsonText(absl::StrJoin(activation->waiting_for, "; "));
    response.data["missing_acks"] = TextList(activation->missing_acks);
  }
  RETURN_IF_ERROR(AddReaders(mount, storage, doc, config, response.data));
  response.warnings = std::move(harm);
  for (std::string& warning : record.Warnings(now)) {
    response.warnings.push_back(std::move(warning));
  }
  if (doc.marks.compromised.contains(record.current_kid())) {
    response.warnings.push_back(
        Cat("the current key is marked as compromised: ", HowToLeaveKey(doc.staged_kid)));
  }
  if (activation.has_value()) {
    if (std::optional<std::string> jump = mount.spread().Jump(); jump.has_value()) {
      response.warnings.push_back(*std::move(jump));
    }
  }
  if (failure.has_value()) AddFailure(*failure, phase, response);
  return response;
}

}  // namespace

std::vector<openbao::Path> StatusPaths() {
  openbao::Path path;
  path.pattern = "status";
  path.synopsis =
      "Where the record stands: version, kids, phase, and what comes next. No key material.";
  path.description =
      "phase is \"empty\" (no record), \"staged\" (a key waits for its activation), "
      "\"propagating\" (readers could fetch the current key only since less than the grace period, "
      "so some may not have it), \"overdue\" (past its rotation date) or \"active\". "
      "readers_behind counts the readers seen on the record's read paths that have not fetched the "
      "newest key.";
  path.operations.push_back({.operation = openbao::Operation::kRead,
                             .handler = Bind(Status),
                             .summary = "Read the status.",
                             .active_node_only = true});
  return {path};
}

}  // namespace engine
