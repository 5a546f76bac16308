#ifndef SDK_FRAMEWORK_FIELD_H_
#define SDK_FRAMEWORK_FIELD_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/json.h"

namespace openbao {

// How a parameter is written. The CLI sends every value as a string, the HTTP API in JSON's types;
// both are taken, and nothing else is guessed.
enum class FieldType {
  kString,      // a JSON string
  kUnsigned,    // 3, "3": a whole number from 0 to 2^63 - 1
  kBool,        // true, "true", "1", "false", "0"
  kDuration,    // 3600, "3600" (seconds), "48h", "1h30m", "2d": whole seconds, up to 100 years
  kStringList,  // ["a", "b"], "a,b"; empty text is an empty list
  kObject,      // a JSON object, or its text (the CLI's name=@file)
};

struct Field {
  std::string name;
  FieldType type = FieldType::kString;
  std::string description = {};
  bool required = false;
  // The only texts allowed; empty: any. kString only.
  std::vector<std::string> allowed = {};
  // A parameter of reads, given as ?name=value; unknown to writes. One that isn't is unknown to
  // reads.
  bool query = false;
};

// The parameters of one request, each of its field's type. May hold key material. Immutable.
class FieldData {
 public:
  // INVALID_ARGUMENT for a name that `fields` lacks, a value that is not of its type, and a
  // required field left out. An error names the field and what was expected, never the value.
  // `captured` are the values from the path, by name; another value for one in the body is refused.
  // `use` says which of `fields` the operation takes.
  enum class Use { kAll, kQuery, kBody };
  static absl::StatusOr<FieldData> Parse(const std::vector<Field>& fields, const base::Json& data,
                                         const std::map<std::string, std::string>& captured,
                                         Use use = Use::kAll);

  bool Has(std::string_view name) const { return Find(name) != nullptr; }
  // The value, or nullopt if it was left out. A name or type that the schema lacks is a programming
  // error, answered as if left out.
  std::optional<std::string_view> String(std::string_view name) const;
  std::optional<std::uint64_t> Unsigned(std::string_view name) const;
  std::optional<bool> Bool(std::string_view name) const;
  std::optional<absl::Duration> Duration(std::string_view name) const;
  std::optional<std::vector<std::string>> StringList(std::string_view name) const;
  // nullptr if left out. Lives as long as this object.
  const base::Json* Object(std::string_view name) const { return Find(name); }

 private:
  const base::Json* Find(std::string_view name) const;

  // By field: string, unsigned, bool, seconds, array of strings, or object.
  std::map<std::string, base::Json, std::less<>> values_;
};

}  // namespace openbao

#endif  // SDK_FRAMEWORK_FIELD_H_
