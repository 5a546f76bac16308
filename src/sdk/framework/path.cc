#include "sdk/framework/path.h"

#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"

namespace openbao {
namespace {

struct Capture {
  std::string_view name;
  bool rest;  // takes all the remaining segments
};

std::optional<Capture> ParseCapture(std::string_view segment) {
  if (!segment.starts_with('{') || !segment.ends_with('}')) return std::nullopt;
  std::string_view name = segment.substr(1, segment.size() - 2);
  const bool rest = name.ends_with("...");
  if (rest) name.remove_suffix(3);
  return Capture{name, rest};
}

}  // namespace

std::optional<std::map<std::string, std::string>> MatchPath(std::string_view pattern,
                                                            std::string_view path) {
  const std::vector<std::string_view> wanted = absl::StrSplit(pattern, '/');
  const std::vector<std::string_view> given = absl::StrSplit(path, '/');
  std::map<std::string, std::string> captured;
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    if (i >= given.size()) return std::nullopt;
    const std::optional<Capture> capture = ParseCapture(wanted[i]);
    if (!capture.has_value()) {
      if (wanted[i] != given[i]) return std::nullopt;
      continue;
    }
    if (given[i].empty()) return std::nullopt;
    if (capture->rest) {
      captured.emplace(capture->name,
                       absl::StrJoin(given.begin() + static_cast<std::ptrdiff_t>(i), given.end(), "/"));
      return captured;
    }
    captured.emplace(capture->name, given[i]);
  }
  if (given.size() != wanted.size()) return std::nullopt;
  return captured;
}

std::vector<std::string> CapturedNames(std::string_view pattern) {
  std::vector<std::string> names;
  for (std::string_view segment : absl::StrSplit(pattern, '/')) {
    if (const auto capture = ParseCapture(segment); capture.has_value()) names.emplace_back(capture->name);
  }
  return names;
}

}  // namespace openbao
