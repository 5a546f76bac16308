#include "engine/archive_store.h"

#include <algorithm>
#include <map>
#include <string_view>
#include <utility>

#include "base/status_macros.h"
#include "base/text.h"
#include "mek/kid.h"

namespace engine {
namespace {

constexpr std::string_view kPrefix = "archive/";

std::string Key(std::string kid) {
  std::ranges::replace(kid, '.', '~');
  return base::Cat(kPrefix, kid);
}

std::string Kid(std::string name) {
  std::ranges::replace(name, '~', '.');
  return name;
}

}  // namespace

absl::StatusOr<ArchiveStore::Kids> ArchiveStore::List(openbao::Storage& storage) {
  Remembered<Kids>::Moment moment = 0;
  if (const std::optional<Kids> known = kids_.Get(moment); known.has_value()) return *known;
  ASSIGN_OR_RETURN(std::vector<std::string> names, storage.List(kPrefix));
  std::set<std::string> kids;
  for (std::string& name : names) {
    std::string kid = Kid(std::move(name));
    // Remembered, it would hide what is archived from every later check.
    if (!mek::IsValidKid(kid)) {
      return absl::DataLossError(
          base::Cat("storage holds an entry under ", kPrefix,
                    " that no version of this plugin known here writes; nothing is changed until "
                    "it is looked at"));
    }
    kids.insert(std::move(kid));
  }
  auto listed = std::make_shared<const std::set<std::string>>(std::move(kids));
  kids_.Offer(moment, listed);
  return listed;
}

absl::StatusOr<std::optional<mek::ArchiveEntry>> ArchiveStore::Get(openbao::Storage& storage,
                                                                   const std::string& kid) {
  ASSIGN_OR_RETURN(const std::optional<base::SecretBytes> entry, storage.Get(Key(kid)));
  if (!entry.has_value()) return std::nullopt;
  ASSIGN_OR_RETURN(mek::ArchiveEntry parsed, mek::ArchiveEntry::Parse(kid, entry->view()));
  return parsed;
}

absl::StatusOr<bool> ArchiveStore::Holds(openbao::Storage& storage, const mek::SetKey& key) {
  ASSIGN_OR_RETURN(const std::optional<mek::ArchiveEntry> entry, Get(storage, key.jwk.kid()));
  return entry.has_value() && entry->Holds(key);
}

absl::Status ArchiveStore::Add(openbao::Storage& storage, std::vector<mek::SetKey> keys,
                               absl::Time now, std::uint64_t version, mek::DropReason reason) {
  std::map<std::string, std::vector<mek::SetKey>> by_kid;
  for (mek::SetKey& key : keys) by_kid[key.jwk.kid()].push_back(std::move(key));
  for (auto& [kid, of_kid] : by_kid) {
    ASSIGN_OR_RETURN(std::optional<mek::ArchiveEntry> entry, Get(storage, kid));
    base::SecretBytes before;
    if (entry.has_value()) {
      ASSIGN_OR_RETURN(before, entry->Serialize());
    } else {
      entry.emplace(kid);
    }
    for (mek::SetKey& key : of_kid)
      RETURN_IF_ERROR(entry->Add(std::move(key), now, version, reason));
    ASSIGN_OR_RETURN(const base::SecretBytes document, entry->Serialize());
    // Said again from tick to tick, as long as another hand leaves things so.
    if (document == before) continue;
    const absl::Status put = storage.Put(Key(kid), document);
    kids_.Written(put);
    RETURN_IF_ERROR(put);
  }
  return absl::OkStatus();
}

absl::Status ArchiveStore::Destroy(openbao::Storage& storage, const std::string& kid) {
  absl::Status deleted = storage.Delete(Key(kid));
  kids_.Forget();
  return deleted;
}

std::optional<absl::Time> LatestKidTime(const std::set<std::string>& kids) {
  std::optional<absl::Time> latest;
  for (const std::string& kid : kids) {
    const std::optional<absl::Time> time = mek::UuidV1Time(kid);
    if (time.has_value() && (!latest.has_value() || *time > *latest)) latest = time;
  }
  return latest;
}

std::vector<mek::SetKey> KeysToArchive(const mek::Record& from, const mek::VersionDoc& to) {
  std::vector<mek::SetKey> keys = mek::KeysMissingIn(from, to.record);
  std::erase_if(keys,
                [&](const mek::SetKey& key) { return to.marks.destroyed.contains(key.jwk.kid()); });
  return keys;
}

}  // namespace engine
