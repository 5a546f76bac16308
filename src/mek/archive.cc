#include "mek/archive.h"

#include <algorithm>
#include <utility>

#include "base/json.h"
#include "base/status_macros.h"
#include "base/text.h"
#include "mek/document.h"

namespace mek {
namespace {

using base::Cat;

constexpr std::uint64_t kArchiveSchema = 1;

absl::StatusOr<ArchivedKey> ReadKey(std::string_view what, std::string_view kid,
                                    const base::Json& value) {
  ASSIGN_OR_RETURN(const std::string set_name, ReadString(what, value, "set"));
  const auto set = std::ranges::find(kSets, set_name, SetName);
  if (set == kSets.end()) return Damaged(what, "set is neither keys nor private_jwks");

  const base::JsonString* text = base::FindString(value, "jwk");
  if (text == nullptr) return Damaged(what, "jwk is missing or not a string");
  absl::StatusOr<Jwk> jwk = Jwk::Parse(*set, 0, base::SecretBytes(std::string_view(*text)));
  if (!jwk.ok()) return Damaged(what, Cat(jwk.status().message()));
  if (jwk->kid() != kid) return Damaged(what, "it holds a key of another kid");

  ASSIGN_OR_RETURN(const std::string reason_name, ReadString(what, value, "reason"));
  ASSIGN_OR_RETURN(const absl::Time time, ReadTime(what, value, "dropped_time"));
  ASSIGN_OR_RETURN(const std::uint64_t version, ReadNumber(what, value, "dropped_by_version"));
  for (const DropReason reason :
       {DropReason::kDropped, DropReason::kRetired, DropReason::kExternal}) {
    if (reason_name == DropReasonName(reason)) {
      return ArchivedKey{{*set, *std::move(jwk)}, time, version, reason};
    }
  }
  return Damaged(what, "reason has no known value");
}

bool IsSame(const SetKey& a, const SetKey& b) { return a.set == b.set && a.jwk.HasKeyOf(b.jwk); }

}  // namespace

std::string_view DropReasonName(DropReason reason) {
  switch (reason) {
    case DropReason::kDropped:
      return "dropped";
    case DropReason::kRetired:
      return "retired";
    case DropReason::kExternal:
      return "external";
  }
  return "";
}

absl::StatusOr<ArchiveEntry> ArchiveEntry::Parse(std::string_view kid, std::string_view json) {
  const std::string what = Cat("the archive entry of kid ", kid);
  ASSIGN_OR_RETURN(const base::Json document,
                   ReadDocument(what, kArchiveSchema, {"kid", "keys"}, json));
  ASSIGN_OR_RETURN(const std::string stored_kid, ReadString(what, document, "kid"));
  if (stored_kid != kid) return Damaged(what, "it is another kid's");
  const auto keys = document.find("keys");
  if (keys == document.end() || !keys->is_array()) {
    return Damaged(what, "keys is missing or not an array");
  }
  ArchiveEntry entry{std::string(kid)};
  for (const base::Json& value : *keys) {
    ASSIGN_OR_RETURN(ArchivedKey key, ReadKey(what, kid, value));
    if (entry.Holds(key.key)) return Damaged(what, "a key stands in it twice");
    entry.keys_.push_back(std::move(key));
  }
  return entry;
}

absl::StatusOr<base::SecretBytes> ArchiveEntry::Serialize() const {
  base::Json keys = base::Json::array();
  for (const ArchivedKey& key : keys_) {
    base::Json value = base::Json::object();
    value["set"] = base::JsonText(SetName(key.key.set));
    value["jwk"] = base::JsonText(key.key.jwk.json());
    ASSIGN_OR_RETURN(value["dropped_time"], TimeJson(key.dropped_time));
    value["dropped_by_version"] = key.dropped_by_version;
    value["reason"] = base::JsonText(DropReasonName(key.reason));
    keys.push_back(std::move(value));
  }
  base::Json body = base::Json::object();
  body["kid"] = base::JsonText(kid_);
  body["keys"] = std::move(keys);
  return WriteDocument(kArchiveSchema, body);
}

absl::Status ArchiveEntry::Add(SetKey key, absl::Time dropped_time,
                               std::uint64_t dropped_by_version, DropReason reason) {
  if (key.jwk.kid() != kid_) {
    return absl::InternalError(
        Cat("kid ", key.jwk.kid(), " does not belong into the archive entry of ", kid_));
  }
  const auto there = std::ranges::find_if(
      keys_, [&](const ArchivedKey& archived) { return IsSame(archived.key, key); });
  ArchivedKey added{std::move(key), dropped_time, dropped_by_version, reason};
  if (there != keys_.end() && &*there == Find(added.key.set)) {
    *there = std::move(added);
    return absl::OkStatus();
  }
  if (there != keys_.end()) keys_.erase(there);
  keys_.push_back(std::move(added));
  return absl::OkStatus();
}

const ArchivedKey* ArchiveEntry::Find(Set set) const {
  const auto at = std::find_if(keys_.rbegin(), keys_.rend(),
                               [&](const ArchivedKey& key) { return key.key.set == set; });
  return at == keys_.rend() ? nullptr : &*at;
}

bool ArchiveEntry::Holds(const SetKey& key) const {
  return std::ranges::any_of(keys_,
                             [&](const ArchivedKey& there) { return IsSame(there.key, key); });
}

absl::Status ArchiveEntry::CheckNoConflict(const Record& candidate,
                                           const std::set<KeyRef>& but) const {
  for (const Set set : kSets) {
    const ArchivedKey* const known = Find(set);
    const Jwk* const jwk = candidate.set(set).Find(kid_);
    if (known == nullptr || jwk == nullptr || but.contains({set, kid_})) continue;
    if (!Holds({set, jwk->Clone()})) return mek::CheckNoConflict(candidate, known->key);
  }
  return absl::OkStatus();
}

}  // namespace mek
