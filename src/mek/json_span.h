// Values in JSON text, located so that an edit can splice them and leave every other byte as it
// was. Unknown members, order, whitespace and the spelling of numbers survive, and a set of a
// thousand keys is read in one pass without a value being built.
//
// The views that are returned point into the text that was passed. Precondition of all that take
// text: base::CheckJson accepted it. On other text their results are meaningless, but nothing is
// read out of bounds.
#ifndef MEK_JSON_SPAN_H_
#define MEK_JSON_SPAN_H_

#include <array>
#include <cstddef>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "absl/container/inlined_vector.h"
#include "base/json.h"
#include "base/json_scan.h"
#include "base/secret.h"

namespace mek {

// True if `value` has at most `levels` levels of objects and arrays, and no object in it has more
// members than base::ParseJson accepts. So it can be read back from a text that holds it at a depth
// of base::kMaxJsonDepth - `levels`.
bool FitsNested(const base::Json& value, int levels);

// A member of an object, both parts raw: the name with its quotes and escapes.
struct RawMember {
  std::string_view name;
  std::string_view value;
};

// The members of the object that `text` is; none if it is no object. Those of a JWK take no memory
// of their own.
absl::InlinedVector<RawMember, 8> Members(std::string_view text);

// Names are compared decoded: "k\u0065ys" is keys.
bool IsNamed(const RawMember& member, std::string_view name);

// The raw value of the member `name` of the object that `text` is. nullopt if there is none or
// `text` is no object.
std::optional<std::string_view> FindMember(std::string_view text, std::string_view name);

// The raw elements of the array that `text` is, without the whitespace around them.
std::vector<std::string_view> ArrayElements(std::string_view text);

// A member of an object, its name and value decoded; no text: the value is no string.
struct TextMember {
  std::string_view name;
  std::optional<std::string_view> text;
};

// Reads the one shape that nearly every key set has, in a single pass and without a precondition:
// {"<name>":[{…},…]}, each element an object of 1 to kMostMembers members whose names and values
// are strings of printable ASCII without escapes, no name twice, whitespace wherever JSON has it.
// What has this shape base::CheckJson accepts, and the functions above find the same in it.
class PlainObjects {
 public:
  static constexpr std::size_t kMostMembers = 8;

  PlainObjects(std::string_view text, std::string_view name);

  // Goes on to the next element. False after the last one, and where the text leaves the shape.
  bool Next();
  // The element that Next() went to, and its members. Valid until the next call.
  std::string_view element() const { return element_; }
  std::span<const TextMember> members() const { return {members_.data(), size_}; }
  // Once Next() has said false: whether the whole text has the shape.
  bool complete() const { return complete_; }

 private:
  bool Skip(char c);
  std::optional<std::string_view> String();
  bool Object();

  base::JsonCursor text_;
  std::string_view element_;
  std::array<TextMember, kMostMembers> members_;
  std::size_t size_ = 0;
  bool more_ = false;  // an element follows
  bool complete_ = false;
};

// The text of the JSON string `raw`, or nullopt if it is no string: a view into `raw`, or into
// `scratch` if it had to be decoded.
std::optional<std::string_view> StringText(std::string_view raw, base::SecretBytes& scratch);

}  // namespace mek

#endif  // MEK_JSON_SPAN_H_
