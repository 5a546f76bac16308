#include "base/json_scan.h"

#include <algorithm>
#include <vector>

#include "base/json.h"

namespace base {
namespace {

constexpr std::size_t kBlock = 16;

// 0 for a byte that stands for itself in a string. Without branches, so that the compiler makes
// vectors of many.
constexpr unsigned char Special(char byte) {
  const auto c = static_cast<unsigned char>(byte);
  return static_cast<unsigned char>(c < ' ') | static_cast<unsigned char>(c > '~') |
         static_cast<unsigned char>(c == '"') | static_cast<unsigned char>(c == '\\');
}

bool IsPlainBlock(const char* block) {
  unsigned char special = 0;
  for (std::size_t i = 0; i < kBlock; ++i) special |= Special(block[i]);
  return special == 0;
}

class Scanner {
 public:
  Scanner(std::string_view text, int max_depth) : text_(text), max_depth_(max_depth) {}

  bool Accepts() {
    text_.SkipSpace();
    if (!Value(0)) return false;
    text_.SkipSpace();
    return text_.AtEnd();
  }

 private:
  bool Word(std::string_view word) {
    if (!text_.rest().starts_with(word)) return false;
    text_.Advance(word.size());
    return true;
  }

  // `depth` counts the objects and arrays around.
  bool Value(int depth) {
    switch (text_.Peek()) {
      case '{':
        return depth < max_depth_ && Object(depth + 1);
      case '[':
        return depth < max_depth_ && Array(depth + 1);
      case '"':
        return String();
      case 't':
        return Word("true");
      case 'f':
        return Word("false");
      case 'n':
        return Word("null");
      default:
        return Number();
    }
  }

  bool Object(int depth) {
    text_.Skip('{');
    text_.SkipSpace();
    if (text_.Skip('}')) return true;
    const std::size_t first = names_.size();
    do {
      text_.SkipSpace();
      if (!Name(first)) return false;
      text_.SkipSpace();
      if (!text_.Skip(':')) return false;
      text_.SkipSpace();
      if (!Value(depth)) return false;
      text_.SkipSpace();
    } while (text_.Skip(','));
    names_.resize(first);
    return text_.Skip('}');
  }

  bool Array(int depth) {
    text_.Skip('[');
    text_.SkipSpace();
    if (text_.Skip(']')) return true;
    do {
      text_.SkipSpace();
      if (!Value(depth)) return false;
      text_.SkipSpace();
    } while (text_.Skip(','));
    return text_.Skip(']');
  }

  // A member's name; those of the same object are the names from `first` on.
  bool Name(std::size_t first) {
    if (!text_.Skip('"')) return false;
    const std::string_view name = text_.SkipPlain();
    if (!text_.Skip('"') || names_.size() - first >= kMaxJsonMembers) return false;
    const auto siblings = names_.begin() + static_cast<std::ptrdiff_t>(first);
    if (std::find(siblings, names_.end(), name) != names_.end()) return false;
    names_.push_back(name);
    return true;
  }

  bool String() {
    text_.Skip('"');
    for (;;) {
      text_.SkipPlain();
      if (!text_.Skip('\\')) return text_.Skip('"');
      if (std::string_view("\"\\/bfnrt").find(text_.Peek()) == std::string_view::npos) return false;
      text_.Advance(1);
    }
  }

  // A whole number that fits 64 bits whatever its digits are.
  bool Number() {
    text_.Skip('-');
    const std::string_view rest = text_.rest();
    const std::size_t digits = std::min(rest.find_first_not_of("0123456789"), rest.size());
    if (digits == 0 || digits > 18 || (digits > 1 && text_.Peek() == '0')) return false;
    text_.Advance(digits);
    return text_.Peek() != '.' && text_.Peek() != 'e' && text_.Peek() != 'E';
  }

  JsonCursor text_;
  const int max_depth_;
  // Of the open objects, from the outermost in.
  std::vector<std::string_view> names_;
};

}  // namespace

bool IsPlainJson(std::string_view text, int max_depth) {
  return Scanner(text, max_depth).Accepts();
}

std::size_t PlainPrefix(std::string_view text) {
  std::size_t at = 0;
  while (at + kBlock <= text.size() && IsPlainBlock(text.data() + at)) at += kBlock;
  while (at < text.size() && Special(text[at]) == 0) ++at;
  return at;
}

}  // namespace base
