#include "engine/mount.h"

#include <algorithm>
#include <set>
#include <string>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "base/text.h"
#include "engine/compromised.h"
#include "mek/document.h"
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
                               ". Nothing was changed. Read status: if an earlier try made that "
                               "version, nothing is left to do; else try again with its number"));
}

absl::Status CheckSize(const base::SecretBytes& document) {
  if (document.size() <= kMaxDocument) return absl::OkStatus();
  return absl::ResourceExhaustedError(absl::StrCat(
      "the record would take ", document.size(), " bytes of storage, and the most is ",
      kMaxDocument, ". Nothing was changed; reads go on. Fewer keys or fields are needed"));
}

// The kids that both sets of a record have.
class KeysInBoth {
 public:
  explicit KeysInBoth(const mek::Record& record)
      : keys_(record.set(mek::Set::kKeys)), private_jwks_(record.set(mek::Set::kPrivateJwks)) {}

  bool Contain(std::string_view kid) { return keys_.Contains(kid) && private_jwks_.Contains(kid); }

 private:
  mek::KeySet::Lookup keys_;
  mek::KeySet::Lookup private_jwks_;
};

std::set<std::string> ToSet(const std::vector<std::string>& kids) {
  return {kids.begin(), kids.end()};
}

void LogVersion(base::Logger& logger, const openbao::Request& request, const Version& version) {
  const mek::VersionDoc& doc = version.doc;
  logger.Info("the record has a new version", {{"mount", request.mount_point},
                                               {"operation", doc.operation},
                                               {"version", absl::StrCat(version.number)},
                                               {"current_kid", doc.record.current_kid()},
                                               {"previous_kid", doc.previous_kid},
                                               {"staged_kid", doc.staged_kid.value_or("")},
                                               {"display_name", doc.display_name}});
}

}  // namespace

absl::Status CheckReason(const std::string& reason) {
  if (reason.size() > kMaxReason) {
    return absl::InvalidArgumentError(
        absl::StrCat("reason: expected at most ", kMaxReason, " bytes. Nothing was changed"));
  }
  if (std::ranges::any_of(
          reason, [](char c) { return absl::ascii_iscntrl(static_cast<unsigned char>(c)); })) {
    return absl::InvalidArgumentError(
        "reason: expected one line of text without control characters. Nothing was changed");
  }
  return absl::OkStatus();
}

absl::Status CheckReasonHides(const std::string& reason, const mek::Record& record) {
  if (!mek::ShowsKey(reason, record)) return absl::OkStatus();
  return absl::InvalidArgumentError(
      "reason shows a key of the record, and many may read the history: say it without the key. "
      "Nothing was changed");
}

void CarryOn(const Version& live, const Change& change, mek::VersionDoc& next) {
  const mek::VersionDoc& before = live.doc;
  const std::string& current = next.record.current_kid();
  if (before.staged_kid.has_value() && !change.unstages && !change.stages.has_value() &&
      *before.staged_kid != current && next.record.HasKidInBothSets(*before.staged_kid)) {
    next.staged_kid = before.staged_kid;
    next.staged_time = before.staged_time;
  }
  if (before.record.current_kid() == current) {
    next.previous_kid = before.previous_kid;
    next.effective_time = before.effective_time;
    next.available_time = before.available_time;
  } else {
    next.previous_kid = before.record.current_kid();
    if (before.staged_kid == current) {
      next.available_time = before.staged_time;
    } else if (!before.record.HasKidInBothSets(current)) {
      next.available_time = next.created_time;
    } else if (const auto added = before.marks.added.find(current);
               added != before.marks.added.end()) {
      next.available_time = added->second;
    }
  }
  next.rotated_time = before.rotated_time;
  next.rotated_version = before.rotated_version;
  if (change.new_key || !before.record.HasKid(current)) {
    next.rotated_time = next.created_time;
    next.rotated_version = live.number + 1;
  }
  next.scheduled_time = before.scheduled_time;
  // Times of the schedule that came while a key was staged are not made up for.
  if (before.staged_kid.has_value() && !next.staged_kid.has_value()) {
    next.scheduled_time =
        std::max(before.scheduled_time.value_or(next.created_time), next.created_time);
  }
  next.marks = before.marks;
  next.deleted_versions = before.deleted_versions;
  next.requests = before.requests;
}

