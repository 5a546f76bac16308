// A quick look at JSON text, without building anything.
#ifndef BASE_JSON_SCAN_H_
#define BASE_JSON_SCAN_H_

#include <cstddef>
#include <string_view>

namespace base {

// RFC 8259, section 2.
constexpr bool IsJsonSpace(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

// How many bytes at the start of `text` stand for themselves in a JSON string: printable ASCII but
// quotes and backslashes.
std::size_t PlainPrefix(std::string_view text);

// True only for what CheckJson accepts, and for most of that, in a fraction of its time. Not
// judged, so false: \u, escapes in names, what is not ASCII, fractions, numbers of many digits.
bool IsPlainJson(std::string_view text, int max_depth);

}  // namespace base

#endif  // BASE_JSON_SCAN_H_
