#include "mek/json_span.h"

#include <algorithm>
#include <array>
#include <cstddef>

namespace mek {
namespace {

template <class Predicate>
constexpr std::array<bool, 256> ClassOf(Predicate predicate) {
  std::array<bool, 256> of{};
  for (std::size_t i = 0; i < of.size(); ++i) of[i] = predicate(i);
  return of;
}

// Within an object or array: what neither begins a string nor changes the depth.
constexpr std::array<bool, 256> kInner =
    ClassOf([](std::size_t c) { return c != '"' && c != '{' && c != '}' && c != '[' && c != ']'; });

class Cursor : public base::JsonCursor {
 public:
  using base::JsonCursor::JsonCursor;

  void SkipInner() {
    while (!AtEnd() && kInner[static_cast<unsigned char>(Peek())]) Advance(1);
  }
  // Past the string that starts here.
  void SkipString() {
    Advance(1);
    for (SkipPlain(); !AtEnd() && Peek() != '"'; SkipPlain()) {
      Advance(Peek() == '\\' ? 2 : 1);
    }
    Advance(1);
  }
};

// Past the value that starts here; returns it. Empty if none does.
std::string_view SkipValue(Cursor& cursor) {
  const std::size_t start = cursor.at();
  std::size_t depth = 0;
  do {
    const char c = cursor.Peek();
    if (c == '"') {
      cursor.SkipString();
    } else if (c == '{' || c == '[') {
      ++depth;
      cursor.Advance(1);
    } else if (depth > 0) {
      if (c == '}' || c == ']') --depth;
      cursor.Advance(1);
      if (depth > 0) cursor.SkipInner();
    } else {
      while (!cursor.AtEnd() &&
             std::string_view(",:]} \t\n\r").find(cursor.Peek()) == std::string_view::npos) {
        cursor.Advance(1);
      }
    }
  } while (depth > 0 && !cursor.AtEnd());
  return cursor.From(start);
}

}  // namespace

bool FitsNested(const base::Json& value, int levels) {
  if (!value.is_structured()) return true;
  if (levels == 0 || (value.is_object() && value.size() > base::kMaxJsonMembers)) return false;
  return std::ranges::all_of(
      value, [&](const base::Json& inner) { return FitsNested(inner, levels - 1); });
}

absl::InlinedVector<RawMember, 8> Members(std::string_view text) {
  absl::InlinedVector<RawMember, 8> members;
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

bool IsNamed(const RawMember& member, std::string_view name) {
  // Decoded it is not longer than raw, without its quotes.
  if (member.name.size() < name.size() + 2) return false;
  base::SecretBytes scratch;
  return StringText(member.name, scratch) == name;
}

std::optional<std::string_view> FindMember(std::string_view text, std::string_view name) {
  for (const RawMember& member : Members(text)) {
    if (IsNamed(member, name)) return member.value;
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

PlainObjects::PlainObjects(std::string_view text, std::string_view name) : text_(text) {
  more_ = Skip('{') && String() == name && Skip(':') && Skip('[');
}

bool PlainObjects::Next() {
  if (!more_) return false;
  more_ = false;
  if (!Object()) return false;
  more_ = Skip(',');
  if (!more_ && Skip(']') && Skip('}')) {
    text_.SkipSpace();
    complete_ = text_.AtEnd();
  }
  return true;
}

// Past whitespace, and past `c` if it follows.
bool PlainObjects::Skip(char c) {
  text_.SkipSpace();
  return text_.Skip(c);
}

std::optional<std::string_view> PlainObjects::String() {
  if (!Skip('"')) return std::nullopt;
  const std::string_view text = text_.SkipPlain();
  if (!text_.Skip('"')) return std::nullopt;
  return text;
}

bool PlainObjects::Object() {
  text_.SkipSpace();
  const std::size_t start = text_.at();
  if (!text_.Skip('{')) return false;
  size_ = 0;
  do {
    const std::optional<std::string_view> name = String();
    if (!name.has_value() || !Skip(':')) return false;
    const std::optional<std::string_view> value = String();
    const std::span<const TextMember> before = members();
    if (!value.has_value() || size_ == kMostMembers ||
        std::ranges::find(before, *name, &TextMember::name) != before.end()) {
      return false;
    }
    members_[size_++] = {*name, value};
  } while (Skip(','));
  if (!Skip('}')) return false;
  element_ = text_.From(start);
  return true;
}

}  // namespace mek
