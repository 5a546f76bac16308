#include "mek/json_span.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <deque>

#include "base/status_macros.h"
#include "base/text.h"

namespace mek {
namespace {

using base::Cat;

// Longer numbers, and those with an exponent, may be out of range.
constexpr std::size_t kMaxPlainNumber = 300;

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

template <class Predicate>
constexpr std::array<bool, 256> ClassOf(Predicate predicate) {
  std::array<bool, 256> of{};
  for (std::size_t i = 0; i < of.size(); ++i) of[i] = predicate(i);
  return of;
}

// Within a string: what needs no second look.
constexpr std::array<bool, 256> kPlain =
    ClassOf([](std::size_t c) { return c >= ' ' && c <= '~' && c != '"' && c != '\\'; });
// Within an object or array: what neither begins a string nor changes the depth.
constexpr std::array<bool, 256> kInner =
    ClassOf([](std::size_t c) { return c != '"' && c != '{' && c != '}' && c != '[' && c != ']'; });

// A cursor in JSON text. Past the end it sees NULs, which are no part of JSON, so that every loop
// ends there.
class Cursor {
 public:
  explicit Cursor(std::string_view text) : text_(text) {}

  std::size_t at() const { return at_; }
  bool AtEnd() const { return at_ >= text_.size(); }
  char Peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }
  std::string_view From(std::size_t start) const { return text_.substr(start, at_ - start); }
  void Advance(std::size_t by) { at_ = std::min(at_ + by, text_.size()); }
  bool Skip(char c) {
    if (Peek() != c) return false;
    Advance(1);
    return true;
  }
  bool Skip(std::string_view word) {
    if (!text_.substr(at_).starts_with(word)) return false;
    Advance(word.size());
    return true;
  }
  bool SkipDigits() {
    const std::size_t start = at_;
    while (IsDigit(Peek())) ++at_;
    return at_ > start;
  }
  void SkipSpace() {
    while (Peek() == ' ' || Peek() == '\t' || Peek() == '\n' || Peek() == '\r') ++at_;
  }
  // Past the characters of one class (kPlain, kInner).
  void SkipAll(const std::array<bool, 256>& of) {
    while (at_ < text_.size() && of[static_cast<unsigned char>(text_[at_])]) ++at_;
  }
  // Past the string that starts here. `odd` is set if it holds anything but printable ASCII without
  // escapes.
  void SkipString(bool& odd) {
    Advance(1);
    for (SkipAll(kPlain); !AtEnd() && Peek() != '"'; SkipAll(kPlain)) {
      odd = true;
      Advance(Peek() == '\\' ? 2 : 1);
    }
    Advance(1);
  }

 private:
  std::string_view text_;
  std::size_t at_ = 0;
};

// Past the value that starts here; returns it. Empty if none does.
std::string_view SkipValue(Cursor& cursor) {
  const std::size_t start = cursor.at();
  bool odd = false;
  std::size_t depth = 0;
  do {
    const char c = cursor.Peek();
    if (c == '"') {
      cursor.SkipString(odd);
    } else if (c == '{' || c == '[') {
      ++depth;
      cursor.Advance(1);
    } else if (depth > 0) {
      if (c == '}' || c == ']') --depth;
      cursor.Advance(1);
      if (depth > 0) cursor.SkipAll(kInner);
    } else {
      while (!cursor.AtEnd() &&
             std::string_view(",:]} \t\n\r").find(cursor.Peek()) == std::string_view::npos) {
        cursor.Advance(1);
      }
    }
  } while (depth > 0 && !cursor.AtEnd());
  return cursor.From(start);
}

// Checks the grammar in one pass without recursion. Strings and numbers of the common kind are
// checked here; any other goes to the library.
class Checker {
 public:
  Checker(std::string_view text, int max_depth) : cursor_(text), max_depth_(max_depth) {}

  absl::Status Run() {
    cursor_.SkipSpace();
    while (true) {
      bool opened = false;
      RETURN_IF_ERROR(Value(opened));
      if (opened) continue;
      bool more = false;
      RETURN_IF_ERROR(AfterValue(more));
      if (!more) return cursor_.AtEnd() ? absl::OkStatus() : Wrong();
    }
  }

 private:
  struct Open {
    bool object;
    std::size_t first_name;  // its names stand in names_ from here on
  };

  absl::Status Wrong() const {
    return absl::InvalidArgumentError(Cat("not valid JSON at byte ", cursor_.at() + 1));
  }

  // A whole value, or the beginning of one, up to where a value within it is expected.
  absl::Status Value(bool& opened) {
    const char c = cursor_.Peek();
    if (c == '"') return String();
    if (c == '-' || IsDigit(c)) return Number();
    if (c != '{' && c != '[') {
      return cursor_.Skip("true") || cursor_.Skip("false") || cursor_.Skip("null")
                 ? absl::OkStatus()
                 : Wrong();
    }
    if (open_.size() >= static_cast<std::size_t>(max_depth_)) {
      return absl::InvalidArgumentError(Cat("JSON nested deeper than ", max_depth_, " levels"));
    }
    cursor_.Advance(1);
    cursor_.SkipSpace();
    if (cursor_.Skip(c == '{' ? '}' : ']')) return absl::OkStatus();
    open_.push_back({c == '{', names_.size()});
    opened = true;
    return c == '{' ? Name() : absl::OkStatus();
  }

