// What replies have in common. Times are RFC 3339 in UTC; no reply made here holds key material.
#ifndef ENGINE_REPLY_H_
#define ENGINE_REPLY_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "base/json.h"
#include "engine/mount.h"
#include "sdk/logical/request.h"

namespace engine {

// The answer to a write: version, current_kid, previous_kid, staged_kid, key_count, created_time,
// effective_time and, for a dry run, dry_run. A dry run shows no new version. Where the change
// makes a key, the caller puts kNewKid for its kid, which the change itself would not have either.
openbao::Response ChangeReply(const Outcome& outcome);
inline constexpr char kNewKid[] = "(new)";

// KV v2's metadata of one version (`bao kv get`).
base::Json VersionMetadata(const Version& version);

// "" if there is no time: the CLI shows n/a.
base::Json TimeOrEmpty(const std::optional<absl::Time>& time);

// Says which versions were left out because what is stored of them can't be read.
void WarnUnreadable(const std::vector<std::uint64_t>& numbers, openbao::Response& response);

// "1-3, 7": version numbers, ascending, as people write them.
std::string Ranges(const std::vector<std::uint64_t>& numbers);

base::Json TextList(const std::vector<std::string>& texts);

}  // namespace engine

#endif  // ENGINE_REPLY_H_
