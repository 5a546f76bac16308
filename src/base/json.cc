#include "base/json.h"

#include <algorithm>
#include <cstddef>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"

namespace base {
namespace {

// Thrown through the parser by the callback below and caught in Read.
struct Refused {
  std::string why;
};

// Watches the parser's events for what the grammar allows and we don't. Says of each value whether
// it is to be kept.
class Strictness {
 public:
  Strictness(int max_depth, bool keep) : max_depth_(max_depth), keep_(keep) {}

  bool operator()(int depth, Json::parse_event_t event, const Json& value) {
    // `depth` counts the objects and arrays around. Their ends aren't looked at: the parser is
    // silent about those of values that are not kept.
    const auto around = static_cast<std::size_t>(depth);
    if (event == Json::parse_event_t::object_start || event == Json::parse_event_t::array_start) {
      if (depth >= max_depth_) {
        throw Refused{absl::StrCat("JSON nested deeper than ", max_depth_, " levels")};
      }
      names_.resize(around);
      names_.emplace_back();
    } else if (event == Json::parse_event_t::key) {
      names_.resize(around);
      Name(value.get_ref<const JsonString&>());
    }
    return keep_;
  }

 private:
  void Name(const JsonString& name) {
    std::vector<JsonString>& names = names_.back();
    if (names.size() >= kMaxJsonMembers) {
      throw Refused{absl::StrCat("a JSON object has more than ", kMaxJsonMembers, " members")};
    }
    if (std::ranges::find(names, name) != names.end()) {
      throw Refused{"a JSON member stands twice in one object"};
    }
    names.push_back(name);
  }

  const int max_depth_;
  const bool keep_;
  // The member names seen so far in each open object (none for an open array).
  std::vector<std::vector<JsonString>> names_;
};

absl::StatusOr<Json> Read(std::string_view text, int max_depth, bool keep) {
  // The library forgives a byte order mark, and takes a NUL for the end; readers' parsers do
  // neither.
  if (text.starts_with("\xef\xbb\xbf")) {
    return absl::InvalidArgumentError("not valid JSON: it begins with a byte order mark");
  }
  if (const std::size_t nul = text.find('\0'); nul != std::string_view::npos) {
    return absl::InvalidArgumentError(absl::StrCat("not valid JSON at byte ", nul + 1));
  }
  try {
    Strictness strictness(max_depth, keep);
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

// A string of printable ASCII without escapes, which stands for itself.
bool IsPlainString(std::string_view text) {
  return text.size() >= 2 && text.front() == '"' && text.back() == '"' &&
         std::ranges::all_of(text.substr(1, text.size() - 2),
                             [](char c) { return c >= ' ' && c <= '~' && c != '"' && c != '\\'; });
}

}  // namespace

absl::Status CheckJson(std::string_view text, int max_depth) {
  return Read(text, max_depth, /*keep=*/false).status();
}

absl::StatusOr<Json> ParseJson(std::string_view text) {
  // The parser takes six times as long, which is felt with the long strings of what is stored.
  if (IsPlainString(text)) return Json(JsonString(text.substr(1, text.size() - 2)));
  return Read(text, kMaxJsonDepth, /*keep=*/true);
}

absl::StatusOr<SecretBytes> DumpJson(const Json& value) {
  try {
    return SecretBytes(std::string_view(value.dump()));
  } catch (const Json::exception&) {
    return absl::InternalError("a string to be written as JSON is not UTF-8");
  }
}

const Json* FindMember(const Json& object, std::string_view name) {
  if (!object.is_object()) return nullptr;
  const auto at = object.find(JsonString(name));
  return at == object.end() ? nullptr : &*at;
}

const JsonString* FindString(const Json& object, std::string_view name) {
  const Json* member = FindMember(object, name);
  return member == nullptr ? nullptr : member->get_ptr<const JsonString*>();
}

}  // namespace base