  // Closes what ends here; `more` if another value is expected then.
  absl::Status AfterValue(bool& more) {
    cursor_.SkipSpace();
    while (!open_.empty()) {
      const Open& inner = open_.back();
      if (cursor_.Skip(',')) {
        cursor_.SkipSpace();
        more = true;
        return inner.object ? Name() : absl::OkStatus();
      }
      if (!cursor_.Skip(inner.object ? '}' : ']')) return Wrong();
      names_.resize(inner.first_name);
      open_.pop_back();
      cursor_.SkipSpace();
    }
    return absl::OkStatus();
  }

  // The name of a member and its colon.
  absl::Status Name() {
    if (cursor_.Peek() != '"') return Wrong();
    const std::size_t start = cursor_.at();
    RETURN_IF_ERROR(String());
    base::SecretBytes& scratch = decoded_.emplace_back();
    const std::string_view name = StringText(cursor_.From(start), scratch).value_or("");
    if (scratch.empty()) decoded_.pop_back();

    const auto first = names_.begin() + static_cast<std::ptrdiff_t>(open_.back().first_name);
    if (static_cast<std::size_t>(names_.end() - first) >= base::kMaxJsonMembers) {
      return absl::InvalidArgumentError(
          Cat("a JSON object has more than ", base::kMaxJsonMembers, " members"));
    }
    if (std::find(first, names_.end(), name) != names_.end()) {
      return absl::InvalidArgumentError("a JSON member stands twice in one object");
    }
    names_.push_back(name);
    cursor_.SkipSpace();
    if (!cursor_.Skip(':')) return Wrong();
    cursor_.SkipSpace();
    return absl::OkStatus();
  }

  absl::Status String() {
    const std::size_t start = cursor_.at();
    bool odd = false;
    cursor_.SkipString(odd);
    const std::string_view raw = cursor_.From(start);
    if (raw.size() < 2 || raw.back() != '"') return Wrong();
    return odd && !base::ParseJson(raw).ok() ? Wrong() : absl::OkStatus();
  }

  absl::Status Number() {
    const std::size_t start = cursor_.at();
    cursor_.Skip('-');
    if (!cursor_.Skip('0') && !cursor_.SkipDigits()) return Wrong();
    if (cursor_.Skip('.') && !cursor_.SkipDigits()) return Wrong();
    const bool exponent = cursor_.Skip('e') || cursor_.Skip('E');
    if (exponent) {
      if (!cursor_.Skip('+')) cursor_.Skip('-');
      if (!cursor_.SkipDigits()) return Wrong();
    }
    const std::string_view raw = cursor_.From(start);
    if (exponent || raw.size() > kMaxPlainNumber) return base::ParseJson(raw).status();
    return absl::OkStatus();
  }

  Cursor cursor_;
  const int max_depth_;
  std::vector<Open> open_;
  std::vector<std::string_view> names_;    // decoded, of all open objects
  std::deque<base::SecretBytes> decoded_;  // what those of them point to that had escapes
};

}  // namespace

absl::Status CheckStrictJson(std::string_view text, int max_depth) {
  if (text.starts_with("\xef\xbb\xbf")) {
    return absl::InvalidArgumentError("not valid JSON: it begins with a byte order mark");
  }
  return Checker(text, max_depth).Run();
}

absl::StatusOr<base::Json> ParseStrictJson(std::string_view text) {
  RETURN_IF_ERROR(CheckStrictJson(text));
  return base::ParseJson(text);
}

bool FitsNested(const base::Json& value, int levels) {
  if (!value.is_structured()) return true;
  if (levels == 0 || (value.is_object() && value.size() > base::kMaxJsonMembers)) return false;
  return std::ranges::all_of(
      value, [&](const base::Json& inner) { return FitsNested(inner, levels - 1); });
}

std::vector<RawMember> Members(std::string_view text) {
  std::vector<RawMember> members;
  Cursor cursor(text);
  cursor.SkipSpace();
  if (!cursor.Skip('{')) return members;
  do {
    cursor.SkipSpace();
    const std::string_view name = SkipValue(cursor);
    cursor.SkipSpace();
    if (!cursor.Skip(':')) break;
    cursor.SkipSpace();
    members.push_back({name, SkipValue(cursor)});
    cursor.SkipSpace();
  } while (cursor.Skip(','));
  return members;
}

std::optional<std::string_view> FindMember(std::string_view text, std::string_view name) {
  for (const RawMember& member : Members(text)) {
    base::SecretBytes scratch;
    if (StringText(member.name, scratch) == name) return member.value;
  }
  return std::nullopt;
}

std::vector<std::string_view> ArrayElements(std::string_view text) {
  std::vector<std::string_view> elements;
  Cursor cursor(text);
  cursor.SkipSpace();
  if (!cursor.Skip('[')) return elements;
  do {
    cursor.SkipSpace();
    const std::string_view element = SkipValue(cursor);
    if (element.empty()) break;
    elements.push_back(element);
    cursor.SkipSpace();
  } while (cursor.Skip(','));
  return elements;
}

std::optional<std::string_view> StringText(std::string_view raw, base::SecretBytes& scratch) {
  if (raw.size() < 2 || raw.front() != '"' || raw.back() != '"') return std::nullopt;
  if (raw.find('\\') == std::string_view::npos) return raw.substr(1, raw.size() - 2);
  const absl::StatusOr<base::Json> decoded = base::ParseJson(raw);
  const auto* text = decoded.ok() ? decoded->get_ptr<const base::JsonString*>() : nullptr;
  if (text == nullptr) return std::nullopt;
  scratch = base::SecretBytes(std::string_view(*text));
  return scratch.view();
}

}  // namespace mek
