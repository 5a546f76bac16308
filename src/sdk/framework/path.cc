#include "sdk/framework/path.h"

#include "absl/strings/str_split.h"
#include "base/text.h"

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

std::vector<std::string_view> Segments(std::string_view path) {
  std::vector<std::string_view> segments;
  for (absl::string_view segment : absl::StrSplit(base::ToAbsl(path), '/')) {
    segments.push_back(base::ToStd(segment));
  }
  return segments;
}

}  // namespace

std::optional<std::map<std::string, std::string>> MatchPath(std::string_view pattern,
                                                            std::string_view path) {
  const std::vector<std::string_view> wanted = Segments(pattern);
  const std::vector<std::string_view> given = Segments(path);
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
      // The rest of the path begins where this segment does.
      captured.emplace(capture->name,
                       path.substr(static_cast<std::size_t>(given[i].data() - path.data())));
      return captured;
    }
    captured.emplace(capture->name, given[i]);
  }
  if (given.size() != wanted.size()) return std::nullopt;
  return captured;
}

std::vector<std::string> CapturedNames(std::string_view pattern) {
  std::vector<std::string> names;
  for (std::string_view segment : Segments(pattern)) {
    if (const auto capture = ParseCapture(segment); capture.has_value())
      names.emplace_back(capture->name);
  }
  return names;
}

}  // namespace openbao
