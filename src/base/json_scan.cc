#include "base/json_scan.h"

#include <algorithm>
#include <vector>

#include "base/json.h"

namespace base {
namespace {

constexpr std::size_t kBlock = 16;

constexpr bool IsPlain(char c) { return c >= ' ' && c <= '~' && c != '"' && c != '\\'; }

// Judges all of them whatever the first ones are, so that the compiler makes vectors of it.
bool IsPlainBlock(const char* block) {
  unsigned char bad = 0;
  for (std::size_t i = 0; i < kBlock; ++i) {
    const auto c = static_cast<unsigned char>(block[i]);
    bad |= static_cast<unsigned char>(c < ' ') | static_cast<unsigned char>(c > '~') |
           static_cast<unsigned char>(c == '"') | static_cast<unsigned char>(c == '\\');
  }
  return bad == 0;
}

class Scanner {
 public:
  Scanner(std::string_view text, int max_depth) : rest_(text), max_depth_(max_depth) {}

  bool Accepts() {
    SkipSpace();
    if (!Value(0)) return false;
    SkipSpace();
    return rest_.empty();
  }

 private:
  // NUL at the end, which is no part of JSON.
  char Peek() const { return rest_.empty() ? '\0' : rest_.front(); }
  bool Skip(char c) {
    if (Peek() != c) return false;
    rest_.remove_prefix(1);
    return true;
  }
  void SkipSpace() {
    while (IsJsonSpace(Peek())) Skip(Peek());
  }
  bool Word(std::string_view word) {
    if (!rest_.starts_with(word)) return false;
    rest_.remove_prefix(word.size());
    return true;
  }

  // `depth` counts the objects and arrays around.
  bool Value(int depth) {
    switch (Peek()) {
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
    Skip('{');
    SkipSpace();
    if (Skip('}')) return true;
    const std::size_t first = names_.size();
    do {
      SkipSpace();
      if (!Name(first)) return false;
      SkipSpace();
      if (!Skip(':')) return false;
      SkipSpace();
      if (!Value(depth)) return false;
      SkipSpace();
    } while (Skip(','));
    names_.resize(first);
    return Skip('}');
  }

  bool Array(int depth) {
    Skip('[');
    SkipSpace();
    if (Skip(']')) return true;
    do {
      SkipSpace();
      if (!Value(depth)) return false;
      SkipSpace();
    } while (Skip(','));
    return Skip(']');
  }

  // A member's name; those of the same object are the names from `first` on.
  bool Name(std::size_t first) {
    if (!Skip('"')) return false;
    const std::string_view name = rest_.substr(0, PlainPrefix(rest_));
    rest_.remove_prefix(name.size());
    if (!Skip('"') || names_.size() - first >= kMaxJsonMembers) return false;
    const auto siblings = names_.begin() + static_cast<std::ptrdiff_t>(first);
    if (std::find(siblings, names_.end(), name) != names_.end()) return false;
    names_.push_back(name);
    return true;
  }

  bool String() {
    Skip('"');
    for (;;) {
      rest_.remove_prefix(PlainPrefix(rest_));
      if (!Skip('\\')) return Skip('"');
      if (rest_.empty() || std::string_view("\"\\/bfnrt").find(Peek()) == std::string_view::npos) {
        return false;
      }
      rest_.remove_prefix(1);
    }
  }

  // A whole number that fits 64 bits whatever its digits are.
  bool Number() {
    Skip('-');
    const std::size_t digits = std::min(rest_.find_first_not_of("0123456789"), rest_.size());
    if (digits == 0 || digits > 18 || (digits > 1 && Peek() == '0')) return false;
    rest_.remove_prefix(digits);
    return Peek() != '.' && Peek() != 'e' && Peek() != 'E';
  }

  std::string_view rest_;
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
  while (at < text.size() && IsPlain(text[at])) ++at;
  return at;
}

}  // namespace base
