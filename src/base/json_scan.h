// A quick look at JSON text, without building anything.
#ifndef BASE_JSON_SCAN_H_
#define BASE_JSON_SCAN_H_

#include <algorithm>
#include <cstddef>
#include <string_view>

namespace base {

// RFC 8259, section 2.
constexpr bool IsJsonSpace(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

// How many bytes at the start of `text` stand for themselves in a JSON string: printable ASCII but
// quotes and backslashes.
std::size_t PlainPrefix(std::string_view text);

// A place in JSON text that only moves on. Past the end it sees NULs, which are no part of JSON, so
// that every loop ends there. Not thread-safe; the text must outlive it.
class JsonCursor {
 public:
  explicit JsonCursor(std::string_view text) : text_(text) {}

  std::size_t at() const { return at_; }
  bool AtEnd() const { return at_ == text_.size(); }
  char Peek() const { return AtEnd() ? '\0' : text_[at_]; }
  std::string_view rest() const { return text_.substr(at_); }
  // From `start`, a place before, up to here.
  std::string_view From(std::size_t start) const { return text_.substr(start, at_ - start); }

  void Advance(std::size_t by) { at_ = std::min(at_ + by, text_.size()); }
  bool Skip(char c) {
    if (AtEnd() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  void SkipSpace() {
    while (IsJsonSpace(Peek())) ++at_;
  }
  // Past what PlainPrefix counts; returns it.
  std::string_view SkipPlain() {
    const std::size_t start = at_;
    at_ += PlainPrefix(rest());
    return From(start);
  }

 private:
  std::string_view text_;
  std::size_t at_ = 0;
};

// True only for what CheckJson accepts, and for most of that, in a fraction of its time. Not
// judged, so false: \u, escapes in names, what is not ASCII, fractions, numbers of many digits.
bool IsPlainJson(std::string_view text, int max_depth);

}  // namespace base

#endif  // BASE_JSON_SCAN_H_
