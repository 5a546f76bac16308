#ifndef ENGINE_COMPROMISED_H_
#define ENGINE_COMPROMISED_H_

#include <optional>
#include <string>

#include "absl/status/status.h"
#include "mek/version_doc.h"

namespace engine {

// What to do when the current key is compromised: for people, as the end of a sentence.
std::string HowToLeaveKey(const std::optional<std::string>& staged_kid);

// FAILED_PRECONDITION if `kid`, current in what is to take the live version's place, is
// compromised: even where it is current as it is, for the staged key, which is the way out, would
// be given up.
absl::Status CheckNotCompromised(const mek::VersionDoc& live, const std::string& kid);

}  // namespace engine

#endif  // ENGINE_COMPROMISED_H_
