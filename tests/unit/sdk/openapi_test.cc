#include "sdk/framework/openapi.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"

namespace openbao {
namespace {

using ::base::Json;

std::string ToText(const Json& value) { return std::string(base::DumpJson(value)->view()); }

// The same text without the layout that makes it readable here.
std::string Compact(std::string_view text) { return ToText(base::ParseJson(text).value()); }

PathOperation Serves(Operation operation, std::string summary) {
  return {.operation = operation, .handler = {}, .summary = std::move(summary)};
}

Path KeyPath() {
  return {.pattern = "keys/{name}",
          .synopsis = "One key.",
          .fields = {{.name = "name", .type = FieldType::kString, .description = "Its name."},
                     {.name = "version",
                      .type = FieldType::kUnsigned,
                      .description = "Which version.",
                      .query = true},
                     {.name = "mode",
                      .type = FieldType::kString,
                      .description = "How.",
                      .required = true,
                      .allowed = {"auto", "mirror"}}},
          .operations = {Serves(Operation::kRead, "Read a key."),
                         Serves(Operation::kUpdate, "Write a key."),
                         Serves(Operation::kDelete, "Delete a key.")}};
}

// The item of the document's only path.
Json ItemOf(const Path& path, const std::vector<std::string>& root_paths = {}) {
  const Json document = OpenApiDocument("t", "v1", {path}, root_paths);
  EXPECT_EQ(document["paths"].size(), 1U);
  return document["paths"].begin().value();
}

TEST(OpenApi, DocumentSaysWhatTheMountIs) {
  EXPECT_EQ(ToText(OpenApiDocument("a-plugin", "v1.2.3", {}, {})), Compact(R"({
    "openapi": "3.0.2",
    "info": {
      "title": "a-plugin",
      "description": "a-plugin",
      "version": "v1.2.3",
      "license": {"name": "Mozilla Public License 2.0",
                  "url": "https://www.mozilla.org/en-US/MPL/2.0"}
    },
    "paths": {},
    "components": {"schemas": {}}
  })"));
}

TEST(OpenApi, PathHasItsParametersOperationsAndBody) {
  const Json document = OpenApiDocument("t", "v1", {KeyPath()}, {});
  EXPECT_EQ(ToText(document["paths"]), Compact(R"({
    "/keys/{name}": {
      "description": "One key.",
      "parameters": [
        {"name": "name", "description": "Its name.", "in": "path", "schema": {"type": "string"},
         "required": true}
      ],
      "get": {
        "summary": "Read a key.",
        "operationId": "read-keys-name",
        "tags": ["secrets"],
        "parameters": [
          {"name": "version", "description": "Which version.", "in": "query",
           "schema": {"type": "integer"}, "required": false}
        ],
        "responses": {"200": {"description": "OK"}}
      },
      "post": {
        "summary": "Write a key.",
        "operationId": "update-keys-name",
        "tags": ["secrets"],
        "requestBody": {
          "required": true,
          "content": {"application/json": {"schema": {
            "type": "object",
            "properties": {
              "mode": {"type": "string", "description": "How.", "enum": ["auto", "mirror"]}
            },
            "required": ["mode"]
          }}}
        },
        "responses": {"200": {"description": "OK"}}
      },
      "delete": {
        "summary": "Delete a key.",
        "operationId": "delete-keys-name",
        "tags": ["secrets"],
        "parameters": [
          {"name": "version", "description": "Which version.", "in": "query",
           "schema": {"type": "integer"}, "required": false}
        ],
        "responses": {"204": {"description": "empty body"}}
      }
    }
  })"));
}

TEST(OpenApi, EachFieldTypeHasItsSchema) {
  const auto field = [](std::string name, FieldType type) {
    return Field{.name = std::move(name), .type = type, .description = "."};
  };
  const Path path{.pattern = "p",
                  .fields = {field("s", FieldType::kString), field("u", FieldType::kUnsigned),
                             field("b", FieldType::kBool), field("d", FieldType::kDuration),
                             field("l", FieldType::kStringList), field("o", FieldType::kObject)},
                  .operations = {Serves(Operation::kUpdate, "")}};
  const Json schema = ItemOf(path)["post"]["requestBody"]["content"]["application/json"]["schema"];
  EXPECT_EQ(ToText(schema), Compact(R"({
    "type": "object",
    "properties": {
      "s": {"type": "string", "description": "."},
      "u": {"type": "integer", "description": "."},
      "b": {"type": "boolean", "description": "."},
      "d": {"type": "string", "format": "duration", "description": "."},
      "l": {"type": "array", "items": {"type": "string"}, "description": "."},
      "o": {"type": "object", "description": "."}
    }
  })"));
}

TEST(OpenApi, ListHasTheHostsQueryParameter) {
  const Path path{.pattern = "keys",
                  .synopsis = "All keys.",
                  .operations = {Serves(Operation::kList, "List the keys.")}};
  EXPECT_EQ(ToText(ItemOf(path)), Compact(R"({
    "description": "All keys.",
    "get": {
      "summary": "List the keys.",
      "operationId": "list-keys",
      "tags": ["secrets"],
      "parameters": [
        {"name": "list", "description": "Must be set to `true`", "in": "query",
         "schema": {"type": "string", "enum": ["true"]}, "required": true}
      ],
      "responses": {"200": {"description": "OK"}}
    }
  })"));
}

TEST(OpenApi, ARequiredQueryParameterSaysSo) {
  const Path path{.pattern = "p",
                  .fields = {{.name = "at",
                              .type = FieldType::kString,
                              .description = "When.",
                              .required = true,
                              .allowed = {"now"},
                              .query = true}},
                  .operations = {Serves(Operation::kRead, "")}};
  EXPECT_EQ(ToText(ItemOf(path)["get"]["parameters"]), Compact(R"([
    {"name": "at", "description": "When.", "in": "query",
     "schema": {"type": "string", "enum": ["now"]}, "required": true}
  ])"));
}

TEST(OpenApi, AWriteWithoutParametersHasNoBody) {
  const Path path{.pattern = "rotate/{name}",
                  .fields = {{.name = "name", .type = FieldType::kString}},
                  .operations = {Serves(Operation::kUpdate, "")}};
  EXPECT_FALSE(ItemOf(path)["post"].contains("requestBody"));
}

TEST(OpenApi, PatchIsAMethodOfItsOwn) {
  Path path = KeyPath();
  path.operations = {Serves(Operation::kUpdate, "Write."), Serves(Operation::kPatch, "Change.")};
  const Json item = ItemOf(path);
  EXPECT_EQ(ToText(item["patch"]["requestBody"]), ToText(item["post"]["requestBody"]));
  EXPECT_EQ(ToText(item["patch"]["operationId"]), R"("patch-keys-name")");
}

TEST(OpenApi, APathThatReadsAndListsShowsItsRead) {
  const Path path{
      .pattern = "keys",
      .operations = {Serves(Operation::kRead, "Read."), Serves(Operation::kList, "List.")}};
  EXPECT_EQ(ToText(ItemOf(path)["get"]["summary"]), R"("Read.")");
}

TEST(OpenApi, ARestCaptureIsAPlainParameter) {
  const Path path{.pattern = "data/{path...}",
                  .fields = {{.name = "path", .type = FieldType::kString, .description = "Where."}},
                  .operations = {Serves(Operation::kRead, "")}};
  const Json document = OpenApiDocument("t", "v1", {path}, {});
  ASSERT_TRUE(document["paths"].contains("/data/{path}"));
  EXPECT_EQ(ToText(document["paths"]["/data/{path}"]["parameters"]), Compact(R"([
    {"name": "path", "description": "Where.", "in": "path", "schema": {"type": "string"},
     "required": true}
  ])"));
  EXPECT_EQ(ToText(document["paths"]["/data/{path}"]["get"]["operationId"]), R"("read-data-path")");
}

TEST(OpenApi, SudoIsSaidOfRootPathsOnly) {
  const std::vector<std::string> root_paths{"config", "keys/*"};
  const auto sudo = [&](std::string pattern) {
    Path path;
    path.pattern = std::move(pattern);
    const Json item = ItemOf(path, root_paths);
    return item.contains("x-vault-sudo") && item["x-vault-sudo"] == true;
  };
  EXPECT_TRUE(sudo("config"));
  EXPECT_TRUE(sudo("keys/{name}"));
  EXPECT_TRUE(sudo("keys/a/b"));
  EXPECT_FALSE(sudo("keys"));
  EXPECT_FALSE(sudo("config/x"));
  EXPECT_FALSE(sudo("confi"));
  EXPECT_FALSE(sudo("status"));
}

TEST(Help, OfTheRootListsEveryPath) {
  Path keys;
  keys.pattern = "keys";
  keys.synopsis = "All keys.\nIn two lines.";
  EXPECT_EQ(RootHelp("What it is.", {keys, KeyPath()}),
            "What it is.\n\n"
            "Paths, relative to the mount (more with path-help):\n\n"
            "    keys\n"
            "        All keys.\n"
            "        In two lines.\n\n"
            "    keys/{name}\n"
            "        One key.\n\n");
}

TEST(Help, OfAPathSaysOperationsAndParameters) {
  Path path = KeyPath();
  path.description = "More of it.";
  path.operations.push_back(Serves(Operation::kList, "List."));
  path.fields[1].description = "Which version.\nElse the last.";
  EXPECT_EQ(PathHelp(path),
            "One key.\n\n"
            "More of it.\n\n"
            "OPERATIONS\n\n"
            "    read    Read a key.\n"
            "    write   Write a key.\n"
            "    delete  Delete a key.\n"
            "    list    List.\n"
            "\nPARAMETERS\n\n"
            "    name (string)\n"
            "        Its name.\n\n"
            "    version (whole number)\n"
            "        Which version.\n"
            "        Else the last.\n\n"
            "    mode (string, required)\n"
            "        How.\n\n");
}

TEST(Help, NamesEachTypeOfParameter) {
  const std::pair<FieldType, std::string_view> kNames[] = {
      {FieldType::kString, "string"},      {FieldType::kUnsigned, "whole number"},
      {FieldType::kBool, "true or false"}, {FieldType::kDuration, "duration"},
      {FieldType::kStringList, "list"},    {FieldType::kObject, "JSON object"}};
  for (const auto& [type, name] : kNames) {
    const Path path{.pattern = "p",
                    .synopsis = "P.",
                    .fields = {{.name = "f", .type = type, .description = "What it is."}},
                    .operations = {}};
    EXPECT_EQ(PathHelp(path), "P.\n\nOPERATIONS\n\n\nPARAMETERS\n\n    f (" + std::string(name) +
                                  ")\n        What it is.\n\n");
  }
}

TEST(Help, OfAPathWithoutParametersHasNoSuchPart) {
  Path path;
  path.synopsis = "Status.";
  path.operations = {Serves(Operation::kRead, "Read.")};
  EXPECT_EQ(PathHelp(path), "Status.\n\nOPERATIONS\n\n    read    Read.\n");
}

TEST(Help, TextIsBrokenBetweenWordsToFitATerminal) {
  Path path;
  // Eight times "ten bytes " ends with a blank that isn't written: 79 bytes; one word more is too
  // much.
  const std::string ten = "ten bytes ";
  std::string line;
  for (int i = 0; i < 8; ++i) line += ten;
  path.synopsis = line + "x";
  path.description = std::string(100, 'y') + " z";
  EXPECT_EQ(PathHelp(path),
            line.substr(0, 79) + "\nx\n\n" + std::string(100, 'y') + "\nz\n\nOPERATIONS\n\n");
  path.synopsis = line.substr(0, 79) + "\n\nx";
  path.description = "";
  EXPECT_EQ(PathHelp(path), line.substr(0, 79) + "\n\nx\n\nOPERATIONS\n\n");
}

TEST(Help, ExactlyEightyColumnsStayOnALine) {
  Path path;
  path.synopsis = std::string(39, 'a') + " " + std::string(40, 'b') + " " + std::string(79, 'c');
  EXPECT_EQ(PathHelp(path), std::string(39, 'a') + " " + std::string(40, 'b') + "\n" +
                                std::string(79, 'c') + "\n\nOPERATIONS\n\n");
}

TEST(Help, LinesThatBeginWithASpaceAreKept) {
  const std::string example = "    write -f rotate" + std::string(80, ' ') + "a comment";
  EXPECT_EQ(RootHelp("Text.\n\n" + example, {}),
            "Text.\n\n" + example + "\n\nPaths, relative to the mount (more with path-help):\n\n");
}

}  // namespace
}  // namespace openbao
