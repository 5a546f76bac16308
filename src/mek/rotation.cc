#include "mek/rotation.h"

#include <algorithm>
#include <utility>

#include "base/status_macros.h"
#include "base/text.h"
#include "mek/key_set.h"
#include "mek/kid.h"

namespace mek {
namespace {

using base::Cat;

absl::Status Conflict(std::string_view what) { return absl::FailedPreconditionError(Cat(what)); }

absl::Status OtherKey(Set set, std::string_view kid) {
  return Conflict(
      Cat("kid ", ShownKid(kid), " in ", SetName(set),
          " stands for another key (another k) than the one that is known under it. Keys "
          "are never merged or replaced: find out which of the two is in use"));
}

absl::Status NothingChanged(const absl::Status& conflict) {
  return Conflict(Cat(conflict.message(), ". Nothing was changed"));
}

absl::Status RandomFault(std::string_view what) {
  return absl::InternalError(
      Cat("the random source ", what,
          "; no key was made and nothing was changed. Restart the plugin on a host "
          "whose random source works"));
}

bool IsOneByteRepeated(const base::SecretBytes& bytes) {
  return bytes.view().find_first_not_of(bytes.view().front()) == std::string_view::npos;
}

absl::Status CheckNew(const NewKey& key) {
  if (!IsValidKid(key.kid) || key.keys_k.size() != kKeySize || key.private_k.size() != kKeySize) {
    return absl::InternalError("a new key is not of the expected form; nothing was changed");
  }
  return absl::OkStatus();
}

absl::Status CheckFresh(const Record& record, const NewKey& key) {
  RETURN_IF_ERROR(CheckNew(key));
  for (const Set set : kSets) {
    if (record.set(set).Find(key.kid) != nullptr) {
      return Conflict(Cat("the new kid ", key.kid, " is in ", SetName(set), " already"));
    }
  }
  return absl::OkStatus();
}

absl::Status NotThere(std::string_view kid) {
  return absl::NotFoundError(
      Cat(IsValidKid(kid) ? Cat("kid ", kid) : std::string("this kid"),
          " is in neither keys nor private_jwks; list keys shows the known ones"));
}

struct Sets {
  KeySet keys;
  KeySet private_jwks;
  KeySet& operator[](Set set) { return set == Set::kKeys ? keys : private_jwks; }
};

Sets CloneSets(const Record& record) {
  return {record.set(Set::kKeys).Clone(), record.set(Set::kPrivateJwks).Clone()};
}

absl::StatusOr<Record> With(const Record& record, Sets sets, std::string_view current_kid) {
  return record.With(std::move(sets.keys), std::move(sets.private_jwks), current_kid);
}

}  // namespace

absl::StatusOr<NewKey> GenerateKey(const Record* live, std::optional<absl::Time> latest_known,
                                   PrivateJwks private_jwks, absl::Time now, base::Random& random) {
  if (live != nullptr) latest_known = std::max(latest_known, live->LatestKidTime());
  // Later than every kid that has a time, so none of the record's.
  ASSIGN_OR_RETURN(std::string kid, NewKid(now, latest_known, random));

  // Both are drawn even where one is used, so that a source that repeats itself is noticed.
  base::SecretBytes keys_k(kKeySize);
  base::SecretBytes private_k(kKeySize);
  for (base::SecretBytes* k : {&keys_k, &private_k}) {
    RETURN_IF_ERROR(random.Fill(k->mutable_span()));
    if (IsOneByteRepeated(*k)) return RandomFault("gave the same byte only");
    if (live != nullptr && live->HasKey(*k)) return RandomFault("repeated an existing key");
  }
  if (keys_k == private_k) return RandomFault("repeated itself");

  const bool mirror = private_jwks == PrivateJwks::kMirror ||
                      (private_jwks == PrivateJwks::kAuto && live != nullptr && live->mirrored());
  if (mirror) private_k = keys_k.Clone();
  return NewKey{std::move(kid), std::move(keys_k), std::move(private_k)};
}

absl::StatusOr<Record> Init(const NewKey& key) {
  RETURN_IF_ERROR(CheckNew(key));
  return Record::Make(Jwk::Make(key.kid, key.keys_k), Jwk::Make(key.kid, key.private_k));
}

absl::StatusOr<Record> Rotate(const Record& record, const NewKey& key) {
  RETURN_IF_ERROR(CheckFresh(record, key));
  Sets sets = CloneSets(record);
  sets.keys.Prepend(Jwk::Make(key.kid, key.keys_k));
  sets.private_jwks.Prepend(Jwk::Make(key.kid, key.private_k));
  return With(record, std::move(sets), key.kid);
}

absl::StatusOr<Record> Stage(const Record& record, const NewKey& key) {
  RETURN_IF_ERROR(CheckFresh(record, key));
  Sets sets = CloneSets(record);
  sets.keys.Append(Jwk::Make(key.kid, key.keys_k));
  sets.private_jwks.Append(Jwk::Make(key.kid, key.private_k));
  return With(record, std::move(sets), record.current_kid());
}

absl::StatusOr<Record> Promote(const Record& record, std::string_view kid) {
  if (kid == record.current_kid()) return Conflict(Cat("kid ", kid, " is current already"));
  const bool in_keys = record.set(Set::kKeys).Find(kid) != nullptr;
  const bool in_private = record.set(Set::kPrivateJwks).Find(kid) != nullptr;
  if (!in_keys && !in_private) return NotThere(kid);
  if (!in_keys || !in_private) {
    return Conflict(Cat(
        "kid ", kid, " can't become current: ", SetName(in_keys ? Set::kPrivateJwks : Set::kKeys),
        " lacks it, and the current key must be in both sets"));
  }
  Sets sets = CloneSets(record);
  for (const Set set : kSets) sets[set].MoveToFront(kid);
  return With(record, std::move(sets), kid);
}

absl::StatusOr<Record> Retire(const Record& record, std::string_view kid) {
  if (kid == record.current_kid()) {
    return Conflict(Cat("kid ", kid, " is current and can't be retired: rotate first"));
  }
  if (!record.HasKid(kid)) return NotThere(kid);
  Sets sets = CloneSets(record);
  for (const Set set : kSets) sets[set].Remove(kid);
  return With(record, std::move(sets), record.current_kid());
}

absl::StatusOr<Record> Restore(const Record& record, const std::vector<SetKey>& keys) {
  Sets sets = CloneSets(record);
  for (const SetKey& key : keys) {
    const Jwk* there = sets[key.set].Find(key.jwk.kid());
    if (there == nullptr) {
      sets[key.set].Append(key.jwk.Clone());
    } else if (!there->HasKeyOf(key.jwk)) {
      return NothingChanged(OtherKey(key.set, key.jwk.kid()));
    }
  }
  return With(record, std::move(sets), record.current_kid());
}

absl::StatusOr<Repaired> Repair(const Record& record, const std::vector<SetKey>& lost,
                                bool chosen) {
  Sets sets = CloneSets(record);
  std::set<KeyRef> added;
  std::set<KeyRef> replaced;
  std::set<KeyRef> left;
  for (const SetKey& key : lost) {
    const std::string& kid = key.jwk.kid();
    const KeyRef ref{key.set, kid};
    const Jwk* const there = sets[key.set].Find(kid);
    if (there != nullptr && there->HasKeyOf(key.jwk)) continue;
    if (added.contains(ref) || replaced.contains(ref)) {
      return Conflict(
          Cat("two different keys were known as kid ", ShownKid(kid), " of ", SetName(key.set),
              ", and a record can hold one: say with version=N which it is to be. Nothing was "
              "changed"));
    }
    if (there == nullptr) {
      sets[key.set].Append(key.jwk.Clone());
      added.insert(ref);
      continue;
    }
    if (key.set == Set::kKeys || !(chosen || IsCopyOfKeys(record, ref))) {
      left.insert(ref);
      continue;
    }
    sets[key.set].Replace(key.jwk.Clone());
    replaced.insert(ref);
  }
  ASSIGN_OR_RETURN(Record repaired, With(record, std::move(sets), record.current_kid()));
  return Repaired{std::move(repaired), std::move(added), std::move(replaced), std::move(left)};
}

bool IsCopyOfKeys(const Record& record, const KeyRef& ref) {
  const Jwk* const there = record.set(ref.set).Find(ref.kid);
  const Jwk* const in_keys = record.set(Set::kKeys).Find(ref.kid);
  return ref.set == Set::kPrivateJwks && there != nullptr && in_keys != nullptr &&
         in_keys->HasKeyOf(*there);
}

absl::StatusOr<Record> RollbackKeeping(const Record& target, const Record& live,
                                       const std::set<KeyRef>& stays_out) {
  if (absl::Status conflict = CheckNoConflict(target, live); !conflict.ok()) {
    return NothingChanged(conflict);
  }
  Sets sets = CloneSets(target);
  for (const Set set : kSets) {
    if (stays_out.contains(KeyRef{set, target.current_kid()})) {
      return Conflict(Cat("kid ", target.current_kid(),
                          ", current in the version to roll back to, is out of ", SetName(set),
                          " since then and can't become current. Restore it first if it was "
                          "retired, or choose another version"));
    }
    KeySet::Lookup live_keys(live.set(set));
    for (const Jwk& jwk : target.set(set).keys()) {
      if (stays_out.contains(KeyRef{set, jwk.kid()}) && !live_keys.Contains(jwk.kid())) {
        sets[set].Remove(jwk.kid());
      }
    }
    KeySet::Lookup target_keys(target.set(set));
    for (const Jwk& jwk : live.set(set).keys()) {
      if (!target_keys.Contains(jwk.kid())) sets[set].Append(jwk.Clone());
    }
  }
  return With(target, std::move(sets), target.current_kid());
}

std::vector<SetKey> KeysMissingIn(const Record& from, const Record& to) {
  std::vector<SetKey> missing;
  for (const Set set : kSets) {
    KeySet::Lookup kept(to.set(set));
    for (const Jwk& jwk : from.set(set).keys()) {
      const Jwk* there = kept.Find(jwk.kid());
      if (there == nullptr || !there->HasKeyOf(jwk)) missing.push_back({set, jwk.Clone()});
    }
  }
  return missing;
}

std::set<std::string> KidsOf(const std::vector<SetKey>& keys) {
  std::set<std::string> kids;
  for (const SetKey& key : keys) kids.insert(key.jwk.kid());
  return kids;
}

absl::Status CheckNoConflict(const Record& candidate, const Record& known) {
  for (const Set set : kSets) {
    KeySet::Lookup known_keys(known.set(set));
    for (const Jwk& jwk : candidate.set(set).keys()) {
      const Jwk* there = known_keys.Find(jwk.kid());
      if (there != nullptr && !there->HasKeyOf(jwk)) return OtherKey(set, jwk.kid());
    }
  }
  return absl::OkStatus();
}

absl::Status CheckNoConflict(const Record& candidate, const SetKey& known) {
  const Jwk* there = candidate.set(known.set).Find(known.jwk.kid());
  if (there != nullptr && !there->HasKeyOf(known.jwk)) {
    return NothingChanged(OtherKey(known.set, known.jwk.kid()));
  }
  return absl::OkStatus();
}

}  // namespace mek