void NoteAdded(const Version* live, bool new_key, mek::VersionDoc& next) {
  const bool notes = live != nullptr && !new_key;
  if (!notes && next.marks.added.empty()) return;
  KeysInBoth kept(next.record);
  std::erase_if(next.marks.added, [&](const auto& added) { return !kept.Contain(added.first); });
  if (!notes) return;
  KeysInBoth before(live->doc.record);
  for (const mek::Jwk& jwk : next.record.set(mek::Set::kKeys).keys()) {
    if (kept.Contain(jwk.kid()) && !before.Contain(jwk.kid())) {
      next.marks.added.insert_or_assign(jwk.kid(), next.created_time);
    }
  }
}

mek::VersionDoc NextDoc(const Version* live, Change change, const openbao::Request& request,
                        const std::string& reason, absl::Time now) {
  mek::VersionDoc next{.record = std::move(change.record)};
  next.operation = change.operation;
  next.created_time = now;
  next.effective_time = now;
  next.reason = reason;
  next.entity_id = request.entity_id;
  next.display_name = request.display_name;
  next.request_id = request.id;
  next.rolled_back_to = change.rolled_back_to;
  if (live != nullptr) {
    CarryOn(*live, change, next);
  } else {
    next.rotated_version = 1;
    if (change.new_key) next.rotated_time = now;
  }
  if (change.stages.has_value()) {
    next.staged_kid = change.stages;
    next.staged_time = now;
  }
  if (change.served_time.has_value()) next.scheduled_time = change.served_time;
  if (change.marks.has_value()) next.marks = *change.marks;
  NoteAdded(live, change.new_key, next);
  next.deleted_versions.insert(next.deleted_versions.end(), change.deletes_versions.begin(),
                               change.deletes_versions.end());
  std::ranges::sort(next.deleted_versions);
  if (!request.id.empty()) next.requests.Add(request.id, live != nullptr ? live->number + 1 : 1);
  return next;
}

void Change::WarnOfRecord(absl::Time now) {
  for (std::string& warning : record.Warnings(now)) warnings.push_back(std::move(warning));
}

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
  active_ = true;
  records_.MayRemember();
  archive_.MayRemember();
  config_.MayRemember();
  destruction_done_.Allow();
}

void Mount::Invalidate() {
  records_.Invalidate();
  archive_.Invalidate();
  config_.Invalidate();
  destruction_done_.Forget();
}

absl::StatusOr<Version> Mount::Find(openbao::Storage& storage, std::uint64_t number) {
  ASSIGN_OR_RETURN(std::optional<Version> version, records_.Get(storage, number));
  if (version.has_value()) return *std::move(version);
  ASSIGN_OR_RETURN(const VersionPtr live, records_.Live(storage));
  if (live != nullptr && std::ranges::binary_search(live->doc.deleted_versions, number)) {
    return absl::FailedPreconditionError(
        absl::StrCat("version ", number,
                     " was deleted, since its current key was destroyed: choose another; list "
                     "versions tells which there are"));
  }
  ASSIGN_OR_RETURN(const std::vector<std::uint64_t> numbers, records_.List(storage));
  if (numbers.empty())
    return absl::NotFoundError("there is no version yet: init or import one first");
  return absl::NotFoundError(absl::StrCat("there is no version ", number,
                                          "; the versions kept are ", numbers.front(), " to ",
                                          numbers.back()));
}

absl::StatusOr<VersionPtr> Mount::EarlierAnswer(const openbao::Request& request,
                                                const VersionPtr& live) {
  const std::optional<std::uint64_t> number = live->doc.requests.VersionOf(request.id);
  if (request.id.empty() || !number.has_value()) return VersionPtr();
  if (*number == live->number) return live;
  ASSIGN_OR_RETURN(std::optional<Version> earlier, records_.Get(*request.storage, *number));
  if (!earlier.has_value()) {
    return absl::FailedPreconditionError(absl::StrCat(
        "this request was carried out before, as version ", *number,
        ", which is pruned: nothing is left to do; read status for what became of it"));
  }
  return Share(*std::move(earlier));
}

