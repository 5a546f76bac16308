#ifndef MEK_VERSION_DOC_H_
#define MEK_VERSION_DOC_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/secret.h"
#include "mek/lifecycle.h"
#include "mek/record.h"
#include "mek/request_stamps.h"

namespace mek {

inline constexpr std::uint64_t kVersionSchema = 1;

// The stored document of one version: the whole record, and how it came to be. A value type that
// owns all it holds; move-only because of the record. Thread-safe as any const object.
//
// {"schema":1,"record":{…},"operation":"…","created_time":"…", then those that are set of "reason",
// "entity_id", "display_name", "request_id", "previous_kid", "staged_kid", the times and numbers
// below, "compromised", "destroyed" and "added":[{"kid":"…","time":"…"}], "deleted_versions":[3,4],
// then "answered":"7,3,r-1;8,3,r-2;","sha256":"…"}
//
// "answered" is `requests`. Documents from before it have "requests":[{"id":"…","version":7}]
// instead, which is read but no longer written. A plugin that doesn't know "answered" refuses the
// document as a newer one's.
struct VersionDoc {
  Record record;
  std::string operation = {};  // "rotate", "activate", …; not empty
  absl::Time created_time = absl::UnixEpoch();
  std::string reason = {};
  std::string entity_id = {};
  std::string display_name = {};
  std::string request_id = {};
  std::optional<std::string> staged_kid = {};     // in both sets of the record, and not current
  std::string previous_kid = {};                  // empty if there was none
  std::optional<absl::Time> effective_time = {};  // when the current key became current
  std::optional<absl::Time> staged_time = {};     // when staged_kid was staged
  // Since when readers could fetch the current key, if that is known better than by its kid.
  std::optional<absl::Time> available_time = {};
  // The newest key: when it was made, and the version that brought it.
  std::optional<absl::Time> rotated_time = {};
  std::optional<std::uint64_t> rotated_version = {};
  std::optional<absl::Time> scheduled_time = {};  // the last time of the schedule that was served
  std::optional<std::uint64_t> rolled_back_to = {};
  KeyMarks marks = {};
  // Versions that were deleted because they held a key that was destroyed. Ascending.
  std::vector<std::uint64_t> deleted_versions = {};
  RequestStamps requests = {};

  // `what` names the entry in messages ("version 7"). DATA_LOSS if it is damaged, naming the part;
  // FAILED_PRECONDITION if another version of the plugin wrote it. No message shows a value.
  static absl::StatusOr<VersionDoc> Parse(std::string_view what, std::string_view json);
  // INTERNAL if it couldn't be read back: text that is not UTF-8, a time outside the years 1 to
  // 9999, a staged kid that isn't in the record.
  absl::StatusOr<base::SecretBytes> Serialize() const;
};

// The document without that key, and with nothing staged if it was that. False, and nothing is
// changed, if the key is current.
absl::StatusOr<bool> TakeOut(const std::string& kid, VersionDoc& doc);

}  // namespace mek

#endif  // MEK_VERSION_DOC_H_
