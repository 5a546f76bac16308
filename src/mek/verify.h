#ifndef MEK_VERIFY_H_
#define MEK_VERIFY_H_

#include <string>
#include <string_view>
#include <vector>

#include "absl/time/time.h"
#include "base/secret.h"
#include "mek/record.h"

namespace mek {

// One line of a verification.
struct Finding {
  enum class Level { kOk, kWarn, kFail };

  std::string check;  // a stable name such as "ess.current_kid_is_uuidv1"
  Level level = Level::kOk;
  std::string message;  // what was found and, if not ok, what to do; kids but no values
};

// "ok", "warn", "fail".
std::string_view LevelName(Finding::Level level);
// The worst level among the findings.
Finding::Level WorstLevel(const std::vector<Finding>& findings);

// A line for each invariant and each reader's rule, always the same checks in the same order; seals
// and opens a message with every key (AES-256-GCM).
std::vector<Finding> Verify(const Record& record, absl::Time now);

// Seals a known text with AES-256-GCM under the key, and opens it again.
bool SealsAndOpens(const base::SecretBytes& key);

}  // namespace mek

#endif  // MEK_VERIFY_H_
