#ifndef MEK_ARCHIVE_H_
#define MEK_ARCHIVE_H_

#include <cstdint>
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

enum class DropReason { kDropped, kRetired, kDestroyed };
// "dropped" (a rollback, an import or a put left it out), "retired" (an operator took it out by
// name). A destroyed key is in no archive.
std::string_view DropReasonName(DropReason reason);

struct ArchivedKey {
  SetKey key;
  absl::Time dropped_time;
  std::uint64_t dropped_by_version = 0;
  DropReason reason = DropReason::kDropped;
};

// The stored entry archive/KID: the keys of that kid that left the sets, at most one of each set,
// since another k under the same (set, kid) is refused. Move-only; owns its keys. Not thread-safe.
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

  // Adding the same (set, k) again only updates why and when it left. FAILED_PRECONDITION for
  // another k under the same set, INTERNAL for another kid.
  absl::Status Add(SetKey key, absl::Time dropped_time, std::uint64_t dropped_by_version,
                   DropReason reason);

  const std::string& kid() const { return kid_; }
  const std::vector<ArchivedKey>& keys() const { return keys_; }
  // Valid until the entry is changed. nullptr if no key of that set is here.
  const ArchivedKey* Find(Set set) const;

 private:
  std::string kid_;
  std::vector<ArchivedKey> keys_;
};

}  // namespace mek

#endif  // MEK_ARCHIVE_H_
