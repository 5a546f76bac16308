// What is valid in a record but hurts a reader: each function looks for one such thing and returns
// a message for an operator (what, and what to do; kids, no values), or nullopt. Record::Warnings
// and Verify are made of them.
#ifndef MEK_LINT_H_
#define MEK_LINT_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "mek/record.h"

namespace mek {

std::optional<std::string> CurrentKidIsNoUuidV1(const Record& record);
// ESS takes a key's age from its kid, and each new kid must be later than all before.
std::optional<std::string> KidTimesAhead(const Record& record, absl::Time now);
// private_jwks lacks a kid of keys.
std::optional<std::string> PrivateJwksLacksKids(const Record& record);
// Some, not all, keys are the same in both sets.
std::optional<std::string> PartlyMirrored(const Record& record);
// Two kids share one key.
std::optional<std::string> RepeatedKeys(const Record& record);
// A key is one byte, repeated.
std::optional<std::string> TrivialKeys(const Record& record);
// "${" in private_jwks.
std::optional<std::string> Placeholder(const Record& record);

// "a, b and 3 more"; at most ten of them.
std::string ListKids(const std::vector<std::string>& kids);

}  // namespace mek

#endif  // MEK_LINT_H_
