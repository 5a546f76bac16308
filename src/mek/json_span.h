// Locates values in JSON text, so that an edit can splice them and leave every other byte as it
// was: unknown members, order, whitespace and the spelling of numbers survive.
//
// Precondition of all functions: the text was accepted by ParseStrictJson. The scanner tracks only
// strings and nesting; on other text the results are meaningless, but nothing is read out of
// bounds. The views returned point into the text that was passed.
#ifndef MEK_JSON_SPAN_H_
#define MEK_JSON_SPAN_H_

#include <optional>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "base/json.h"

namespace mek {

// base::ParseJson, less what its library forgives at either end: a byte order mark and a NUL. The
// readers' JSON parsers forgive neither.
absl::StatusOr<base::Json> ParseStrictJson(std::string_view text);

// True if `value` has at most `levels` levels of objects and arrays, and no object in it has more
// members than base::ParseJson accepts. So it can be read back from a text that holds it at a depth
// of base::kMaxJsonDepth - `levels`.
bool FitsNested(const base::Json& value, int levels);

// The raw value of the member `name` of the object that `text` is. Names are compared decoded:
// "k\u0065ys" is keys. nullopt if there is none or `text` is no object.
std::optional<std::string_view> FindMember(std::string_view text, std::string_view name);

// The raw elements of the array that `text` is, without the whitespace around them.
std::vector<std::string_view> ArrayElements(std::string_view text);

}  // namespace mek

#endif  // MEK_JSON_SPAN_H_
