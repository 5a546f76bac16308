// A request's body: strict JSON, held against the JSON library left to itself, and typed
// parameters, held against their definition. The input is the body.
#include <algorithm>
#include <charconv>
#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "base/json.h"
#include "base/text.h"
#include "fuzz/fuzz.h"
#include "nlohmann/json.hpp"
#include "sdk/framework/field.h"

namespace {

using base::Json;
using openbao::Field;
using openbao::FieldData;
using openbao::FieldType;
using Plain = nlohmann::ordered_json;

// Follows the library's parser, and notes what we refuse.
class Watcher final : public nlohmann::json_sax<Plain> {
 public:
  bool strict() const { return strict_; }

  bool null() override { return true; }
  bool boolean(bool) override { return true; }
  bool number_integer(std::int64_t) override { return true; }
  bool number_unsigned(std::uint64_t) override { return true; }
  bool number_float(double, const std::string&) override { return true; }
  bool string(std::string&) override { return true; }
  bool binary(Plain::binary_t&) override { return false; }
  bool start_object(std::size_t) override { return Open(); }
  bool key(std::string& name) override {
    std::set<std::string>& names = names_.back();
    strict_ = strict_ && names.insert(name).second && names.size() <= base::kMaxJsonMembers;
    return true;
  }
  bool end_object() override { return Close(); }
  bool start_array(std::size_t) override { return Open(); }
  bool end_array() override { return Close(); }
  bool parse_error(std::size_t, const std::string&, const nlohmann::detail::exception&) override {
    return false;
  }

 private:
  bool Open() {
    names_.emplace_back();
    strict_ = strict_ && names_.size() <= static_cast<std::size_t>(base::kMaxJsonDepth);
    return true;
  }
  bool Close() {
    names_.pop_back();
    return true;
  }

