#include "base/json.h"

#include <algorithm>
#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/json_scan.h"

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
  Strictness(int max_depth, std::size_t max_members, bool keep)
      : max_depth_(max_depth), max_members_(max_members), keep_(keep) {}

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
  // Wiped, as a short string lies in its vector itself.
  using Names = std::vector<JsonString, WipingAllocator<JsonString>>;

  void Name(const JsonString& name) {
    Names& names = names_.back();
    if (names.size() >= max_members_) {
      throw Refused{absl::StrCat("a JSON object has more than ", max_members_, " members")};
    }
    if (std::ranges::find(names, name) != names.end()) {
      throw Refused{"a JSON member stands twice in one object"};
    }
    names.push_back(name);
  }

  const int max_depth_;
  const std::size_t max_members_;
  const bool keep_;
  // The member names seen so far in each open object (none for an open array).
  std::vector<Names> names_;
};

absl::StatusOr<Json> Read(std::string_view text, int max_depth, std::size_t max_members,
                          bool keep) {
  // The library forgives a byte order mark, and takes a NUL for the end; readers' parsers do
  // neither.
  if (text.starts_with("\xef\xbb\xbf")) {
    return absl::InvalidArgumentError("not valid JSON: it begins with a byte order mark");
  }
  if (const std::size_t nul = text.find('\0'); nul != std::string_view::npos) {
    return absl::InvalidArgumentError(absl::StrCat("not valid JSON at byte ", nul + 1));
  }
  try {
    Strictness strictness(max_depth, max_members, keep);
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
         PlainPrefix(text.substr(1)) == text.size() - 2;
}

// About how long the text of a value is, so that it grows in one place.
std::size_t TextSize(const Json& value) {
  constexpr std::size_t kAround = 8;
  if (const auto* text = value.get_ptr<const JsonString*>(); text != nullptr) {
    return text->size() + kAround;
  }
  std::size_t size = kAround;
  if (!value.is_structured()) return size;
  // Names are short.
  for (const Json& inner : value) size += kAround + TextSize(inner);
  return size;
}

bool IsQuoted(char c) { return c == '"' || c == '\\'; }

// The library would put a string with escapes together on the stack, where nothing wipes it. Text
// with keys in it is printable ASCII, and escapes quotes only: the library gets what begins with
// anything else.
void DumpString(const JsonString& text, SecretBytes& out) {
  out.Append("\"");
  for (std::string_view rest = text;;) {
    const std::size_t plain = PlainPrefix(rest);
    out.Append(rest.substr(0, plain));
    rest.remove_prefix(plain);
    if (rest.empty()) return out.Append("\"");
    if (!IsQuoted(rest.front())) {
      const JsonString quoted = JsonText(rest).dump();
      return out.Append(std::string_view(quoted).substr(1));
    }
    out.Append("\\");
    out.Append(rest.substr(0, 1));
    rest.remove_prefix(1);
  }
}

// What value.dump() is, where a string that stands for itself is not looked at by the character.
void Dump(const Json& value, SecretBytes& out) {
  std::string_view separator;
  if (const auto* object = value.get_ptr<const Json::object_t*>(); object != nullptr) {
    out.Append("{");
    for (const auto& [name, inner] : *object) {
      out.Append(std::exchange(separator, ","));
      DumpString(name, out);
      out.Append(":");
      Dump(inner, out);
    }
    out.Append("}");
  } else if (const auto* array = value.get_ptr<const Json::array_t*>(); array != nullptr) {
    out.Append("[");
    for (const Json& inner : *array) {
      out.Append(std::exchange(separator, ","));
      Dump(inner, out);
    }
    out.Append("]");
  } else if (const auto* text = value.get_ptr<const JsonString*>(); text != nullptr) {
    DumpString(*text, out);
  } else {
    out.Append(value.dump());
  }
}

}  // namespace

absl::Status CheckJson(std::string_view text, int max_depth) {
  if (IsPlainJson(text, max_depth)) return absl::OkStatus();
  return Read(text, max_depth, kMaxJsonMembers, /*keep=*/false).status();
}

absl::StatusOr<Json> ParseJson(std::string_view text, std::size_t max_members) {
  // The parser takes six times as long, which is felt with the long strings of what is stored.
  if (IsPlainString(text)) return Json(JsonString(text.substr(1, text.size() - 2)));
  return Read(text, kMaxJsonDepth, max_members, /*keep=*/true);
}

absl::StatusOr<SecretBytes> DumpJson(const Json& value) {
  try {
    SecretBytes text;
    text.Reserve(TextSize(value));
    Dump(value, text);
    return text;
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