absl::Status Mount::CheckAddedKeys(openbao::Storage& storage, const Change& change,
                                   const Version* live) {
  const mek::Record& record = change.record;
  if (live != nullptr && live->doc.record.current_kid() != record.current_kid()) {
    RETURN_IF_ERROR(CheckNotCompromised(live->doc, record.current_kid()));
  }
  std::set<std::string> added;
  if (live != nullptr) {
    if (change.replaced.empty()) {
      RETURN_IF_ERROR(mek::CheckNoConflict(record, live->doc.record));
    }
    added = mek::KidsOf(mek::KeysMissingIn(record, live->doc.record));
  } else {
    for (const mek::Set set : mek::kSets) added.merge(ToSet(record.Kids(set)));
  }

  ASSIGN_OR_RETURN(const ArchiveStore::Kids archived, archive_.List(storage));
  std::set<std::string> unknown;
  for (const std::string& kid : added) {
    if (live != nullptr && live->doc.marks.destroyed.contains(kid)) {
      return absl::FailedPreconditionError(
          absl::StrCat("kid ", kid, " was destroyed and can't come back. Nothing was changed"));
    }
    if (archived->contains(kid)) {
      ASSIGN_OR_RETURN(const std::optional<mek::ArchiveEntry> entry, archive_.Get(storage, kid));
      if (!entry.has_value()) continue;
      RETURN_IF_ERROR(entry->CheckNoConflict(record, change.replaced));
    } else if (live == nullptr || !live->doc.record.HasKid(kid)) {
      unknown.insert(kid);
    }
  }
  return change.incoming ? mek::CheckIncoming(record, unknown, Now()) : absl::OkStatus();
}

absl::StatusOr<Outcome> Mount::Apply(const openbao::Request& request, const WriteOptions& options,
                                     const Compute& compute) {
  constexpr int kAttempts = 3;
  RETURN_IF_ERROR(CheckReason(options.reason));
  absl::StatusOr<Outcome> outcome;
  bool is_new = false;
  {
    ASSIGN_OR_RETURN(FairLock::Holder holder, Lock(request));
    outcome = ApplyOnce(request, options, compute);
    for (int i = 1; i < kAttempts && absl::IsAborted(outcome.status()); ++i) {
      absl::StatusOr<Outcome> again = ApplyOnce(request, options, compute);
      // With a cas the first refusal stands: the version that the caller means is not live any
      // more.
      if (options.cas.has_value() && absl::IsInvalidArgument(again.status())) return outcome;
      outcome = std::move(again);
    }
    is_new = outcome.ok() && !outcome->dry_run && !outcome->replayed;
    // So that a writer who waits needn't parse it.
    if (is_new) holder.Leave(outcome->version);
  }
  // After the lock: nobody waits for the host to take the line. So lines may come in another order
  // than versions.
  if (is_new) LogVersion(logger(), request, *outcome->version);
  return outcome;
}

absl::StatusOr<Outcome> Mount::ApplyOnce(const openbao::Request& request,
                                         const WriteOptions& options, const Compute& compute) {
  openbao::Storage& storage = *request.storage;
  if (!options.dry_run) RETURN_IF_ERROR(records_.CatchUp(storage));
  ASSIGN_OR_RETURN(const VersionPtr live, records_.Live(storage));
  if (live != nullptr) {
    ASSIGN_OR_RETURN(VersionPtr earlier, EarlierAnswer(request, live));
    if (earlier != nullptr) {
      std::vector<std::string> warnings = earlier->doc.record.Warnings(Now());
      warnings.emplace_back(
          "this request was carried out before, when its first answer was lost: this is what it "
          "did");
      return Outcome{
          .version = std::move(earlier), .warnings = std::move(warnings), .replayed = true};
    }
  }
  const std::uint64_t live_number = live != nullptr ? live->number : 0;
  RETURN_IF_ERROR(CheckCas(options.cas, live_number));

  ASSIGN_OR_RETURN(Change change, compute(live.get()));
  RETURN_IF_ERROR(CheckAddedKeys(storage, change, live.get()));
  RETURN_IF_ERROR(CheckReasonHides(options.reason, change.record));
  if (live != nullptr) RETURN_IF_ERROR(CheckReasonHides(options.reason, live->doc.record));
  const mek::DropReason drop_reason = change.drop_reason;
  std::vector<std::string> warnings = std::move(change.warnings);
  mek::VersionDoc doc = NextDoc(live.get(), std::move(change), request, options.reason, Now());
  ASSIGN_OR_RETURN(const base::SecretBytes document, doc.Serialize());
  RETURN_IF_ERROR(CheckSize(document));
  // A dry run makes none.
  const std::uint64_t number = options.dry_run ? live_number : live_number + 1;
  Outcome outcome{.version = Share({number, std::move(doc)}),
                  .warnings = std::move(warnings),
                  .dry_run = options.dry_run};
  if (options.dry_run) return outcome;

  if (live != nullptr) {
    const mek::VersionDoc& next = outcome.version->doc;
    RETURN_IF_ERROR(archive_.Add(storage, KeysToArchive(live->doc.record, next), next.created_time,
                                 number, drop_reason));
  }
  RETURN_IF_ERROR(records_.Append(storage, outcome.version, document));
  return outcome;
}

