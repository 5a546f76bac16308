#include "engine/known_keys.h"

#include <algorithm>
#include <utility>

#include "base/status_macros.h"
#include "base/text.h"
#include "engine/compromised.h"
#include "mek/kid.h"

namespace engine {

absl::StatusOr<std::set<std::string>> KnownKids(Mount& mount, openbao::Storage& storage,
                                                const Version* live) {
  std::set<std::string> kids;
  if (live == nullptr) return kids;
  for (const mek::Set set : mek::kSets) {
    for (std::string& kid : live->doc.record.Kids(set)) kids.insert(std::move(kid));
  }
  ASSIGN_OR_RETURN(const ArchiveStore::Kids archived, mount.archive().List(storage));
  kids.insert(archived->begin(), archived->end());
  for (const auto& [kid, time] : live->doc.marks.compromised) kids.insert(kid);
  for (const auto& [kid, time] : live->doc.marks.destroyed) kids.insert(kid);
  return kids;
}

absl::StatusOr<KnownKey> FindKey(Mount& mount, openbao::Storage& storage, const Version* live,
                                 const std::string& kid) {
  std::optional<mek::KeyState> state;
  KnownKey known{};
  if (live != nullptr && mek::IsValidKid(kid)) {
    const mek::VersionDoc& doc = live->doc;
    known.is_current = doc.record.current_kid() == kid;
    known.in_record = doc.record.HasKid(kid);
    ASSIGN_OR_RETURN(known.archived, mount.archive().Get(storage, kid));
    if (known.archived.has_value()) {
      known.can_be_restored =
          std::ranges::any_of(known.archived->keys(), [&](const mek::ArchivedKey& key) {
            return doc.record.set(key.key.set).Find(kid) == nullptr;
          });
    }
    state = mek::StateOf(kid, doc.record, doc.staged_kid, doc.marks, known.archived.has_value());
  }
  if (!state.has_value()) {
    return absl::NotFoundError(
        "no key of that kid is in the record or the archive; list keys shows the known ones");
  }
  known.state = *state;
  return known;
}

namespace {

absl::StatusOr<bool> IsInStoredVersion(Mount& mount, openbao::Storage& storage,
                                       const std::string& kid) {
  ASSIGN_OR_RETURN(const std::vector<std::uint64_t> numbers, mount.records().List(storage));
  for (const std::uint64_t number : numbers) {
    const auto version = mount.records().Get(storage, number);
    if (absl::IsDataLoss(version.status())) continue;
    RETURN_IF_ERROR(version.status());
    if (version->has_value() && (*version)->doc.record.HasKid(kid)) return true;
  }
  return false;
}

}  // namespace

absl::StatusOr<KnownKey> CheckedKey(Mount& mount, openbao::Storage& storage, const Version* live,
                                    const std::string& kid, mek::KeyAction action) {
  ASSIGN_OR_RETURN(KnownKey known, FindKey(mount, storage, live, kid));
  // A key that one set has and the other has lost is, for that one, a retired key.
  const bool half_lost = action == mek::KeyAction::kRestore && known.in_record &&
                         known.can_be_restored && known.state != mek::KeyState::kCompromised;
  // A destroyed key that another hand has put back can be destroyed once more.
  bool is_back = action == mek::KeyAction::kDestroy && known.state == mek::KeyState::kDestroyed;
  if (is_back && !known.in_record && !known.archived.has_value()) {
    ASSIGN_OR_RETURN(is_back, IsInStoredVersion(mount, storage, kid));
  }
  const mek::KeyState state = half_lost || is_back ? mek::KeyState::kRetired : known.state;
  if (absl::Status checked = mek::CheckKeyAction(action, kid, state, known.is_current);
      !checked.ok()) {
    return absl::FailedPreconditionError(base::Cat(checked.message(), ". Nothing was changed"));
  }
  return known;
}

std::string HowToPutBack(const mek::KeyRef& ref, bool in_kv) {
  if (ref.set == mek::Set::kKeys) {
    return base::Cat(
        "a key of keys is never replaced here: if the one in its place is wrong, ",
        in_kv ? std::string("write the right one into the KV secret with bao kv put")
              : base::Cat("write keys/", ref.kid, "/retire, then repair, then keys/", ref.kid,
                          "/restore (rotate before that, if it is current); readers lack the kid "
                          "meanwhile"));
  }
  return base::Cat(
      "the one in its place is nowhere else: if it is wrong, write repair version=N, N "
      "a version with the right one (keys/",
      ref.kid, " lists those that hold the kid), or repair backup=@FILE");
}

std::optional<Taken> TakenFromReaders(const mek::ArchivedKey& key, const mek::VersionDoc& live,
                                      bool in_kv) {
  const mek::KeyRef ref{key.key.set, key.key.jwk.kid()};
  const mek::Jwk* const there = live.record.set(ref.set).Find(ref.kid);
  if (key.reason != mek::DropReason::kExternal || live.marks.destroyed.contains(ref.kid)) {
    return std::nullopt;
  }
  if (there == nullptr && live.marks.compromised.contains(ref.kid)) return std::nullopt;
  if (there != nullptr && there->key() == key.key.jwk.key()) return std::nullopt;
  const bool is_copy = mek::IsCopyOfKeys(live.record, ref);
  const bool repair_brings = there == nullptr || is_copy;
  return Taken{
      base::Cat("another hand ",
                there == nullptr ? "took kid " : "put another key in the place of kid ", ref.kid,
                there == nullptr ? " out of " : " of ", mek::SetName(ref.set), " with version ",
                key.dropped_by_version, is_copy ? ", as the runbook does" : "",
                ": what was sealed with it can't be opened. It is in the archive, and ",
                repair_brings ? "write repair brings it back (dry_run=true shows what that does)"
                              : HowToPutBack(ref, in_kv)),
      repair_brings};
}

std::optional<std::string> DestroyedIsBack(const mek::VersionDoc& live) {
  for (const auto& [kid, time] : live.marks.destroyed) {
    if (!live.record.HasKid(kid)) continue;
    return base::Cat(
        "kid ", kid, " was destroyed, and another hand has put it back into the record: ",
        live.record.current_kid() == kid
            ? base::Cat("it is current, so ", HowToLeaveKey(live.staged_kid), "; then ")
            : "",
        "write destroy-key/", kid, " once more");
  }
  return std::nullopt;
}

}  // namespace engine