  bool strict_ = true;
  std::vector<std::set<std::string>> names_;
};

// The value, unless it is refused.
std::optional<Json> FuzzJson(std::string_view text) {
  Watcher watcher;
  const bool expected = Plain::sax_parse(text, &watcher) && watcher.strict() &&
                        !text.starts_with("\xef\xbb\xbf") &&
                        text.find('\0') == std::string_view::npos;
  absl::StatusOr<Json> parsed = base::ParseJson(text);
  REQUIRE(parsed.ok() == expected);
  REQUIRE(base::CheckJson(text) == parsed.status());
  if (!parsed.ok()) {
    REQUIRE(parsed.status().code() == absl::StatusCode::kInvalidArgument);
    return std::nullopt;
  }
  const absl::StatusOr<base::SecretBytes> dumped = base::DumpJson(*parsed);
  REQUIRE(dumped.ok() && dumped->view() == Plain::parse(text).dump());
  const absl::StatusOr<Json> again = base::ParseJson(dumped->view());
  REQUIRE(again.ok() && base::DumpJson(*again)->view() == dumped->view());
  return *std::move(parsed);
}

// One field of each type, and one with each restriction.
const std::vector<Field>& Schema() {
  static const auto* const kSchema = new std::vector<Field>{
      {.name = "reason", .type = FieldType::kString, .description = ""},
      {.name = "cas", .type = FieldType::kUnsigned, .description = ""},
      {.name = "force", .type = FieldType::kBool, .description = ""},
      {.name = "grace_period", .type = FieldType::kDuration, .description = ""},
      {.name = "required_acks", .type = FieldType::kStringList, .description = ""},
      {.name = "backup", .type = FieldType::kObject, .description = ""},
      {.name = "activation", .description = "", .allowed = {"immediate", "staged"}},
      {.name = "version", .type = FieldType::kUnsigned, .description = "", .query = true},
      {.name = "kid", .type = FieldType::kString, .description = "", .required = true},
  };
  return *kSchema;
}

// A number that is there as such or as decimal digits, if it fits.
std::optional<std::uint64_t> Number(const Plain& value) {
  if (value.is_number_integer() && (value.is_number_unsigned() || value >= 0)) {
    const auto number = value.get<std::uint64_t>();
    return number <= std::numeric_limits<std::int64_t>::max() ? std::optional(number)
                                                              : std::nullopt;
  }
  if (!value.is_string()) return std::nullopt;
  const auto text = value.get<std::string>();
  std::int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (text.starts_with('-') || error != std::errc() || end != text.data() + text.size()) {
    return std::nullopt;
  }
  return static_cast<std::uint64_t>(number);
}

// Whether the field takes the value, where that is simple to say.
std::optional<bool> Takes(const Field& field, const Plain& value) {
  switch (field.type) {
    case FieldType::kString:
      return value.is_string() &&
             (field.allowed.empty() ||
              std::ranges::find(field.allowed, value.get<std::string>()) != field.allowed.end());
    case FieldType::kUnsigned:
      return Number(value).has_value();
    case FieldType::kBool:
      return value.is_boolean() || value == "true" || value == "false" || value == "1" ||
             value == "0";
    case FieldType::kDuration:
      if (const auto seconds = Number(value); seconds.has_value()) {
        return *seconds <= std::uint64_t{100} * 365 * 24 * 3600;
      }
      return value.is_string() ? std::nullopt : std::optional(false);
    case FieldType::kStringList:
      return value.is_string() ||
             (value.is_array() &&
              std::ranges::all_of(value, [](const Plain& item) { return item.is_string(); }));
    case FieldType::kObject:
      return value.is_string() ? std::nullopt : std::optional(value.is_object());
  }
  return std::nullopt;
}

void CheckValue(const FieldData& data, const Field& field, const Plain& value) {
  const std::string& name = field.name;
  switch (field.type) {
    case FieldType::kString:
      REQUIRE(data.String(name) == value.get<std::string>());
      break;
    case FieldType::kUnsigned:
      REQUIRE(data.Unsigned(name).has_value() && data.Unsigned(name) == Number(value));
      break;
    case FieldType::kBool:
      REQUIRE(data.Bool(name) == (value == true || value == "true" || value == "1"));
      break;
    case FieldType::kDuration: {
      const absl::Duration duration = data.Duration(name).value();
      REQUIRE(duration >= absl::ZeroDuration() && duration <= absl::Hours(24 * 365 * 100));
      REQUIRE(duration == absl::Trunc(duration, absl::Seconds(1)));
      if (const auto seconds = Number(value); seconds.has_value()) {
        REQUIRE(duration == absl::Seconds(static_cast<std::int64_t>(*seconds)));
      }
      break;
    }
    case FieldType::kStringList: {
      const std::vector<std::string> list = data.StringList(name).value();
      if (value.is_array()) {
        REQUIRE(Plain(list) == value);
      } else {
        const auto text = value.get<std::string>();
        for (const std::string& item : list) {
          REQUIRE(!item.empty() && item.find(',') == std::string::npos);
          REQUIRE(text.find(item) != std::string::npos);
        }
        REQUIRE(list.size() <= static_cast<std::size_t>(std::ranges::count(text, ',')) + 1);
      }
      break;
    }
    case FieldType::kObject:
      REQUIRE(data.Object(name) != nullptr && data.Object(name)->is_object());
      REQUIRE(base::DumpJson(*data.Object(name))->view() ==
              (value.is_object() ? value : Plain::parse(value.get<std::string>())).dump());
      break;
  }
}

void FuzzFields(const Json& body, const Plain& plain, FieldData::Use use) {
  const auto takes = [&](const Field& field) {
    return use == FieldData::Use::kAll || field.query == (use == FieldData::Use::kQuery);
  };
  bool names_known = true;
  bool complete = true;
  bool all_taken = true;
  bool any_refused = false;
  for (const auto& [name, value] : plain.items()) {
    const auto field = std::ranges::find(Schema(), name, &Field::name);
    if (field == Schema().end() || !takes(*field)) {
      names_known = false;
      continue;
    }
    const std::optional<bool> taken = Takes(*field, value);
    all_taken = all_taken && taken.value_or(false);
    any_refused = any_refused || !taken.value_or(true);
  }
  for (const Field& field : Schema()) {
    complete = complete && (!field.required || !takes(field) || plain.contains(field.name));
  }

  const absl::StatusOr<FieldData> data = FieldData::Parse(Schema(), body, {}, use);
  if (!names_known || !complete || any_refused) {
    REQUIRE(!data.ok());
  } else if (all_taken) {
    REQUIRE(data.ok());
  }
  if (!data.ok()) {
    REQUIRE(data.status().code() == absl::StatusCode::kInvalidArgument);
    return;
  }
  for (const Field& field : Schema()) {
    REQUIRE(data->Has(field.name) == plain.contains(field.name));
    if (plain.contains(field.name)) CheckValue(*data, field, plain[field.name]);
  }
}

// A secret that stands as a value under any of the body's names, or as a name, is not shown.
void CheckSaysNoValue(const Json& body) {
  constexpr std::string_view kSecret = "dg6Bm4XJJMNZcWTEpgWKAFgaIrIt5QRyQz0uRP7Ytrg";
  const auto check = [&](const Json& data) {
    const absl::StatusOr<FieldData> parsed = FieldData::Parse(Schema(), data, {});
    REQUIRE(base::ToStd(parsed.status().message()).find(kSecret.substr(0, 16)) ==
            std::string_view::npos);
  };
  Json as_name = body;
  as_name[base::JsonString(kSecret)] = nullptr;
  check(as_name);
  for (const auto& [name, value] : body.items()) {
    Json as_value = body;
    as_value[name] = base::JsonText(kSecret);
    check(as_value);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text = fuzz::Text(data, size);
  const std::optional<Json> body = FuzzJson(text);
  if (!body.has_value() || !body->is_object()) return 0;
  const Plain plain = Plain::parse(text);
  for (const auto use : {FieldData::Use::kAll, FieldData::Use::kQuery, FieldData::Use::kBody}) {
    FuzzFields(*body, plain, use);
  }
  if (body->size() < 16) CheckSaysNoValue(*body);
  return 0;
}
