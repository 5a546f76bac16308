#include "engine/mount_store.h"

#include <algorithm>
#include <string>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_format.h"
#include "absl/time/time.h"
#include "base/status_macros.h"
#include "base/text.h"
#include "base/turn.h"
#include "engine/version_name.h"
#include "sdk/logical/errors.h"

namespace engine {
namespace {

constexpr std::string_view kPrefix = "versions/";

constexpr std::size_t kMarkDigits = 16;

std::string Key(std::uint64_t number, std::string_view mark) {
  return base::Cat(kPrefix, VersionName(number), mark.empty() ? "" : "-", mark);
}

absl::Status Missing(std::uint64_t live) {
  return absl::DataLossError(
      base::Cat("version ", live, ", the live one, is missing from storage", kReadVerify));
}

bool IsMarkDigit(char c) { return absl::ascii_isdigit(c) || (c >= 'a' && c <= 'f'); }

}  // namespace

std::optional<MountStore::Name> MountStore::ParseName(std::string_view text) {
  Name name;
  const std::optional<std::uint64_t> number = ParseVersionName(text.substr(0, kVersionNameSize));
  if (!number.has_value()) return std::nullopt;
  name.number = *number;
  if (text.size() == kVersionNameSize) return name;
  name.mark = text.substr(kVersionNameSize + 1);
  if (text[kVersionNameSize] != '-' || name.mark.size() != kMarkDigits ||
      !std::ranges::all_of(name.mark, IsMarkDigit)) {
    return std::nullopt;
  }
  return name;
}

absl::StatusOr<std::vector<MountStore::Name>> MountStore::Names(openbao::Storage& storage) {
  ASSIGN_OR_RETURN(const std::vector<std::string> texts, storage.List(kPrefix));
  std::vector<Name> names;
  names.reserve(texts.size());
  for (const std::string& text : texts) {
    std::optional<Name> name = ParseName(text);
    if (!name.has_value()) return UnknownEntry(kPrefix);
    names.push_back(*std::move(name));
  }
  return names;
}

absl::StatusOr<std::map<std::uint64_t, std::string>> MountStore::Entries(
    openbao::Storage& storage) {
  ASSIGN_OR_RETURN(const std::vector<Name> names, Names(storage));
  std::map<std::uint64_t, std::string> entries;
  std::string latest;
  for (const Name& name : names) {
    std::string& mark = entries[name.number];
    mark = std::max(mark, name.mark);
    latest = std::max(latest, name.mark);
  }
  std::uint64_t seen = 0;
  if (absl::SimpleHexAtoi(latest, &seen)) {
    absl::MutexLock marking(&marking_);
    latest_mark_ = std::max(latest_mark_, seen);
  }
  return entries;
}

absl::StatusOr<std::vector<std::uint64_t>> MountStore::List(openbao::Storage& storage) {
  if (has_unsettled_) RETURN_IF_ERROR(Settle(storage).status());
  ASSIGN_OR_RETURN(const auto entries, Entries(storage));
  std::vector<std::uint64_t> numbers;
  numbers.reserve(entries.size());
  for (const auto& [number, mark] : entries) numbers.push_back(number);
  return numbers;
}

absl::StatusOr<std::optional<std::size_t>> MountStore::Count(openbao::Storage& storage) {
  ASSIGN_OR_RETURN(const KnownPtr known, Look(storage));
  return known->count;
}

absl::StatusOr<MountStore::KnownPtr> MountStore::Look(openbao::Storage& storage) {
  Remembered<KnownPtr>::Moment moment = 0;
  return Look(storage, moment);
}

absl::StatusOr<MountStore::KnownPtr> MountStore::Look(openbao::Storage& storage,
                                                      Remembered<KnownPtr>::Moment& moment) {
  if (has_unsettled_) RETURN_IF_ERROR(Settle(storage).status());
  if (auto known = known_.Get(moment); known.has_value()) return *std::move(known);
  ASSIGN_OR_RETURN(auto entries, Entries(storage));
  auto known = std::make_shared<Known>();
  if (!entries.empty()) known->live = entries.rbegin()->first;
  known->count = entries.size();
  std::erase_if(entries, [](const auto& entry) { return entry.second.empty(); });
  known->marks = std::move(entries);
  known_.Offer(moment, known);
  return known;
}

absl::StatusOr<VersionPtr> MountStore::Live(openbao::Storage& storage) {
  Remembered<KnownPtr>::Moment moment = 0;
  ASSIGN_OR_RETURN(const KnownPtr known, Look(storage, moment));
  if (known->live == 0) return VersionPtr();
  if (known->sealed != nullptr) {
    ASSIGN_OR_RETURN(VersionPtr version, known->sealed->Open());
    if (version != nullptr) return version;
  }
  ASSIGN_OR_RETURN(const std::optional<base::SecretBytes> entry,
                   storage.Get(KeyOf(*known, known->live)));
  if (!entry.has_value()) {
    Invalidate();
    return Missing(known->live);
  }
  ASSIGN_OR_RETURN(Version parsed, ParseVersion(known->live, entry->view()));
  VersionPtr version = Share(std::move(parsed));
  if (!known_.allowed()) return version;
  auto seen = std::make_shared<Known>(*known);
  seen->sealed = SealedVersion::Seal(version, entry->view());
  known_.Offer(moment, std::move(seen));
  return version;
}

absl::StatusOr<std::optional<Version>> MountStore::StoredLive(openbao::Storage& storage) {
  ASSIGN_OR_RETURN(const KnownPtr known, Look(storage));
  if (known->live == 0) return std::nullopt;
  ASSIGN_OR_RETURN(const std::optional<base::SecretBytes> entry,
                   storage.Get(KeyOf(*known, known->live)));
  if (!entry.has_value()) return Missing(known->live);
  ASSIGN_OR_RETURN(Version version, ParseVersion(known->live, entry->view()));
  if (known->sealed != nullptr) {
    const std::optional<base::SecretBytes> document = known->sealed->Document();
    if (document.has_value() && !(*document == *entry)) {
      return absl::DataLossError(base::Cat("version ", known->live,
                                           ", the live one, was changed in storage since it was "
                                           "written or read here",
                                           kReadVerify));
    }
  }
  return version;
}

absl::StatusOr<std::optional<Version>> MountStore::Get(openbao::Storage& storage,
                                                       std::uint64_t number) {
  if (number == 0) return std::nullopt;
  ASSIGN_OR_RETURN(const KnownPtr known, Look(storage));
  ASSIGN_OR_RETURN(const std::optional<base::SecretBytes> entry,
                   storage.Get(KeyOf(*known, number)));
  if (!entry.has_value()) return std::nullopt;
  return ParseVersion(number, entry->view());
}

std::string MountStore::KeyOf(const Known& known, std::uint64_t number) {
  const auto marked = known.marks.find(number);
  return Key(number, marked == known.marks.end() ? "" : marked->second);
}

std::string MountStore::NewMark() {
  if (has_written_) return "";
  absl::MutexLock marking(&marking_);
  const auto now =
      static_cast<std::uint64_t>(std::max<std::int64_t>(absl::ToUnixMicros(clock_.Now()), 0));
  latest_mark_ = std::max(now, latest_mark_ + 1);
  return absl::StrFormat("%016x", latest_mark_);
}

void MountStore::Written(std::uint64_t number, const std::string& mark,
                         std::shared_ptr<SealedVersion> sealed) {
  has_written_ = true;
  known_.Update([&](const KnownPtr& before) {
    auto known = std::make_shared<Known>();
    known->live = number;
    // Unless this was looked at when the version was there already.
    known->count = before->count + (before->live < number ? 1 : 0);
    known->marks = before->marks;
    if (!mark.empty()) known->marks[number] = mark;
    known->sealed = std::move(sealed);
    return known;
  });
}

absl::Status MountStore::Append(openbao::Storage& storage, const VersionPtr& version,
                                const base::SecretBytes& document) {
  const std::string mark = NewMark();
  absl::Status put = storage.Put(Key(version->number, mark), document);
  if (put.ok()) {
    Written(version->number, mark, SealedVersion::Seal(version, document.view()));
    return put;
  }
  // These two say that nothing was written.
  if (openbao::IsReadOnlyStorage(put) || absl::IsResourceExhausted(put)) return put;
  // An error that the server answered with is the end of that write, so a read tells what came of
  // it. With no answer the write may still be under way, and only the same document may be written
  // there.
  const bool ended = !absl::IsUnavailable(put);
  // Held until it is settled: what a reader finds out would not be told here.
  base::PassTurnOn();
  absl::MutexLock settling(&settling_);
  unsettled_ = Unsettled{.number = version->number,
                         .mark = mark,
                         .sealed = SealedVersion::Seal(version, document.view()),
                         .document = std::nullopt,
                         .ended = ended};
  if (unsettled_->sealed == nullptr) unsettled_->document = document.Clone();
  has_unsettled_ = true;
  known_.Forget();
  const absl::StatusOr<bool> landed = SettleHeld(storage);
  if (!landed.ok()) return MaybeWritten(version->number, "", put);
  return *landed ? absl::OkStatus() : put;
}

absl::StatusOr<bool> MountStore::Settle(openbao::Storage& storage) {
  base::PassTurnOn();
  absl::MutexLock settling(&settling_);
  return SettleHeld(storage);
}

absl::StatusOr<bool> MountStore::SettleHeld(openbao::Storage& storage) {
  if (!unsettled_.has_value()) return false;
  const std::string key = Key(unsettled_->number, unsettled_->mark);
  const std::optional<base::SecretBytes> document = unsettled_->sealed != nullptr
                                                        ? unsettled_->sealed->Document()
                                                        : unsettled_->document->Clone();
  if (!document.has_value()) {
    return absl::DataLossError(base::Cat("what was being written as version ", unsettled_->number,
                                         " was damaged in memory: reload the plugin"));
  }
  ASSIGN_OR_RETURN(const std::optional<base::SecretBytes> entry, storage.Get(key));
  bool landed = entry.has_value();
  if (landed && !(*entry == *document)) {
    return absl::DataLossError(
        base::Cat("version ", unsettled_->number,
                  " was written by another process while this one wrote it: "
                  "reload the plugin, which then reads what is stored, and read status"));
  }
  if (!landed && !unsettled_->ended) {
    RETURN_IF_ERROR(storage.Put(key, *document));
    landed = true;
  }
  if (landed) Written(unsettled_->number, unsettled_->mark, unsettled_->sealed);
  unsettled_.reset();
  has_unsettled_ = false;
  return landed;
}

absl::Status MountStore::Rewrite(openbao::Storage& storage, std::uint64_t number,
                                 const base::SecretBytes& document) {
  ASSIGN_OR_RETURN(const KnownPtr known, Look(storage));
  absl::Status put = storage.Put(KeyOf(*known, number), document);
  // The newest, where the record lives elsewhere. Whatever came of the Put.
  if (number == known->live) known_.Forget();
  return put;
}

absl::Status MountStore::Prune(openbao::Storage& storage, std::uint64_t number) {
  ASSIGN_OR_RETURN(const KnownPtr known, Look(storage));
  absl::Status deleted = storage.Delete(KeyOf(*known, number));
  // What stood behind it, if anything did, is now the version of that number, and is judged anew.
  // After an error it may be there still.
  if (!deleted.ok() || known->marks.contains(number) || number == known->live) {
    known_.Forget();
    return deleted;
  }
  known_.Update([&](const KnownPtr& before) {
    auto after = std::make_shared<Known>(*before);
    // Unless this was looked at when the version was gone already.
    if (after->count == known->count) --after->count;
    return after;
  });
  return deleted;
}

absl::StatusOr<std::vector<StoredDoc>> MountStore::HiddenEntries(openbao::Storage& storage) {
  ASSIGN_OR_RETURN(const KnownPtr known, Look(storage));
  ASSIGN_OR_RETURN(const std::vector<Name> names, Names(storage));
  std::vector<StoredDoc> hidden;
  for (const Name& name : names) {
    std::string key = Key(name.number, name.mark);
    if (key == KeyOf(*known, name.number)) continue;
    ASSIGN_OR_RETURN(const std::optional<base::SecretBytes> entry, storage.Get(key));
    if (!entry.has_value()) continue;
    absl::StatusOr<mek::VersionDoc> doc = mek::VersionDoc::Parse(key, entry->view());
    if (absl::IsDataLoss(doc.status())) continue;
    RETURN_IF_ERROR(doc.status());
    hidden.push_back({std::move(key), *std::move(doc)});
  }
  return hidden;
}

}  // namespace engine
