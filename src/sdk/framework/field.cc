#include "sdk/framework/field.h"

#include <algorithm>
#include <limits>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "base/status_macros.h"
#include "base/text.h"

namespace openbao {
namespace {

using base::Cat;
using base::Json;
using base::JsonString;
using base::ToAbsl;
using base::ToStd;

constexpr std::uint64_t kMaxUnsigned = std::numeric_limits<std::int64_t>::max();
constexpr absl::Duration kMaxDuration = absl::Hours(24 * 365 * 100);

std::string_view Expected(FieldType type) {
  switch (type) {
    case FieldType::kString:
      return "a string";
    case FieldType::kUnsigned:
      return "a whole number, 0 or more";
    case FieldType::kBool:
      return "true or false";
    case FieldType::kDuration:
      return "a duration such as \"48h\" or \"30m\", or a whole number of seconds, 0 or more";
    case FieldType::kStringList:
      return "a list of strings, or one string with commas";
    case FieldType::kObject:
      return "a JSON object (from the command line: name=@file.json)";
  }
  return "";
}

std::optional<std::string_view> AsText(const Json& value) {
  const auto* text = value.get_ptr<const JsonString*>();
  if (text == nullptr) return std::nullopt;
  return std::string_view(*text);
}

std::optional<Json> ToUnsigned(const Json& value) {
  std::uint64_t number = 0;
  if (value.is_number_integer()) {
    if (!value.is_number_unsigned() && value.get<std::int64_t>() < 0) return std::nullopt;
    number = value.get<std::uint64_t>();
  } else if (const auto text = AsText(value); text.has_value()) {
    const bool digits = !text->empty() && std::ranges::all_of(*text, absl::ascii_isdigit);
    if (!digits || !absl::SimpleAtoi(ToAbsl(*text), &number)) return std::nullopt;
  } else {
    return std::nullopt;
  }
  if (number > kMaxUnsigned) return std::nullopt;
  return Json(number);
}

std::optional<Json> ToBool(const Json& value) {
  if (value.is_boolean()) return value;
  const auto text = AsText(value);
  if (text == "true" || text == "1") return Json(true);
  if (text == "false" || text == "0") return Json(false);
  return std::nullopt;
}

// Go's duration syntax with "d" for days beside it, as OpenBao takes durations (parseutil); bare
// numbers are seconds.
std::optional<Json> ToDuration(const Json& value) {
  if (auto seconds = ToUnsigned(value); seconds.has_value()) {
    if (absl::Seconds(seconds->get<std::int64_t>()) > kMaxDuration) return std::nullopt;
    return seconds;
  }
  const auto text = AsText(value);
  if (!text.has_value()) return std::nullopt;
  absl::Duration duration;
  if (text->ends_with('d')) {
    const auto days = ToUnsigned(base::JsonText(text->substr(0, text->size() - 1)));
    if (!days.has_value()) return std::nullopt;
    duration = absl::Hours(24) * days->get<std::int64_t>();
  } else if (!absl::ParseDuration(ToAbsl(*text), &duration)) {
    return std::nullopt;
  }
  if (duration < absl::ZeroDuration() || duration > kMaxDuration) return std::nullopt;
  if (duration != absl::Floor(duration, absl::Seconds(1))) return std::nullopt;
  return Json(absl::ToInt64Seconds(duration));
}

std::optional<Json> ToStringList(const Json& value) {
  Json list = Json::array();
  if (const auto text = AsText(value); text.has_value()) {
    for (absl::string_view part : absl::StrSplit(ToAbsl(*text), ',', absl::SkipWhitespace())) {
      list.push_back(base::JsonText(ToStd(absl::StripAsciiWhitespace(part))));
    }
    return list;
  }
  if (!value.is_array()) return std::nullopt;
  if (!std::ranges::all_of(value, [](const Json& item) { return item.is_string(); }))
    return std::nullopt;
  return value;
}

std::optional<Json> ToObject(const Json& value) {
  if (value.is_object()) return value;
  const auto text = AsText(value);
  if (!text.has_value()) return std::nullopt;
  absl::StatusOr<Json> parsed = base::ParseJson(*text);
  if (!parsed.ok() || !parsed->is_object()) return std::nullopt;
  return *std::move(parsed);
}

std::optional<Json> ToType(FieldType type, const Json& value) {
  switch (type) {
    case FieldType::kString:
      return value.is_string() ? std::optional<Json>(value) : std::nullopt;
    case FieldType::kUnsigned:
      return ToUnsigned(value);
    case FieldType::kBool:
      return ToBool(value);
    case FieldType::kDuration:
      return ToDuration(value);
    case FieldType::kStringList:
      return ToStringList(value);
    case FieldType::kObject:
      return ToObject(value);
  }
  return std::nullopt;
}

// A longer one may be a key's text. (So a mistyped name of a long parameter is not shown.)
constexpr std::size_t kMaxShownName = 15;

// A name is shown only if it looks like one: a value may have slipped into its place.
std::string ShownName(std::string_view name) {
  const bool plain =
      !name.empty() && name.size() <= kMaxShownName && std::ranges::all_of(name, [](char c) {
        return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '-';
      });
  return plain ? Cat("\"", name, "\"") : "with an unusual name";
}

bool Takes(FieldData::Use use, const Field& field) {
  return use == FieldData::Use::kAll || field.query == (use == FieldData::Use::kQuery);
}

absl::Status Unknown(std::string_view name, const std::vector<Field>& fields, FieldData::Use use) {
  std::string known;
  for (const Field& field : fields) {
    if (Takes(use, field)) known += Cat(known.empty() ? "" : ", ", field.name);
  }
  return absl::InvalidArgumentError(Cat("unknown parameter ", ShownName(name),
                                        "; this operation takes ", known.empty() ? "none" : known,
                                        ". Nothing was changed"));
}

}  // namespace

absl::StatusOr<FieldData> FieldData::Parse(const std::vector<Field>& fields, const Json& data,
                                           const std::map<std::string, std::string>& captured,
                                           Use use) {
  FieldData parsed;
  const auto take = [&](const Field& field, const Json& value) -> absl::Status {
    std::optional<Json> typed = ToType(field.type, value);
    if (!typed.has_value()) {
      return absl::InvalidArgumentError(Cat(field.name, ": expected ", Expected(field.type)));
    }
    const std::optional<std::string_view> text = AsText(*typed);
    if (text.has_value() && !field.allowed.empty() &&
        std::ranges::find(field.allowed, *text) == field.allowed.end()) {
      return absl::InvalidArgumentError(
          Cat(field.name, ": expected one of ", absl::StrJoin(field.allowed, ", ")));
    }
    parsed.values_.insert_or_assign(field.name, *std::move(typed));
    return absl::OkStatus();
  };

  for (const auto& [name, value] : data.items()) {
    const auto field = std::ranges::find(fields, std::string_view(name), &Field::name);
    if (field == fields.end() || !Takes(use, *field)) return Unknown(name, fields, use);
    // null too is a value, and of no field's type: a script's unset variable must not leave out a
    // cas.
    RETURN_IF_ERROR(take(*field, value));
  }
  for (const auto& [name, text] : captured) {
    const auto field = std::ranges::find(fields, name, &Field::name);
    if (field == fields.end()) return absl::InternalError(Cat("no field for {", name, "}"));
    if (const auto given = data.find(base::JsonString(name));
        given != data.end() && AsText(*given) != text) {
      return absl::InvalidArgumentError(
          Cat(name,
              ": the path has another one. Leave it out, or give the same; nothing was "
              "changed"));
    }
    RETURN_IF_ERROR(take(*field, base::JsonText(text)));
  }
  for (const Field& field : fields) {
    if (field.required && Takes(use, field) && !parsed.Has(field.name)) {
      return absl::InvalidArgumentError(
          Cat(field.name, " is missing: expected ", Expected(field.type)));
    }
  }
  return parsed;
}

const Json* FieldData::Find(std::string_view name) const {
  const auto at = values_.find(name);
  return at == values_.end() ? nullptr : &at->second;
}

std::optional<std::string_view> FieldData::String(std::string_view name) const {
  const Json* value = Find(name);
  return value == nullptr ? std::nullopt : AsText(*value);
}

std::optional<std::uint64_t> FieldData::Unsigned(std::string_view name) const {
  const Json* value = Find(name);
  if (value == nullptr || !value->is_number_integer()) return std::nullopt;
  return value->get<std::uint64_t>();
}

std::optional<bool> FieldData::Bool(std::string_view name) const {
  const Json* value = Find(name);
  if (value == nullptr || !value->is_boolean()) return std::nullopt;
  return value->get<bool>();
}

std::optional<absl::Duration> FieldData::Duration(std::string_view name) const {
  const Json* value = Find(name);
  if (value == nullptr || !value->is_number_integer()) return std::nullopt;
  return absl::Seconds(value->get<std::int64_t>());
}

std::optional<std::vector<std::string>> FieldData::StringList(std::string_view name) const {
  const Json* value = Find(name);
  if (value == nullptr || !value->is_array()) return std::nullopt;
  std::vector<std::string> list;
  for (const Json& item : *value) list.emplace_back(*AsText(item));
  return list;
}

}  // namespace openbao
