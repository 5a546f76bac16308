#include "engine/compromised.h"

#include "base/text.h"

namespace engine {

using base::Cat;

std::string HowToLeaveKey(const std::optional<std::string>& staged_kid) {
  return staged_kid.has_value() ? Cat("write activate force=true, which makes the staged kid ",
                                      *staged_kid, " current at once")
                                : "write rotate activation=immediate";
}

absl::Status CheckNotCompromised(const mek::VersionDoc& live, const std::string& kid) {
  if (!live.marks.compromised.contains(kid)) return absl::OkStatus();
  return absl::FailedPreconditionError(
      Cat("kid ", kid, " is compromised, and can't become or stay current this way: ",
          kid == live.record.current_kid() ? HowToLeaveKey(live.staged_kid)
                                           : "choose a record with another current key, or rotate",
          ". Nothing was changed"));
}

}  // namespace engine
