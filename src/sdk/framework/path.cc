#include "sdk/framework/path.h"

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

// A path's segments, one after the other. "" has one, which is empty, and "a/" two.
class Segments {
 public:
  explicit Segments(std::string_view path) : rest_(path) {}

  std::optional<std::string_view> Next() {
    if (!rest_.has_value()) return std::nullopt;
    const std::string_view segment = rest_->substr(0, rest_->find('/'));
    if (segment.size() == rest_->size()) {
      rest_.reset();
    } else {
      rest_->remove_prefix(segment.size() + 1);
    }
    return segment;
  }

 private:
  std::optional<std::string_view> rest_;
};

}  // namespace

std::optional<std::map<std::string, std::string>> MatchPath(std::string_view pattern,
                                                            std::string_view path) {
  Segments wanted(pattern);
  Segments given(path);
  std::map<std::string, std::string> captured;
  for (;;) {
    const std::optional<std::string_view> want = wanted.Next();
    const std::optional<std::string_view> segment = given.Next();
    if (!want.has_value() && !segment.has_value()) return captured;
    if (!want.has_value() || !segment.has_value()) return std::nullopt;
    const std::optional<Capture> capture = ParseCapture(*want);
    if (!capture.has_value()) {
      if (*want != *segment) return std::nullopt;
      continue;
    }
    if (segment->empty()) return std::nullopt;
    if (capture->rest) {
      // The rest of the path begins where this segment does.
      captured.emplace(capture->name,
                       path.substr(static_cast<std::size_t>(segment->data() - path.data())));
      return captured;
    }
    captured.emplace(capture->name, *segment);
  }
}

std::vector<std::string> CapturedNames(std::string_view pattern) {
  std::vector<std::string> names;
  Segments segments(pattern);
  while (const std::optional<std::string_view> segment = segments.Next()) {
    if (const auto capture = ParseCapture(*segment); capture.has_value())
      names.emplace_back(capture->name);
  }
  return names;
}

}  // namespace openbao
