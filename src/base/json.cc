#include "base/json.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace base {
namespace {

// Thrown through the parser by the callback below and caught in ParseJson.
struct Refused {
  std::string why;
};

// Watches the parser's events for what the grammar allows and we don't.
class Strictness {
 public:
  bool operator()(int depth, Json::parse_event_t event, const Json& value) {
    switch (event) {
      case Json::parse_event_t::object_start:
      case Json::parse_event_t::array_start:
        if (depth >= kMaxJsonDepth) {
          throw Refused{absl::StrCat("JSON nested deeper than ", kMaxJsonDepth, " levels")};
        }
        names_.emplace_back();
        break;
      case Json::parse_event_t::key: {
        const auto& name = value.get_ref<const JsonString&>();
        if (names_.back().size() >= kMaxJsonMembers) {
          throw Refused{absl::StrCat("a JSON object has more than ", kMaxJsonMembers, " members")};
        }
        if (std::ranges::find(names_.back(), name) != names_.back().end()) {
          throw Refused{"a JSON member stands twice in one object"};
        }
        names_.back().push_back(name);
        break;
      }
      case Json::parse_event_t::object_end:
      case Json::parse_event_t::array_end:
        names_.pop_back();
        break;
      case Json::parse_event_t::value:
        break;
    }
    return true;
  }

 private:
  // The member names seen so far in each open object (none for an open array).
  std::vector<std::vector<JsonString>> names_;
};

}  // namespace

absl::StatusOr<Json> ParseJson(std::string_view text) {
  try {
    Strictness strictness;
    return Json::parse(text.begin(), text.end(),
                       [&](int depth, Json::parse_event_t event, Json& value) {
                         return strictness(depth, event, value);
                       });
  } catch (const Refused& refused) {
    return absl::InvalidArgumentError(refused.why);
  } catch (const Json::parse_error& error) {
    // what() quotes the last token read, which may be a key.
    return absl::InvalidArgumentError(absl::StrCat("not valid JSON at byte ", error.byte));
  } catch (const Json::exception&) {
    return absl::InvalidArgumentError("not valid JSON: a number is out of range");
  }
}

absl::StatusOr<SecretBytes> DumpJson(const Json& value) {
  try {
    return SecretBytes(std::string_view(value.dump()));
  } catch (const Json::exception&) {
    return absl::InternalError("a string to be written as JSON is not UTF-8");
  }
}

const JsonString* FindString(const Json& object, std::string_view name) {
  if (!object.is_object()) return nullptr;
  const auto at = object.find(JsonString(name));
  return at == object.end() ? nullptr : at->get_ptr<const JsonString*>();
}

}  // namespace base
