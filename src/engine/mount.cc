#include "engine/mount.h"

#include <algorithm>
#include <set>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "base/text.h"
#include "mek/incoming.h"
#include "mek/rotation.h"

namespace engine {
namespace {

// Raft takes entries of up to 1 MiB (max_entry_size), the host's encryption and framing included.
constexpr std::size_t kMaxDocument = (std::size_t{1} << 20) - (std::size_t{16} << 10);

constexpr std::size_t kMaxReason = 1024;

absl::Status CheckCas(const std::optional<std::uint64_t>& cas, std::uint64_t live) {
  if (!cas.has_value() || *cas == live) return absl::OkStatus();
  return absl::InvalidArgumentError(
      live == 0 ? absl::StrCat("cas: there is no version yet (0), and cas says ", *cas,
                               ". Nothing was changed")
                : absl::StrCat("cas: the live version is ", live, ", and cas says ", *cas,
                               ". Nothing was changed; read status and try again"));
}

absl::Status CheckSize(const base::SecretBytes& document) {
  if (document.size() <= kMaxDocument) return absl::OkStatus();
  return absl::ResourceExhaustedError(absl::StrCat(
      "the record would take ", document.size(), " bytes of storage, and the most is ",
      kMaxDocument, ". Nothing was changed; reads go on. Fewer keys or fields are needed"));
}

std::set<std::string> ToSet(const std::vector<std::string>& kids) {
  return {kids.begin(), kids.end()};
}

bool HasKid(const mek::Record& record, const std::string& kid) {
  return std::ranges::any_of(mek::kSets,
                             [&](mek::Set set) { return record.set(set).Find(kid) != nullptr; });
}

}  // namespace

WriteOptions WriteOptions::From(const openbao::FieldData& data) {
  WriteOptions options;
  options.cas = data.Unsigned("cas");
  options.reason = std::string(data.String("reason").value_or(""));
  options.dry_run = data.Bool("dry_run").value_or(false);
  return options;
}

std::vector<openbao::Field> WriteFields() {
  return {{.name = "cas",
           .type = openbao::FieldType::kUnsigned,
           .description =
               "Check-and-set: change only if this is the live version's number (0: if there is no "
               "version yet). With it a request can be repeated safely."},
          {.name = "reason",
           .type = openbao::FieldType::kString,
           .description = "Why, for the history. Plain text, never a secret."},
          {.name = "dry_run",
           .type = openbao::FieldType::kBool,
           .description = "Check everything and answer as the change would, but change nothing."}};
}

void Mount::MayRemember() {
  records_.MayRemember();
  archive_.MayRemember();
  config_.MayRemember();
}

void Mount::Invalidate() {
  records_.Invalidate();
  archive_.Invalidate();
  config_.Invalidate();
}

absl::StatusOr<Version> Mount::Find(openbao::Storage& storage, std::uint64_t number) {
  ASSIGN_OR_RETURN(std::optional<Version> version, records_.Get(storage, number));
  if (version.has_value()) return *std::move(version);
  ASSIGN_OR_RETURN(const std::vector<std::uint64_t> numbers, records_.List(storage));
  if (numbers.empty())
    return absl::NotFoundError("there is no version yet: init or import one first");
  return absl::NotFoundError(absl::StrCat("there is no version ", number,
                                          "; the versions kept are ", numbers.front(), " to ",
                                          numbers.back()));
}

absl::StatusOr<std::optional<Version>> Mount::EarlierAnswer(const openbao::Request& request,
                                                            Version& live) {
  const std::optional<std::uint64_t> number = live.doc.AnswerTo(request.id);
  if (request.id.empty() || !number.has_value()) return std::nullopt;
  if (*number == live.number) return std::move(live);
  ASSIGN_OR_RETURN(std::optional<Version> earlier, records_.Get(*request.storage, *number));
  if (!earlier.has_value()) {
    return absl::FailedPreconditionError(absl::StrCat(
        "this request was carried out before, as version ", *number, ", which is pruned"));
  }
  return earlier;
}

absl::Status Mount::CheckAddedKeys(openbao::Storage& storage, const Change& change,
                                   const std::optional<Version>& live) {
  const mek::Record& record = change.record;
  std::set<std::string> added;
  if (live.has_value()) {
    RETURN_IF_ERROR(mek::CheckNoConflict(record, live->doc.record));
    for (const mek::SetKey& key : mek::KeysMissingIn(record, live->doc.record)) {
      added.insert(key.jwk.kid());
    }
  } else {
    for (const mek::Set set : mek::kSets) added.merge(ToSet(record.Kids(set)));
  }

  ASSIGN_OR_RETURN(const ArchiveStore::Kids archived, archive_.List(storage));
  std::set<std::string> unknown;
  for (const std::string& kid : added) {
    if (archived->contains(kid)) {
      ASSIGN_OR_RETURN(const std::optional<mek::ArchiveEntry> entry, archive_.Get(storage, kid));
      if (!entry.has_value()) continue;
      for (const mek::ArchivedKey& key : entry->keys()) {
        RETURN_IF_ERROR(mek::CheckNoConflict(record, key.key));
      }
    } else if (!live.has_value() || !HasKid(live->doc.record, kid)) {
      unknown.insert(kid);
    }
  }
  return change.incoming ? mek::CheckIncoming(record, unknown, Now()) : absl::OkStatus();
}

absl::StatusOr<Outcome> Mount::Apply(const openbao::Request& request, const WriteOptions& options,
                                     const Compute& compute) {
  if (options.reason.size() > kMaxReason) {
    return absl::InvalidArgumentError(
        absl::StrCat("reason: expected at most ", kMaxReason, " bytes"));
  }
  openbao::Storage& storage = *request.storage;
  ASSIGN_OR_RETURN(const FairLock::Holder holder, Lock(request));
  ASSIGN_OR_RETURN(std::optional<Version> live, records_.Live(storage));
  if (live.has_value()) {
    ASSIGN_OR_RETURN(std::optional<Version> earlier, EarlierAnswer(request, *live));
    if (earlier.has_value()) return Outcome{*std::move(earlier), {}, false};
  }
  const std::uint64_t live_number = live.has_value() ? live->number : 0;
  RETURN_IF_ERROR(CheckCas(options.cas, live_number));

  ASSIGN_OR_RETURN(Change change, compute(live));
  RETURN_IF_ERROR(CheckAddedKeys(storage, change, live));
  if (mek::ShowsKey(options.reason, change.record) ||
      (live.has_value() && mek::ShowsKey(options.reason, live->doc.record))) {
    return absl::InvalidArgumentError(
        "reason shows a key of the record, and many may read the history: say it without the key. "
        "Nothing was changed");
  }
  std::vector<mek::SetKey> dropped;
  if (live.has_value()) dropped = mek::KeysMissingIn(live->doc.record, change.record);

  const std::uint64_t next = live_number + 1;
  mek::VersionDoc doc{.record = std::move(change.record)};
  doc.operation = change.operation;
  doc.created_time = Now();
  doc.reason = options.reason;
  doc.entity_id = request.entity_id;
  doc.display_name = request.display_name;
  doc.request_id = request.id;
  doc.rolled_back_to = change.rolled_back_to;
  const bool same_key =
      live.has_value() && live->doc.record.current_kid() == doc.record.current_kid();
  if (same_key) {
    doc.previous_kid = live->doc.previous_kid;
    doc.effective_time = live->doc.effective_time;
  } else {
    doc.previous_kid = live.has_value() ? live->doc.record.current_kid() : "";
    doc.effective_time = doc.created_time;
  }
  if (live.has_value()) doc.requests = std::move(live->doc.requests);
  if (!request.id.empty()) doc.Stamp(request.id, next);
  ASSIGN_OR_RETURN(const base::SecretBytes document, doc.Serialize());
  RETURN_IF_ERROR(CheckSize(document));
  if (options.dry_run) {
    return Outcome{Version{live_number, std::move(doc)}, std::move(change.warnings), true};
  }

  RETURN_IF_ERROR(
      archive_.Add(storage, std::move(dropped), doc.created_time, next, mek::DropReason::kDropped));
  RETURN_IF_ERROR(records_.Append(storage, live_number, document));
  logger().Info("the record has a new version", {{"mount", request.mount_point},
                                                 {"operation", doc.operation},
                                                 {"version", absl::StrCat(next)},
                                                 {"current_kid", doc.record.current_kid()},
                                                 {"previous_kid", doc.previous_kid}});
  return Outcome{Version{next, std::move(doc)}, std::move(change.warnings), false};
}

absl::Status Mount::Prune(const openbao::Request& request, int limit) {
  openbao::Storage& storage = *request.storage;
  ASSIGN_OR_RETURN(const FairLock::Holder holder, Lock(request));
  ASSIGN_OR_RETURN(const Config config, config_.Get(storage));
  ASSIGN_OR_RETURN(const std::vector<std::uint64_t> numbers, records_.List(storage));
  if (numbers.size() <= config.max_versions) return absl::OkStatus();
  ASSIGN_OR_RETURN(const std::optional<Version> live, records_.Live(storage));
  const std::size_t surplus =
      std::min(numbers.size() - static_cast<std::size_t>(config.max_versions),
               static_cast<std::size_t>(limit));
  for (std::size_t i = 0; i < surplus && numbers[i] != live->number; ++i) {
    // A version that can't be read is not known to hold nothing of its own, so it stays.
    ASSIGN_OR_RETURN(const std::optional<Version> old, records_.Get(storage, numbers[i]));
    if (!old.has_value()) continue;
    // A rollback to this version is how a key that the record lacks comes back to readers.
    if (!mek::KeysMissingIn(old->doc.record, live->doc.record).empty()) break;
    RETURN_IF_ERROR(records_.Prune(storage, old->number));
  }
  return absl::OkStatus();
}

}  // namespace engine
