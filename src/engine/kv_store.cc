#include "engine/kv_store.h"

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_format.h"
#include "base/status_macros.h"
#include "base/text.h"
#include "engine/kv_time.h"
#include "engine/mount.h"
#include "engine/version_name.h"
#include "mek/rotation.h"

namespace engine {
namespace {

using base::Cat;
using base::Json;

constexpr std::string_view kIntents = "kv/intents/";
constexpr char kCreated[] = "kv/created";
// The operation of a version that another hand made.
constexpr char kExternal[] = "external";
// Attempts at one version whose outcome is open at the same time.
constexpr std::size_t kMaxIntents = 8;

absl::Status ChangedByHand(std::uint64_t live) {
  return absl::AbortedError(
      Cat("the KV secret was changed by hand meanwhile: it is not at version ", live,
          " any more. Nothing was changed; read status and try again"));
}

absl::Status MaybeDone(std::uint64_t number, const absl::Status& why) {
  return MaybeWritten(number, " to the KV secret", why);
}

absl::Status Deleted(const kvclient::SecretVersion& version) {
  if (version.destroyed) {
    return absl::FailedPreconditionError(
        Cat("version ", version.number,
            ", the newest of the KV secret, was destroyed there: write an earlier version back "
            "with bao kv rollback, or bring the record home with config/home type=mount "
            "force=true"));
  }
  return absl::FailedPreconditionError(Cat("version ", version.number,
                                           ", the newest of the KV secret, was deleted there: bao "
                                           "kv undelete -versions=",
                                           version.number, " brings it back"));
}

absl::Status Lagging(std::uint64_t answered, std::uint64_t known) {
  return absl::UnavailableError(
      Cat("the KV server answers with an older state of the secret (version ", answered,
          ", and version ", known,
          " was there): a standby that lags behind? Nothing was changed; try again, and set "
          "address to the active node's. If that server was restored from a backup, config/home "
          "type=mount force=true brings the newest record known here home"));
}

absl::Status Gone() {
  return absl::FailedPreconditionError(
      "the KV secret is gone, with all its versions. Its last record is here: config/home "
      "type=mount force=true brings it back into the mount");
}

// The keys of the record but for destroyed ones.
std::vector<mek::SetKey> KeysOf(const mek::Record& record, const mek::KidTimes& destroyed) {
  std::vector<mek::SetKey> keys;
  for (const mek::Set set : mek::kSets) {
    for (const mek::Jwk& jwk : record.set(set).keys()) {
      if (!destroyed.contains(jwk.kid())) keys.push_back({set, jwk.Clone()});
    }
  }
  return keys;
}

// Takes the destroyed keys out; false if the current one is among them, which stays.
absl::StatusOr<bool> TakeOutDestroyed(const mek::KidTimes& destroyed, mek::VersionDoc& doc) {
  for (const auto& [kid, time] : destroyed) {
    ASSIGN_OR_RETURN(const bool is_left, mek::TakeOut(kid, doc));
    if (!is_left) return false;
  }
  return true;
}

}  // namespace

bool SameContent(const Json& a, const Json& b) {
  if (a.is_object() && b.is_object()) {
    return a.size() == b.size() && std::ranges::all_of(a.items(), [&](const auto& member) {
             const auto other = b.find(member.key());
             return other != b.end() && SameContent(member.value(), *other);
           });
  }
  if (a.is_array() && b.is_array()) return std::ranges::equal(a, b, SameContent);
  return a == b;
}

void AddDeleted(std::set<std::uint64_t> all, mek::VersionDoc& doc) {
  all.insert(doc.deleted_versions.begin(), doc.deleted_versions.end());
  doc.deleted_versions.assign(all.begin(), all.end());
}

absl::Status ArchiveMissing(ArchiveStore& archive, openbao::Storage& storage,
                            std::vector<mek::SetKey> keys, absl::Time now, std::uint64_t version,
                            mek::DropReason reason) {
  std::vector<mek::SetKey> missing;
  for (mek::SetKey& key : keys) {
    ASSIGN_OR_RETURN(const bool archived, archive.Holds(storage, key));
    if (!archived) missing.push_back(std::move(key));
  }
  return archive.Add(storage, std::move(missing), now, version, reason);
}

absl::Status KvStore::ArchiveKeys(openbao::Storage& storage, const mek::VersionDoc& doc,
                                  std::uint64_t number, mek::DropReason reason) {
  ASSIGN_OR_RETURN(const std::optional<Version> newest, NewestCopy(storage));
  const mek::KeyMarks& marks = newest.has_value() ? newest->doc.marks : doc.marks;
  return ArchiveMissing(archive_, storage, KeysOf(doc.record, marks.destroyed), doc.created_time,
                        number, reason);
}

absl::Status KvStore::ArchiveTaken(openbao::Storage& storage, std::vector<mek::SetKey> keys,
                                   absl::Time now, std::uint64_t version, mek::DropReason reason,
                                   bool is_home) {
  return is_home ? archive_.Add(storage, std::move(keys), now, version, reason)
                 : ArchiveMissing(archive_, storage, std::move(keys), now, version, reason);
}

absl::Status KvStore::ArchiveLost(openbao::Storage& storage, const Version& external,
                                  bool is_home) {
  ASSIGN_OR_RETURN(const std::optional<Version> before, CopyBefore(storage, external.number));
  if (!before.has_value()) return absl::OkStatus();
  std::vector<mek::SetKey> taken;
  std::vector<mek::SetKey> mended;
  for (mek::SetKey& key : KeysToArchive(before->doc.record, external.doc)) {
    ASSIGN_OR_RETURN(const bool is_mended, IsMended(storage, key, external.doc.record));
    (is_mended ? mended : taken).push_back(std::move(key));
  }
  RETURN_IF_ERROR(ArchiveTaken(storage, std::move(taken), external.doc.created_time,
                               external.number, mek::DropReason::kExternal, is_home));
  return ArchiveTaken(storage, std::move(mended), external.doc.created_time, external.number,
                      mek::DropReason::kDropped, is_home);
}

absl::Status KvStore::ArchiveRest(openbao::Storage& storage, const Version& left_out,
                                  const std::optional<Version>& newest,
                                  const mek::KidTimes& destroyed) {
  const mek::Record& record = left_out.doc.record;
  std::vector<mek::SetKey> rest =
      newest.has_value() ? KeysToArchive(record, newest->doc) : KeysOf(record, destroyed);
  std::erase_if(rest, [&](const mek::SetKey& key) { return destroyed.contains(key.jwk.kid()); });
  return ArchiveMissing(archive_, storage, std::move(rest), left_out.doc.created_time,
                        left_out.number, mek::DropReason::kExternal);
}

absl::StatusOr<bool> KvStore::IsMended(openbao::Storage& storage, const mek::SetKey& displaced,
                                       const mek::Record& record) {
  const std::string& kid = displaced.jwk.kid();
  const mek::Jwk* const now = record.set(displaced.set).Find(kid);
  if (now == nullptr) return false;
  ASSIGN_OR_RETURN(const std::optional<mek::ArchiveEntry> entry, archive_.Get(storage, kid));
  return entry.has_value() && std::ranges::any_of(entry->keys(), [&](const mek::ArchivedKey& key) {
           return key.key.set == displaced.set && key.reason == mek::DropReason::kExternal &&
                  key.key.jwk.HasKeyOf(*now);
         });
}

absl::StatusOr<std::optional<Version>> KvStore::CopyBefore(openbao::Storage& storage,
                                                           std::uint64_t number) {
  ASSIGN_OR_RETURN(const std::vector<std::uint64_t> copies, copies_.List(storage));
  const auto after = std::ranges::lower_bound(copies, number);
  if (after == copies.begin()) return std::nullopt;
  return copies_.Get(storage, *std::prev(after));
}

absl::StatusOr<std::vector<KvStore::Intent>> KvStore::Intents(openbao::Storage& storage) {
  ASSIGN_OR_RETURN(const std::vector<std::string> names, storage.List(kIntents));
  std::vector<Intent> intents;
  for (const std::string& name : names) {
    const std::optional<std::uint64_t> number =
        ParseVersionName(std::string_view(name).substr(0, kVersionNameSize));
    if (!number.has_value()) return UnknownEntry(kIntents);
    intents.push_back({Cat(kIntents, name), *number});
  }
  return intents;
}

absl::StatusOr<mek::VersionDoc> KvStore::IntentDoc(openbao::Storage& storage,
                                                   const Intent& intent) {
  ASSIGN_OR_RETURN(const std::optional<base::SecretBytes> entry, storage.Get(intent.key));
  if (!entry.has_value()) return absl::NotFoundError("an intent is gone");
  return mek::VersionDoc::Parse(Cat("what was to become version ", intent.number), entry->view());
}

absl::Status KvStore::Abandon(openbao::Storage& storage, const Intent& intent) {
  ASSIGN_OR_RETURN(const mek::VersionDoc doc, IntentDoc(storage, intent));
  RETURN_IF_ERROR(ArchiveKeys(storage, doc, intent.number, mek::DropReason::kDropped));
  return storage.Delete(intent.key);
}

absl::StatusOr<std::optional<Version>> KvStore::NewestCopy(openbao::Storage& storage) {
  ASSIGN_OR_RETURN(const std::vector<std::uint64_t> copies, copies_.List(storage));
  if (copies.empty()) return std::nullopt;
  return copies_.Get(storage, copies.back());
}

absl::StatusOr<Version> KvStore::External(openbao::Storage& storage,
                                          const kvclient::SecretVersion& version) {
  absl::StatusOr<mek::Record> record = mek::Record::Parse(*version.data);
  if (!record.ok()) {
    return absl::FailedPreconditionError(
        Cat("version ", version.number,
            " of the KV secret, which was not written from here, is no valid record: ",
            record.status().message(),
            ". Put it right there (bao kv put, or bao kv rollback to a version before it)"));
  }
  mek::VersionDoc doc{.record = *std::move(record)};
  doc.operation = kExternal;
  doc.created_time = version.created_time;
  doc.effective_time = version.created_time;
  doc.rotated_version = version.number;

  ASSIGN_OR_RETURN(const std::optional<Version> before, CopyBefore(storage, version.number));
  if (before.has_value()) {
    CarryOn(*before, Change{.record = doc.record.Clone(), .operation = doc.operation}, doc);
    NoteAdded(&*before, /*new_key=*/false, doc);
  }
  return Version{version.number, std::move(doc)};
}

absl::StatusOr<Version> KvStore::Known(openbao::Storage& storage,
                                       const kvclient::SecretVersion& version) {
  ASSIGN_OR_RETURN(std::optional<Version> copy, copies_.Get(storage, version.number));
  if (copy.has_value() && SameContent(copy->doc.record.ToJson(), *version.data)) {
    return *std::move(copy);
  }
  ASSIGN_OR_RETURN(const std::vector<Intent> intents, Intents(storage));
  for (const Intent& intent : intents) {
    if (intent.number != version.number) continue;
    ASSIGN_OR_RETURN(mek::VersionDoc doc, IntentDoc(storage, intent));
    if (SameContent(doc.record.ToJson(), *version.data)) {
      return Version{version.number, std::move(doc)};
    }
  }
  return External(storage, version);
}

absl::StatusOr<VersionPtr> KvStore::Live(openbao::Storage& storage) {
  ASSIGN_OR_RETURN(std::optional<Version> live, StoredLive(storage));
  return live.has_value() ? Share(*std::move(live)) : nullptr;
}

absl::StatusOr<std::optional<Version>> KvStore::StoredLive(openbao::Storage& storage) {
  ASSIGN_OR_RETURN(const std::optional<kvclient::SecretVersion> newest, secret_->Read(0));
  if (!newest.has_value()) {
    ASSIGN_OR_RETURN(const std::vector<std::uint64_t> copies, copies_.List(storage));
    if (copies.empty()) return std::nullopt;
    return Gone();
  }
  if (newest->number < seen_) {
    ASSIGN_OR_RETURN(const auto metadata, secret_->ReadMetadata());
    ASSIGN_OR_RETURN(const std::optional<base::SecretBytes> created, storage.Get(kCreated));
    // Else it is one made anew, which CatchUp sees to.
    if (!metadata.has_value() || !created.has_value() ||
        created->view() == metadata->created_time) {
      return Lagging(newest->number, seen_);
    }
  }
  if (!newest->data.has_value()) return Deleted(*newest);
  ASSIGN_OR_RETURN(Version live, Known(storage, *newest));
  return live;
}

absl::StatusOr<std::optional<Version>> KvStore::Get(openbao::Storage& storage,
                                                    std::uint64_t number) {
  if (number == 0) return std::nullopt;
  ASSIGN_OR_RETURN(std::optional<Version> copy, copies_.Get(storage, number));
  if (copy.has_value()) return copy;
  ASSIGN_OR_RETURN(const std::optional<kvclient::SecretVersion> version, secret_->Read(number));
  if (!version.has_value() || !version->data.has_value()) return std::nullopt;
  ASSIGN_OR_RETURN(Version known, Known(storage, *version));
  // Of a past version there may be no copy for the very reason that it holds a destroyed key.
  ASSIGN_OR_RETURN(const std::optional<Version> newest, NewestCopy(storage));
  if (newest.has_value() && number < newest->number) {
    ASSIGN_OR_RETURN(const bool is_left, TakeOutDestroyed(newest->doc.marks.destroyed, known.doc));
    if (!is_left) return std::nullopt;
  }
  return known;
}

absl::StatusOr<std::vector<std::uint64_t>> KvStore::List(openbao::Storage& storage) {
  ASSIGN_OR_RETURN(const std::optional<kvclient::SecretVersion> newest, secret_->Read(0));
  ASSIGN_OR_RETURN(std::vector<std::uint64_t> numbers, copies_.List(storage));
  if (!newest.has_value()) return numbers;
  // Copies beyond it are of a secret that was there before.
  std::erase_if(numbers, [&](std::uint64_t number) { return number > newest->number; });
  if (newest->data.has_value() && (numbers.empty() || numbers.back() != newest->number)) {
    numbers.push_back(newest->number);
  }
  return numbers;
}

absl::Status KvStore::Append(openbao::Storage& storage, const VersionPtr& version,
                             const base::SecretBytes& document) {
  const std::uint64_t number = version->number;
  const mek::VersionDoc& doc = version->doc;
  ASSIGN_OR_RETURN(std::vector<Intent> open, Intents(storage));
  std::erase_if(open, [&](const Intent& intent) { return intent.number != number; });
  std::uint64_t ordinal = 1;
  if (!open.empty()) {
    const std::string& last = open.back().key;
    if (!absl::SimpleAtoi(last.substr(last.rfind('-') + 1), &ordinal)) ordinal = 0;
    ++ordinal;
  }
  if (open.size() >= kMaxIntents) RETURN_IF_ERROR(Abandon(storage, open.front()));
  const Intent intent{
      absl::StrFormat("%s%s-%010u", std::string(kIntents), VersionName(number), ordinal), number};
  RETURN_IF_ERROR(storage.Put(intent.key, document));

  const kvclient::Written written = secret_->Write(number - 1, doc.record.ToJson());
  absl::Status settled;
  switch (written.result) {
    case kvclient::Written::Result::kDone:
      break;
    case kvclient::Written::Result::kRefused:
      settled =
          absl::Status(written.why.code(), Cat(written.why.message(), ". Nothing was changed"));
      break;
    case kvclient::Written::Result::kConflict:  // a proxy may have sent it twice
    case kvclient::Written::Result::kUnknown:
      settled = Settle(number, doc, written.why);
      if (absl::IsUnavailable(settled)) return settled;
      break;
  }
  if (settled.ok()) seen_ = number;
  // An intent left over is settled by CatchUp.
  if (settled.ok() && !copies_.Rewrite(storage, number, document).ok()) return absl::OkStatus();
  storage.Delete(intent.key).IgnoreError();
  return settled;
}

absl::Status KvStore::Settle(std::uint64_t number, const mek::VersionDoc& doc,
                             const absl::Status& why) {
  const kvclient::Allowance more = kvclient::Allowance::AtLeast(kSettleTime);
  absl::StatusOr<std::optional<kvclient::SecretVersion>> there = secret_->Read(0);
  if (there.ok() && there->has_value() && (*there)->number > number) there = secret_->Read(number);
  if (!there.ok()) return MaybeDone(number, why);
  if (!there->has_value() || (*there)->number < number) return MaybeDone(number, why);
  // Deleted or destroyed by another hand: it may have been ours, and read. CatchUp keeps its keys.
  if (!(*there)->data.has_value()) return MaybeDone(number, why);
  return SameContent(doc.record.ToJson(), *(*there)->data) ? absl::OkStatus()
                                                           : ChangedByHand(number - 1);
}

absl::Status KvStore::Rewrite(openbao::Storage& storage, std::uint64_t number,
                              const base::SecretBytes& document) {
  return copies_.Rewrite(storage, number, document);
}

absl::Status KvStore::Prune(openbao::Storage& storage, std::uint64_t number) {
  return copies_.Prune(storage, number);
}

absl::Status KvStore::ForgetAllBut(openbao::Storage& storage, std::optional<std::uint64_t> kept,
                                   mek::DropReason reason) {
  ASSIGN_OR_RETURN(const std::vector<std::uint64_t> copies, copies_.List(storage));
  for (const std::uint64_t number : copies) {
    ASSIGN_OR_RETURN(const std::optional<Version> copy, copies_.Get(storage, number));
    if (!copy.has_value()) continue;
    RETURN_IF_ERROR(ArchiveKeys(storage, copy->doc, number, reason));
    if (number != kept) RETURN_IF_ERROR(copies_.Prune(storage, number));
  }
  ASSIGN_OR_RETURN(const std::vector<Intent> intents, Intents(storage));
  for (const Intent& intent : intents) RETURN_IF_ERROR(Abandon(storage, intent));
  return absl::OkStatus();
}

absl::Status KvStore::Forget(openbao::Storage& storage) {
  RETURN_IF_ERROR(ForgetAllBut(storage, std::nullopt, mek::DropReason::kDropped));
  return storage.Delete(kCreated);
}

absl::StatusOr<bool> KvStore::HasOpenWrites(openbao::Storage& storage) {
  ASSIGN_OR_RETURN(const std::vector<Intent> intents, Intents(storage));
  return !intents.empty();
}

absl::Status KvStore::ArchiveOpenWrites(openbao::Storage& storage) {
  ASSIGN_OR_RETURN(const std::vector<Intent> intents, Intents(storage));
  for (const Intent& intent : intents) {
    ASSIGN_OR_RETURN(const mek::VersionDoc doc, IntentDoc(storage, intent));
    RETURN_IF_ERROR(ArchiveKeys(storage, doc, intent.number, mek::DropReason::kDropped));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<StoredDoc>> KvStore::OpenWrites(openbao::Storage& storage) {
  ASSIGN_OR_RETURN(const std::vector<Intent> intents, Intents(storage));
  std::vector<StoredDoc> docs;
  for (const Intent& intent : intents) {
    absl::StatusOr<mek::VersionDoc> doc = IntentDoc(storage, intent);
    if (absl::IsDataLoss(doc.status())) continue;
    RETURN_IF_ERROR(doc.status());
    docs.push_back({intent.key, *std::move(doc)});
  }
  return docs;
}

absl::StatusOr<std::vector<std::uint64_t>> KvStore::Holding(const std::string& kid) {
  std::vector<std::uint64_t> holding;
  ASSIGN_OR_RETURN(const std::optional<kvclient::SecretMetadata> metadata, secret_->ReadMetadata());
  if (!metadata.has_value()) return holding;
  for (const auto& [number, readable] : metadata->versions) {
    if (!readable) continue;
    ASSIGN_OR_RETURN(const std::optional<kvclient::SecretVersion> version, secret_->Read(number));
    if (!version.has_value() || !version->data.has_value()) continue;
    const absl::StatusOr<mek::Record> record = mek::Record::Parse(*version->data);
    // What can't be read may hold it.
    if (!record.ok() || record->HasKid(kid)) holding.push_back(number);
  }
  return holding;
}

absl::Status KvStore::CatchUp(openbao::Storage& storage) {
  return CatchUpAs(storage, {}, /*is_home=*/true);
}

absl::Status KvStore::CatchUpForMove(openbao::Storage& storage,
                                     const mek::KidTimes& destroyed_at_home) {
  return CatchUpAs(storage, destroyed_at_home, /*is_home=*/false);
}

absl::Status KvStore::ForgetFormer(openbao::Storage& storage, const Version& newest,
                                   const kvclient::SecretMetadata& metadata, bool is_home) {
  RETURN_IF_ERROR(ForgetAllBut(storage, newest.number, mek::DropReason::kExternal));
  if (metadata.versions.empty()) return absl::OkStatus();
  return ArchiveTaken(storage, KeysOf(newest.doc.record, newest.doc.marks.destroyed),
                      newest.doc.created_time, metadata.versions.begin()->first,
                      mek::DropReason::kExternal, is_home);
}

absl::Status KvStore::CatchUpAs(openbao::Storage& storage, mek::KidTimes destroyed, bool is_home) {
  ASSIGN_OR_RETURN(const std::optional<kvclient::SecretMetadata> metadata, secret_->ReadMetadata());
  ASSIGN_OR_RETURN(std::vector<std::uint64_t> copies, copies_.List(storage));
  if (!metadata.has_value()) {
    if (copies.empty()) return absl::OkStatus();
    return Gone();
  }
  const std::uint64_t current = metadata->current_version;
  std::optional<Version> newest;
  if (!copies.empty()) {
    ASSIGN_OR_RETURN(newest, copies_.Get(storage, copies.back()));
  }
  ASSIGN_OR_RETURN(const std::optional<base::SecretBytes> created, storage.Get(kCreated));
  const bool is_known = created.has_value() && created->view() == metadata->created_time;
  const bool begun_anew = created.has_value() && !is_known && newest.has_value();
  if (begun_anew) {
    RETURN_IF_ERROR(ForgetFormer(storage, *newest, *metadata, is_home));
    copies.clear();
  } else if (newest.has_value() && newest->number > current) {
    return Lagging(current, newest->number);
  }
  if (newest.has_value()) {
    destroyed.insert(newest->doc.marks.destroyed.begin(), newest->doc.marks.destroyed.end());
  }
  std::set<std::uint64_t> left_out;
  bool stores_any = false;
  bool replaces_newest = false;
  for (const auto& [number, readable] : metadata->versions) {
    // What was pruned here, or went with a destroyed key, is not fetched again.
    if (!readable || std::ranges::binary_search(copies, number)) continue;
    if (!copies.empty() && number < copies.front()) continue;
    // Of a secret made anew the numbers mean other versions.
    if (!begun_anew && newest.has_value() &&
        std::ranges::binary_search(newest->doc.deleted_versions, number)) {
      continue;
    }
    ASSIGN_OR_RETURN(const std::optional<kvclient::SecretVersion> version, secret_->Read(number));
    // The metadata has it. (Or it was pruned just now, which the next metadata says.)
    if (!version.has_value()) return Lagging(number - 1, number);
    if (!version->data.has_value()) continue;
    absl::StatusOr<Version> known = Known(storage, *version);
    // One that is no record is not ours to keep; if it is the live one, Live says so.
    if (absl::IsFailedPrecondition(known.status())) continue;
    RETURN_IF_ERROR(known.status());
    // The secret may have a destroyed key for long, which is no reason to have it here again. The
    // live version is kept as it is, for a person to see.
    if (number != current) {
      ASSIGN_OR_RETURN(const bool is_left, TakeOutDestroyed(destroyed, known->doc));
      if (!is_left) {
        // Its other keys may be in no other version.
        RETURN_IF_ERROR(ArchiveRest(storage, *known, newest, destroyed));
        left_out.insert(number);
        continue;
      }
    }
    if (begun_anew) {
      // What was said of keys stays said; the numbers of versions mean others now.
      known->doc.marks = newest->doc.marks;
      known->doc.requests.clear();
      known->doc.deleted_versions.clear();
    }
    if (known->doc.operation == kExternal) RETURN_IF_ERROR(ArchiveLost(storage, *known, is_home));
    ASSIGN_OR_RETURN(const base::SecretBytes document, known->doc.Serialize());
    RETURN_IF_ERROR(copies_.Rewrite(storage, number, document));
    stores_any = true;
    replaces_newest |= newest.has_value() && number == newest->number;
  }
  // Until the new secret holds a record, ours is the only one, and its marks are in no other.
  if (begun_anew && !stores_any) return absl::OkStatus();
  if (begun_anew && !replaces_newest) RETURN_IF_ERROR(copies_.Prune(storage, newest->number));
  if (!left_out.empty()) RETURN_IF_ERROR(NoteDeleted(storage, std::move(left_out)));
  if (!is_known) {
    RETURN_IF_ERROR(storage.Put(kCreated, base::SecretBytes(metadata->created_time)));
  }
  seen_ = current;
  return SettleIntents(storage, current);
}

absl::Status KvStore::NoteDeleted(openbao::Storage& storage, std::set<std::uint64_t> numbers) {
  ASSIGN_OR_RETURN(std::optional<Version> newest, NewestCopy(storage));
  if (!newest.has_value()) return absl::OkStatus();
  AddDeleted(std::move(numbers), newest->doc);
  ASSIGN_OR_RETURN(const base::SecretBytes document, newest->doc.Serialize());
  return copies_.Rewrite(storage, newest->number, document);
}

absl::Status KvStore::SettleIntents(openbao::Storage& storage, std::uint64_t current) {
  ASSIGN_OR_RETURN(const std::vector<Intent> intents, Intents(storage));
  for (const Intent& intent : intents) {
    if (intent.number == current + 1) continue;  // it may still come
    ASSIGN_OR_RETURN(const std::optional<Version> copy, copies_.Get(storage, intent.number));
    if (copy.has_value()) {
      // It became that version, or lost to it; or it was that one once, and readers had its key,
      // until the server was restored from a snapshot and another one came in its place.
      const absl::StatusOr<mek::VersionDoc> doc = IntentDoc(storage, intent);
      if (doc.ok()) {
        RETURN_IF_ERROR(ArchiveMissing(archive_, storage, KeysToArchive(doc->record, copy->doc),
                                       doc->created_time, intent.number,
                                       mek::DropReason::kDropped));
      } else if (!absl::IsDataLoss(doc.status())) {
        return doc.status();
      }
      RETURN_IF_ERROR(storage.Delete(intent.key));
    } else {
      RETURN_IF_ERROR(Abandon(storage, intent));
    }
  }
  return absl::OkStatus();
}

}  // namespace engine
