#include "mek/json_span.h"

#include <cstddef>

#include "base/status_macros.h"

namespace mek {
namespace {

// Walks JSON text. Past the end it sees NULs, which are no part of JSON, so every loop ends there.
class Scanner {
 public:
  explicit Scanner(std::string_view text) : text_(text) {}

  char Peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }
  bool Skip(char c) {
    if (Peek() != c) return false;
    ++at_;
    return true;
  }
  void SkipSpace() {
    while (Peek() == ' ' || Peek() == '\t' || Peek() == '\n' || Peek() == '\r') ++at_;
  }
  // The value that starts here. Empty if none does.
  std::string_view Value() {
    const std::size_t start = at_;
    if (Peek() == '"') {
      SkipString();
    } else if (Peek() == '{' || Peek() == '[') {
      SkipNested();
    } else {
      while (at_ < text_.size() &&
             std::string_view(",]} \t\n\r").find(Peek()) == std::string_view::npos) {
        ++at_;
      }
    }
    return text_.substr(start, at_ - start);
  }

 private:
  void SkipString() {
    ++at_;
    while (at_ < text_.size() && Peek() != '"') at_ += Peek() == '\\' ? 2 : 1;
    at_ = at_ < text_.size() ? at_ + 1 : text_.size();
  }
  void SkipNested() {
    std::size_t depth = 0;
    while (at_ < text_.size()) {
      const char c = Peek();
      if (c == '"') {
        SkipString();
        continue;
      }
      ++at_;
      if (c == '{' || c == '[') ++depth;
      if ((c == '}' || c == ']') && --depth == 0) return;
    }
  }

  std::string_view text_;
  std::size_t at_ = 0;
};

// `raw` is a JSON string with its quotes.
bool IsString(std::string_view raw, std::string_view wanted) {
  if (raw.find('\\') == std::string_view::npos) {
    return raw.size() == wanted.size() + 2 && raw.substr(1, wanted.size()) == wanted;
  }
  const absl::StatusOr<base::Json> decoded = base::ParseJson(raw);
  const auto* text = decoded.ok() ? decoded->get_ptr<const base::JsonString*>() : nullptr;
  return text != nullptr && std::string_view(*text) == wanted;
}

}  // namespace

absl::StatusOr<base::Json> ParseStrictJson(std::string_view text) {
  if (text.starts_with("\xef\xbb\xbf")) {
    return absl::InvalidArgumentError("not valid JSON: it begins with a byte order mark");
  }
  if (text.find('\0') != std::string_view::npos) {
    return absl::InvalidArgumentError("not valid JSON: it contains a NUL byte");
  }
  return base::ParseJson(text);
}

bool FitsNested(const base::Json& value, int levels) {
  if (!value.is_structured()) return true;
  if (levels == 0 || (value.is_object() && value.size() > base::kMaxJsonMembers)) return false;
  for (const base::Json& inner : value) {
    if (!FitsNested(inner, levels - 1)) return false;
  }
  return true;
}

std::optional<std::string_view> FindMember(std::string_view text, std::string_view name) {
  Scanner scanner(text);
  scanner.SkipSpace();
  if (!scanner.Skip('{')) return std::nullopt;
  do {
    scanner.SkipSpace();
    const std::string_view found = scanner.Value();
    scanner.SkipSpace();
    if (!scanner.Skip(':')) return std::nullopt;
    scanner.SkipSpace();
    const std::string_view value = scanner.Value();
    if (IsString(found, name)) return value;
    scanner.SkipSpace();
  } while (scanner.Skip(','));
  return std::nullopt;
}

std::vector<std::string_view> ArrayElements(std::string_view text) {
  std::vector<std::string_view> elements;
  Scanner scanner(text);
  scanner.SkipSpace();
  if (!scanner.Skip('[')) return elements;
  do {
    scanner.SkipSpace();
    const std::string_view element = scanner.Value();
    if (element.empty()) break;
    elements.push_back(element);
    scanner.SkipSpace();
  } while (scanner.Skip(','));
  return elements;
}

}  // namespace mek
