// The operations on records. Each takes a valid record and makes another valid one, or makes
// nothing. A key is added under the same new kid to both sets, never copied from one to the other,
// and none leaves a set but by Retire.
//
// Codes: FAILED_PRECONDITION (HTTP 409) for what conflicts with the record's state, NOT_FOUND for a
// kid that isn't there, INTERNAL for faults of ours or of the random source. Messages name sets and
// kids.
#ifndef MEK_ROTATION_H_
#define MEK_ROTATION_H_

#include <compare>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/random.h"
#include "base/secret.h"
#include "mek/jwk.h"
#include "mek/record.h"

namespace mek {

// Whether a new key's material is the same in both sets. kAuto: as the live record is (mirrored or
// not), and independent for the first one.
enum class PrivateJwks { kAuto, kMirror, kIndependent };

struct NewKey {
  std::string kid;
  base::SecretBytes keys_k;
  base::SecretBytes private_k;
};

struct KeyRef {
  Set set;
  std::string kid;
  // NOLINTNEXTLINE(modernize-use-nullptr): clang-tidy 14 takes <=> for a comparison with 0
  auto operator<=>(const KeyRef&) const = default;
};

// A key and the set it belongs to; owns the key.
struct SetKey {
  Set set;
  Jwk jwk;
};

// A kid later than every one in `live` and than `latest_known` (of archived kids), and fresh
// material. `live` is nullptr for a first record. INTERNAL, with nothing made, if the random source
// fails, gives one byte only, or repeats itself or any key of `live`.
absl::StatusOr<NewKey> GenerateKey(const Record* live, std::optional<absl::Time> latest_known,
                                   PrivateJwks private_jwks, absl::Time now, base::Random& random);

// A record of that key only.
absl::StatusOr<Record> Init(const NewKey& key);
// The key first in both sets, and current.
absl::StatusOr<Record> Rotate(const Record& record, const NewKey& key);
// The key last in both sets; the current one stays.
absl::StatusOr<Record> Stage(const Record& record, const NewKey& key);
// A key of both sets to the front of both, and current. FAILED_PRECONDITION if it is current
// already or private_jwks or keys lacks it, NOT_FOUND if both do.
absl::StatusOr<Record> Promote(const Record& record, std::string_view kid);

// `kid` out of both sets. FAILED_PRECONDITION for the current kid, NOT_FOUND if neither set has it.
// Archive what KeysMissingIn(record, result) says first.
absl::StatusOr<Record> Retire(const Record& record, std::string_view kid);
// `keys` at the end of their sets, but for those that are there with the same k.
// FAILED_PRECONDITION if one is there with another k.
absl::StatusOr<Record> Restore(const Record& record, const std::vector<SetKey>& keys);

// What another hand took out of a record, back in it.
struct Repaired {
  Record record;
  std::set<KeyRef> added;     // at the end of their sets
  std::set<KeyRef> replaced;  // in private_jwks, another key of the kid stood in their place
  std::set<KeyRef> left;      // another key stands in their place, and is not to be replaced
};
// `lost` back in `record`. In private_jwks a lost key takes the place of another under its kid if
// that is the one of `keys`, as the runbook leaves it (so none is lost by this), or if the lost one
// was `chosen` by a person. Any other key stays in its place, and keeps no other out.
// FAILED_PRECONDITION if two different keys of `lost` have one place.
absl::StatusOr<Repaired> Repair(const Record& record, const std::vector<SetKey>& lost, bool chosen);
// Whether the key there is the one that `keys` has under its kid, which stands in private_jwks.
bool IsCopyOfKeys(const Record& record, const KeyRef& ref);

// `target`, and at the end of each set the keys of `live` that target lacks. `stays_out`: keys that
// are not to come back with the target (retired since); a live key is kept even if it is named
// there. FAILED_PRECONDITION if the same (set, kid) has another k in the two, or if target's
// current kid is in `stays_out` for either set.
absl::StatusOr<Record> RollbackKeeping(const Record& target, const Record& live,
                                       const std::set<KeyRef>& stays_out);

// Clones of the keys that a change from `from` to `to` drops: (set, kid, k) that `to` lacks.
std::vector<SetKey> KeysMissingIn(const Record& from, const Record& to);
std::set<std::string> KidsOf(const std::vector<SetKey>& keys);

// FAILED_PRECONDITION if a (set, kid) of both has different k. The message names it.
absl::Status CheckNoConflict(const Record& candidate, const Record& known);
absl::Status CheckNoConflict(const Record& candidate, const SetKey& known);

}  // namespace mek

#endif  // MEK_ROTATION_H_