absl::Status Mount::CatchUp(const openbao::Request& request) {
  ASSIGN_OR_RETURN(const FairLock::Holder holder, Lock(request));
  return records_.CatchUp(*request.storage);
}

absl::Status Mount::Prune(const openbao::Request& request, int limit) {
  openbao::Storage& storage = *request.storage;
  ASSIGN_OR_RETURN(const FairLock::Holder holder, Lock(request));
  ASSIGN_OR_RETURN(const Config config, config_.Get(storage));
  ASSIGN_OR_RETURN(const std::optional<std::size_t> count, records_.Count(storage));
  if (count.has_value() && *count <= config.max_versions) return absl::OkStatus();
  ASSIGN_OR_RETURN(const std::vector<std::uint64_t> numbers, records_.List(storage));
  if (numbers.size() <= config.max_versions) return absl::OkStatus();
  ASSIGN_OR_RETURN(const std::optional<Version> live, records_.StoredLive(storage));
  if (!live.has_value()) return absl::OkStatus();
  const std::size_t surplus =
      std::min(numbers.size() - static_cast<std::size_t>(config.max_versions),
               static_cast<std::size_t>(limit));
  for (std::size_t i = 0; i < surplus && numbers[i] != live->number; ++i) {
    // A version that can't be read is not known to hold nothing of its own, so it stays, and with
    // it those after it: there are no gaps.
    ASSIGN_OR_RETURN(const std::optional<Version> old, records_.Get(storage, numbers[i]));
    if (!old.has_value()) continue;
    ASSIGN_OR_RETURN(const bool kept, IsKeptElsewhere(storage, *old, *live));
    if (!kept) break;
    RETURN_IF_ERROR(records_.Prune(storage, numbers[i]));
  }
  return absl::OkStatus();
}

absl::StatusOr<bool> Mount::IsKeptElsewhere(openbao::Storage& storage, const Version& old,
                                            const Version& live) {
  for (const mek::SetKey& key : KeysToArchive(old.doc.record, live.doc)) {
    ASSIGN_OR_RETURN(const bool archived, archive_.Holds(storage, key));
    if (!archived) return false;
  }
  return true;
}

absl::StatusOr<mek::ActivationState> Mount::Activation(openbao::Storage& storage,
                                                       const Version& live, const Config& config) {
  const std::string& staged = *live.doc.staged_kid;
  mek::Spread spread;
  ASSIGN_OR_RETURN(spread.elapsed, spread_.Elapsed(storage, staged));
  if (!config.required_acks.empty()) {
    const absl::StatusOr<std::vector<Ack>> acks = GetAcks(storage);
    // What can't be read acknowledges nothing.
    if (!acks.ok() && !mek::IsUnreadable(acks.status())) return acks.status();
    for (const Ack& ack : acks.ok() ? *acks : std::vector<Ack>()) {
      if (ack.kid == staged) spread.acknowledged.push_back(ack.consumer);
    }
  }
  if (config.activate_early) {
    const absl::Time now = Now();
    ASSIGN_OR_RETURN(const std::vector<Reader> readers,
                     readers_.Seen(storage, now - config.reader_timeout));
    spread.readers = readers.size();
    // Before the setting, standbys may have served readers that were never seen here.
    spread.unknown_readers =
        readers_.incomplete() || now < config.early_set_time + config.reader_timeout;
    // Who reads the KV secret is not seen here.
    ASSIGN_OR_RETURN(const auto home, records_.Current(storage));
    if (home->settings.in_kv) spread.unknown_readers = true;
    spread.all_fetched_for = absl::InfiniteDuration();
    for (const Reader& reader : readers) {
      if (reader.accessor.empty()) spread.unknown_readers = true;
      if (reader.staged_kid != staged) {
        ++spread.behind;
      } else {
        spread.all_fetched_for =
            std::min(spread.all_fetched_for, spread.elapsed - reader.staged_kid_seen);
      }
    }
  }
  return mek::CheckActivation(config.activation_rules(), spread);
}

}  // namespace engine
