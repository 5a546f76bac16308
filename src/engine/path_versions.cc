#include <algorithm>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "engine/paths.h"
#include "engine/reply.h"

namespace engine {
namespace {

using base::Json;
using base::JsonText;
using openbao::FieldData;
using openbao::FieldType;
using openbao::Request;
using openbao::Response;

Json TextList(const std::vector<std::string>& texts) {
  Json list = Json::array();
  for (const std::string& text : texts) list.push_back(JsonText(text));
  return list;
}

Answer List(Mount& mount, const Request& request, const FieldData&) {
  ASSIGN_OR_RETURN(const std::vector<std::uint64_t> numbers,
                   mount.records().List(*request.storage));
  Response response;
  Json& keys = response.data["keys"] = Json::array();
  for (const std::uint64_t number : numbers) keys.push_back(JsonText(absl::StrCat(number)));
  return response;
}

Answer Read(Mount& mount, const Request& request, const FieldData& data) {
  ASSIGN_OR_RETURN(const Version version, mount.Find(*request.storage, *data.Unsigned("version")));
  const mek::VersionDoc& doc = version.doc;
  Response response;
  response.data = Json{
      {"version", version.number},
      {"operation", JsonText(doc.operation)},
      {"created_time", TimeOrEmpty(doc.created_time)},
      {"effective_time", TimeOrEmpty(doc.effective_time)},
      {"reason", JsonText(doc.reason)},
      {"entity_id", JsonText(doc.entity_id)},
      {"display_name", JsonText(doc.display_name)},
      {"current_kid", JsonText(doc.record.current_kid())},
      {"previous_kid", JsonText(doc.previous_kid)},
      {"staged_kid", JsonText(doc.staged_kid.value_or(""))},
      {"kids", TextList(doc.record.Kids(mek::Set::kKeys))},
      {"private_kids", TextList(doc.record.Kids(mek::Set::kPrivateJwks))},
  };
  if (doc.rolled_back_to.has_value()) response.data["rolled_back_to"] = *doc.rolled_back_to;
  return response;
}

}  // namespace

std::vector<openbao::Path> VersionsPaths(Mount& mount) {
  openbao::Path list;
  list.pattern = "versions";
  list.synopsis = "The versions of the record, oldest first.";
  list.operations.push_back({.operation = openbao::Operation::kList,
                             .handler = Bind(mount, List),
                             .summary = "List the versions' numbers."});

  openbao::Path one;
  one.pattern = "versions/{version}";
  one.synopsis =
      "What a version is: the operation that made it, when, who, why, and its kids. No key "
      "material.";
  one.fields = {
      {.name = "version", .type = FieldType::kUnsigned, .description = "The version's number."}};
  one.operations.push_back({.operation = openbao::Operation::kRead,
                            .handler = Bind(mount, Read),
                            .summary = "Read a version's history entry."});
  return {list, one};
}

}  // namespace engine
