#ifndef MEK_ARCHIVE_H_
#define MEK_ARCHIVE_H_

#include <cstdint>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/secret.h"
#include "mek/jwk.h"
#include "mek/rotation.h"

namespace mek {

enum class DropReason { kDropped, kRetired, kExternal };
// "dropped" (a rollback, an import or a put left it out, or a repair put another in its place),
// "retired" (an operator took it out by name), "external" (another hand, in the record's home, left
// it out or put another in its place). A destroyed key is in no archive.
std::string_view DropReasonName(DropReason reason);

struct ArchivedKey {
  SetKey key;
  absl::Time dropped_time;
  std::uint64_t dropped_by_version = 0;
  DropReason reason = DropReason::kDropped;
};

// The stored entry archive/KID: the keys of that kid that left the sets, in the order in which they
// did. Of one set it is one, since another k under a known (set, kid) is refused; unless another
// hand has put one there. Move-only; owns its keys. Not thread-safe.
//
// {"schema":1,"kid":"…","keys":[{"set":"keys","jwk":"{…}","dropped_time":"…","dropped_by_version":7,
// "reason":"retired"}],"sha256":"…"}; jwk is the JWK's text byte for byte.
class ArchiveEntry {
 public:
  // An empty entry. Precondition: IsValidKid(kid).
  explicit ArchiveEntry(std::string kid) : kid_(std::move(kid)) {}

  // `kid` is the one in the entry's path. DATA_LOSS if the entry is damaged or another kid's,
  // FAILED_PRECONDITION if a newer plugin wrote it.
  static absl::StatusOr<ArchiveEntry> Parse(std::string_view kid, std::string_view json);
  absl::StatusOr<base::SecretBytes> Serialize() const;

  // Adding the same (set, k) again only updates why and when it left. INTERNAL for another kid.
  absl::Status Add(SetKey key, absl::Time dropped_time, std::uint64_t dropped_by_version,
                   DropReason reason);

  const std::string& kid() const { return kid_; }
  const std::vector<ArchivedKey>& keys() const { return keys_; }
  // The key of that set that left last. Valid until the entry is changed. nullptr if there is none.
  const ArchivedKey* Find(Set set) const;
  // Whether that very key, with its k, is here.
  bool Holds(const SetKey& key) const;
  // FAILED_PRECONDITION if the record has, in a set of which there are keys here, none of these
  // under the kid.
  absl::Status CheckNoConflict(const Record& candidate, const std::set<KeyRef>& but) const;

 private:
  std::string kid_;
  std::vector<ArchivedKey> keys_;
};

}  // namespace mek

#endif  // MEK_ARCHIVE_H_
