#include "sdk/framework/openapi.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "base/text.h"

namespace openbao {
namespace {

using base::Cat;
using base::Json;
using base::JsonText;
using base::ToAbsl;

// OpenAPI knows no "rest of the path" parameter; the host's own documents write it as a plain one.
std::string OpenApiPath(std::string_view pattern) {
  return Cat("/", absl::StrReplaceAll(ToAbsl(pattern), {{"...}", "}"}}));
}

Json Schema(const Field& field) {
  Json schema = Json::object();
  switch (field.type) {
    case FieldType::kString:
      schema["type"] = "string";
      break;
    case FieldType::kUnsigned:
      schema["type"] = "integer";
      break;
    case FieldType::kBool:
      schema["type"] = "boolean";
      break;
    case FieldType::kDuration:
      schema["type"] = "string";
      schema["format"] = "duration";
      break;
    case FieldType::kStringList:
      schema["type"] = "array";
      schema["items"] = Json{{"type", "string"}};
      break;
    case FieldType::kObject:
      schema["type"] = "object";
      break;
  }
  schema["description"] = JsonText(field.description);
  if (!field.allowed.empty()) {
    Json allowed = Json::array();
    for (const std::string& value : field.allowed) allowed.push_back(JsonText(value));
    schema["enum"] = std::move(allowed);
  }
  return schema;
}

Json Parameter(const Field& field, std::string_view in) {
  Json schema = Schema(field);
  schema.erase("description");
  return Json{{"name", JsonText(field.name)},
              {"description", JsonText(field.description)},
              {"in", JsonText(in)},
              {"schema", std::move(schema)},
              {"required", in == "path" || field.required}};
}

std::string_view HttpMethod(Operation operation) {
  switch (operation) {
    case Operation::kRead:
    case Operation::kList:
    case Operation::kScan:
      return "get";
    case Operation::kPatch:
      return "patch";
    case Operation::kDelete:
      return "delete";
    default:
      return "post";
  }
}

bool TakesBody(Operation operation) {
  return operation == Operation::kUpdate || operation == Operation::kCreate ||
         operation == Operation::kPatch;
}

// "versions/{version}", read -> "read-versions-version".
std::string OperationId(const Path& path, Operation operation) {
  std::string id = Cat(OperationName(operation), "-", path.pattern);
  for (char& c : id) {
    if (!absl::ascii_isalnum(static_cast<unsigned char>(c))) c = '-';
  }
  const std::vector<absl::string_view> words = absl::StrSplit(id, '-', absl::SkipEmpty());
  return absl::StrJoin(words, "-");
}

Json RequestBody(const Path& path, const std::vector<std::string>& captured) {
  Json properties = Json::object();
  Json required = Json::array();
  for (const Field& field : path.fields) {
    if (field.query || std::ranges::find(captured, field.name) != captured.end()) continue;
    properties[base::JsonString(field.name)] = Schema(field);
    if (field.required) required.push_back(JsonText(field.name));
  }
  if (properties.empty()) return Json();
  Json schema{{"type", "object"}, {"properties", std::move(properties)}};
  if (!required.empty()) schema["required"] = std::move(required);
  return Json{{"required", true},
              {"content", Json{{"application/json", Json{{"schema", std::move(schema)}}}}}};
}

Json OperationObject(const Path& path, const PathOperation& operation,
                     const std::vector<std::string>& captured) {
  Json object{{"summary", JsonText(operation.summary)},
              {"operationId", JsonText(OperationId(path, operation.operation))},
              {"tags", Json::array({"secrets"})}};
  Json parameters = Json::array();
  if (operation.operation == Operation::kList) {
    parameters.push_back(Json{{"name", "list"},
                              {"description", "Must be set to `true`"},
                              {"in", "query"},
                              {"schema", Json{{"type", "string"}, {"enum", Json::array({"true"})}}},
                              {"required", true}});
  }
  for (const Field& field : path.fields) {
    if (field.query && !TakesBody(operation.operation))
      parameters.push_back(Parameter(field, "query"));
  }
  if (!parameters.empty()) object["parameters"] = std::move(parameters);
  if (TakesBody(operation.operation)) {
    if (Json body = RequestBody(path, captured); !body.is_null())
      object["requestBody"] = std::move(body);
  }
  const bool no_content = operation.operation == Operation::kDelete;
  object["responses"] =
      Json{{no_content ? "204" : "200", Json{{"description", no_content ? "empty body" : "OK"}}}};
  return object;
}

bool NeedsSudo(std::string_view pattern, const std::vector<std::string>& root_paths) {
  return std::ranges::any_of(root_paths, [&](std::string_view root) {
    return root.ends_with('*') ? pattern.starts_with(root.substr(0, root.size() - 1))
                               : pattern == root;
  });
}

Json PathItem(const Path& path, const std::vector<std::string>& root_paths) {
  Json item{{"description", JsonText(path.synopsis)}};
  const std::vector<std::string> captured = CapturedNames(path.pattern);
  Json parameters = Json::array();
  for (const Field& field : path.fields) {
    if (std::ranges::find(captured, field.name) != captured.end()) {
      parameters.push_back(Parameter(field, "path"));
    }
  }
  if (!parameters.empty()) item["parameters"] = std::move(parameters);
  if (NeedsSudo(path.pattern, root_paths)) item["x-vault-sudo"] = true;
  for (const PathOperation& operation : path.operations) {
    const base::JsonString method(HttpMethod(operation.operation));
    // A path that reads and lists shows its read, as the host's documents do.
    if (!item.contains(method)) item[method] = OperationObject(path, operation, captured);
  }
  return item;
}

constexpr std::size_t kHelpWidth = 80;

// Text for a terminal: each line indented and broken between words. Lines that begin with a space
// stay as they are.
std::string Wrapped(std::string_view text, std::string_view indent) {
  std::string out;
  for (const absl::string_view line : absl::StrSplit(ToAbsl(text), '\n')) {
    std::string current(indent);
    if (absl::StartsWith(line, " ")) {
      out += Cat(indent, line, "\n");
      continue;
    }
    for (const absl::string_view word : absl::StrSplit(line, ' ', absl::SkipEmpty())) {
      if (current.size() > indent.size() && current.size() + 1 + word.size() > kHelpWidth) {
        out += Cat(current, "\n");
        current = indent;
      }
      current += Cat(current.size() > indent.size() ? " " : "", word);
    }
    out += Cat(current.size() > indent.size() ? current : "", "\n");
  }
  return out;
}

std::string_view TypeName(FieldType type) {
  switch (type) {
    case FieldType::kString:
      return "string";
    case FieldType::kUnsigned:
      return "whole number";
    case FieldType::kBool:
      return "true or false";
    case FieldType::kDuration:
      return "duration";
    case FieldType::kStringList:
      return "list";
    case FieldType::kObject:
      return "JSON object";
  }
  return "";
}

// The CLI's verb for an operation.
std::string_view Verb(Operation operation) {
  switch (operation) {
    case Operation::kCreate:
    case Operation::kUpdate:
      return "write";
    default:
      return OperationName(operation);
  }
}

}  // namespace

Json OpenApiDocument(std::string_view title, std::string_view version,
                     const std::vector<Path>& paths, const std::vector<std::string>& root_paths) {
  Json items = Json::object();
  for (const Path& path : paths) {
    items[base::JsonString(OpenApiPath(path.pattern))] = PathItem(path, root_paths);
  }
  return Json{{"openapi", "3.0.2"},
              {"info", Json{{"title", JsonText(title)},
                            {"description", JsonText(title)},
                            {"version", JsonText(version)},
                            {"license", Json{{"name", "Mozilla Public License 2.0"},
                                             {"url", "https://www.mozilla.org/en-US/MPL/2.0"}}}}},
              {"paths", std::move(items)},
              {"components", Json{{"schemas", Json::object()}}}};
}

std::string RootHelp(std::string_view description, const std::vector<Path>& paths) {
  std::string help =
      Cat(Wrapped(description, ""), "\nPaths, relative to the mount (more with path-help):\n\n");
  for (const Path& path : paths) {
    help += Cat("    ", path.pattern, "\n", Wrapped(path.synopsis, "        "), "\n");
  }
  return help;
}

std::string PathHelp(const Path& path) {
  std::string help = Cat(Wrapped(path.synopsis, ""), "\n");
  if (!path.description.empty()) help += Cat(Wrapped(path.description, ""), "\n");
  help += Cat("OPERATIONS\n\n");
  for (const PathOperation& operation : path.operations) {
    absl::StrAppendFormat(&help, "    %-7s %s\n", ToAbsl(Verb(operation.operation)),
                          operation.summary);
  }
  if (!path.fields.empty()) help += Cat("\nPARAMETERS\n\n");
  for (const Field& field : path.fields) {
    help += Cat("    ", field.name, " (", TypeName(field.type), field.required ? ", required" : "",
                ")\n", Wrapped(field.description, "        "), "\n");
  }
  return help;
}

}  // namespace openbao
