#include "engine/version_name.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_format.h"
#include "base/text.h"

namespace engine {

std::string VersionName(std::uint64_t number) { return absl::StrFormat("%010u", number); }

std::optional<std::uint64_t> ParseVersionName(std::string_view name) {
  std::uint64_t number = 0;
  const bool plain =
      name.size() == kVersionNameSize && std::ranges::all_of(name, absl::ascii_isdigit);
  if (!plain || !absl::SimpleAtoi(base::ToAbsl(name), &number) || number == 0) return std::nullopt;
  return number;
}

absl::Status UnknownEntry(std::string_view prefix) {
  return absl::DataLossError(base::Cat(
      "storage holds an entry under ", prefix,
      " that no version of this plugin known here writes; nothing is read or changed until it is "
      "looked at"));
}

absl::Status MaybeWritten(std::uint64_t number, std::string_view where, const absl::Status& why) {
  return absl::UnavailableError(base::Cat("it is not known whether version ", number,
                                          " was written", where, " (", why.message(),
                                          "): read status, and if the version there is ",
                                          number - 1, ", try again with cas=", number - 1));
}

}  // namespace engine
