// JSON on wiped memory, and the one place where exceptions of the JSON library are caught.
#ifndef BASE_JSON_H_
#define BASE_JSON_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "base/secret.h"
#include "nlohmann/json.hpp"

namespace base {

// A JSON value (RFC 8259) that keeps the order of members and wipes all that it held.
using Json = nlohmann::basic_json<nlohmann::ordered_map, std::vector, JsonString, bool,
                                  std::int64_t, std::uint64_t, double, WipingAllocator>;

// Bounds on what is parsed. A value's members are searched in order, so their number is bounded
// too.
inline constexpr int kMaxJsonDepth = 64;
inline constexpr std::size_t kMaxJsonMembers = 256;

// Checks a text without building its value. INVALID_ARGUMENT as ParseJson's.
absl::Status CheckJson(std::string_view text, int max_depth = kMaxJsonDepth);

// Parses strictly: no member twice in one object, nothing beyond the bounds above, valid UTF-8,
// nothing after the value. The error says what and at which byte, and never shows the text.
absl::StatusOr<Json> ParseJson(std::string_view text, std::size_t max_members = kMaxJsonMembers);

// The compact text of a value. INTERNAL if a string in it is not UTF-8.
absl::StatusOr<SecretBytes> DumpJson(const Json& value);

// The member `name` of an object, or nullptr if it is absent or `object` is none.
const Json* FindMember(const Json& object, std::string_view name);
// The string member `name` of an object, or nullptr if it is absent or not a string.
const JsonString* FindString(const Json& object, std::string_view name);

// A JSON string of ordinary (not secret) text.
inline Json JsonText(std::string_view text) { return Json(JsonString(text)); }

}  // namespace base

#endif  // BASE_JSON_H_
