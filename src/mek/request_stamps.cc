#include "mek/request_stamps.h"

#include <charconv>
#include <system_error>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "base/text.h"

namespace mek {
namespace {

// Takes a number, as JSON would have it, and the comma behind it from the front of `text`.
std::optional<std::uint64_t> TakeNumber(std::string_view& text) {
  const std::string_view digits = text.substr(0, text.find(','));
  if (digits.size() == text.size() || (digits.size() > 1 && digits.front() == '0')) {
    return std::nullopt;
  }
  std::uint64_t number = 0;
  const char* const end = digits.data() + digits.size();
  const auto [stop, error] = std::from_chars(digits.data(), end, number);
  if (error != std::errc() || stop != end) return std::nullopt;
  text.remove_prefix(digits.size() + 1);
  return number;
}

// Takes a stamp from the front of `text`. An id may hold any character, so its size is told. A size
// that ends within a character finds no semicolon there: what is read as an id is always UTF-8.
std::optional<RequestStamp> Take(std::string_view& text) {
  const std::optional<std::uint64_t> version = TakeNumber(text);
  const std::optional<std::uint64_t> size = version.has_value() ? TakeNumber(text) : std::nullopt;
  if (!size.has_value() || *size >= text.size() || text[*size] != ';') return std::nullopt;
  const RequestStamp stamp{text.substr(0, *size), *version};
  text.remove_prefix(*size + 1);
  return stamp;
}

}  // namespace

absl::StatusOr<RequestStamps> RequestStamps::Parse(std::string_view text) {
  RequestStamps stamps;
  for (std::string_view rest = text; !rest.empty(); ++stamps.size_) {
    if (!Take(rest).has_value()) return absl::InvalidArgumentError("is not a list of requests");
    if (stamps.size_ == kMaxRequestStamps) return absl::InvalidArgumentError("is too long");
  }
  stamps.text_ = text;
  return stamps;
}

void RequestStamps::Add(std::string_view id, std::uint64_t version) {
  absl::StrAppend(&text_, version, ",", id.size(), ",", base::ToAbsl(id), ";");
  if (++size_ <= kMaxRequestStamps) return;
  std::string_view rest = text_;
  Take(rest);
  text_.erase(0, text_.size() - rest.size());
  --size_;
}

std::optional<std::uint64_t> RequestStamps::VersionOf(std::string_view id) const {
  std::optional<std::uint64_t> version;
  if (text_.find(id) == std::string::npos) return version;
  for (const RequestStamp& stamp : All()) {
    if (stamp.id == id) version = stamp.version;
  }
  return version;
}

std::vector<RequestStamp> RequestStamps::All() const {
  std::vector<RequestStamp> stamps;
  stamps.reserve(size_);
  for (std::string_view rest = text_; !rest.empty();) stamps.push_back(*Take(rest));
  return stamps;
}

}  // namespace mek
