#include "mek/lint.h"

#include <algorithm>
#include <cstddef>
#include <string_view>

#include "absl/container/flat_hash_map.h"
#include "base/secret.h"
#include "base/text.h"
#include "mek/document.h"
#include "mek/jwk.h"
#include "mek/key_set.h"
#include "mek/kid.h"

namespace mek {
namespace {

using base::Cat;

constexpr std::size_t kMaxListed = 10;

void AddOnce(std::vector<std::string>& kids, const std::string& kid) {
  if (std::ranges::find(kids, kid) == kids.end()) kids.push_back(kid);
}

}  // namespace

std::string ListKids(const std::vector<std::string>& kids) {
  std::string list;
  for (std::size_t i = 0; i < std::min(kids.size(), kMaxListed); ++i) {
    list += Cat(i == 0 ? "" : ", ", kids[i]);
  }
  if (kids.size() > kMaxListed) list += Cat(" and ", kids.size() - kMaxListed, " more");
  return list;
}

std::optional<std::string> CurrentKidIsNoUuidV1(const Record& record) {
  if (UuidV1Time(record.current_kid()).has_value()) return std::nullopt;
  return Cat(
      "current_kid ", record.current_kid(),
      " is not a UUID version 1: ESS refuses it at start and at every reload, and a running ESS "
      "then fails its requests. Rotate: the new kid will be one");
}

std::optional<std::string> KidTimesAhead(const Record& record, absl::Time now) {
  std::vector<std::string> ahead;
  absl::Time latest = now;
  for (const Set set : kSets) {
    for (const Jwk& jwk : record.set(set).keys()) {
      const std::optional<absl::Time> time = UuidV1Time(jwk.kid());
      if (!time.has_value() || *time <= now + kClockTolerance) continue;
      AddOnce(ahead, jwk.kid());
      latest = std::max(latest, *time);
    }
  }
  if (ahead.empty()) return std::nullopt;
  return Cat(
      "the time in these kids is in the future (latest ", TimeText(latest), "): ", ListKids(ahead),
      ". With such a current kid ESS rotates no NEK until 48 h after its time, and every new kid "
      "must be later still. Check this server's clock and that of whoever made the kid");
}

std::optional<std::string> PrivateJwksLacksKids(const Record& record) {
  KeySet::Lookup private_jwks(record.set(Set::kPrivateJwks));
  std::vector<std::string> lacking;
  for (const Jwk& jwk : record.set(Set::kKeys).keys()) {
    if (!private_jwks.Contains(jwk.kid())) lacking.push_back(jwk.kid());
  }
  if (lacking.empty()) return std::nullopt;
  return Cat(
      "private_jwks lacks kids that keys has: ", ListKids(lacking),
      ". If one of them was ever current, api-keys can't open the rows sealed under it; look for "
      "its key in older versions or the backup, and restore it");
}

std::optional<std::string> PartlyMirrored(const Record& record) {
  KeySet::Lookup twins(record.set(Set::kPrivateJwks));
  std::vector<std::string> same;
  for (const Jwk& jwk : record.set(Set::kKeys).keys()) {
    const Jwk* twin = twins.Find(jwk.kid());
    if (twin != nullptr && twin->HasKeyOf(jwk)) same.push_back(jwk.kid());
  }
  if (same.empty() || record.mirrored()) return std::nullopt;
  return Cat(
      "private_jwks holds the same key as keys under some kids and its own under the others: ",
      ListKids(same),
      ". Copying keys over private_jwks leaves this behind. If these kids had keys of their own, "
      "rows sealed with those can't be opened: an older version or the backup may hold them, and "
      "repair (version=N or backup=@FILE) brings them back");
}

std::optional<std::string> RepeatedKeys(const Record& record) {
  absl::flat_hash_map<absl::string_view, const Jwk*> first_with;
  std::vector<std::string> repeated;
  for (const Set set : kSets) {
    for (const Jwk& jwk : record.set(set).keys()) {
      const auto [at, fresh] = first_with.emplace(base::ToAbsl(jwk.key().view()), &jwk);
      if (fresh || at->second->kid() == jwk.kid()) continue;
      AddOnce(repeated, at->second->kid());
      AddOnce(repeated, jwk.kid());
    }
  }
  if (repeated.empty()) return std::nullopt;
  return Cat("different kids hold the same key: ", ListKids(repeated),
             ". A change from one to the other changed nothing; rotate to get a fresh key");
}

std::optional<std::string> TrivialKeys(const Record& record) {
  std::vector<std::string> trivial;
  for (const Set set : kSets) {
    for (const Jwk& jwk : record.set(set).keys()) {
      const std::string_view k = jwk.key().view();
      if (k.find_first_not_of(k.front()) == std::string_view::npos) AddOnce(trivial, jwk.kid());
    }
  }
  if (trivial.empty()) return std::nullopt;
  return Cat("not random keys, but one byte repeated, stand under these kids: ", ListKids(trivial),
             ". Rotate, and treat what they sealed as exposed");
}

std::optional<std::string> Placeholder(const Record& record) {
  const base::SecretBytes text = record.set(Set::kPrivateJwks).json();
  if (text.view().find("${") == std::string_view::npos) return std::nullopt;
  return "the decoded private_jwks contains a literal \"${\": api-keys takes it for a placeholder "
         "of its configuration and may not start. Remove it from the member of the JWKS that holds "
         "it";
}

}  // namespace mek
