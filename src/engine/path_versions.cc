#include <algorithm>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "engine/paths.h"
#include "engine/reply.h"
#include "mek/activation.h"
#include "mek/document.h"

namespace engine {
namespace {

using base::Json;
using base::JsonText;
using openbao::FieldData;
using openbao::FieldType;
using openbao::Request;
using openbao::Response;

// More of them would make a list take seconds: each is a read of its own.
constexpr std::size_t kMostDetails = 500;

Answer List(Mount& mount, const Request& request, const FieldData& data) {
  openbao::Storage& storage = *request.storage;
  ASSIGN_OR_RETURN(std::vector<std::uint64_t> numbers, mount.records().List(storage));
  const std::uint64_t after = data.Unsigned("after").value_or(0);
  std::erase_if(numbers, [&](std::uint64_t number) { return number <= after; });
  const std::uint64_t limit = data.Unsigned("limit").value_or(0);
  if (limit > 0 && numbers.size() > limit) numbers.resize(limit);

  Response response;
  std::vector<std::uint64_t> unreadable;
  Json keys = Json::array();
  Json info = Json::object();
  for (const std::uint64_t number : numbers) {
    keys.push_back(JsonText(absl::StrCat(number)));
    if (numbers.size() > kMostDetails) continue;
    const absl::StatusOr<std::optional<Version>> version = mount.records().Get(storage, number);
    if (mek::IsUnreadable(version.status())) {
      unreadable.push_back(number);
      continue;
    }
    RETURN_IF_ERROR(version.status());
    if (!version->has_value()) continue;  // pruned since it was listed
    const mek::VersionDoc& doc = (*version)->doc;
    info[base::JsonString(absl::StrCat(number))] =
        Json{{"operation", JsonText(doc.operation)},
             {"created_time", TimeOrEmpty(doc.created_time)},
             {"current_kid", JsonText(doc.record.current_kid())},
             {"staged_kid", JsonText(doc.staged_kid.value_or(""))},
             {"display_name", JsonText(doc.display_name)},
             {"reason", JsonText(doc.reason)}};
  }
  response.data["keys"] = std::move(keys);
  if (!info.empty()) response.data["key_info"] = std::move(info);
  WarnUnreadable(unreadable, response);
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
  if (doc.staged_kid.has_value()) response.data["staged_time"] = TimeOrEmpty(doc.staged_time);
  if (doc.operation == "activate" && doc.available_time.has_value()) {
    response.data["spread_time"] =
        JsonText(mek::DurationText(doc.created_time - *doc.available_time));
  }
  if (doc.rolled_back_to.has_value()) response.data["rolled_back_to"] = *doc.rolled_back_to;
  return response;
}

}  // namespace

std::vector<openbao::Path> VersionsPaths() {
  openbao::Path list;
  list.pattern = "versions";
  list.synopsis = "The versions of the record, oldest first.";
  list.description =
      "-detailed shows each one's operation, time, kids, who and why, for up to 500 at once: "
      "limit and after go through more of them page by page. `bao list` sorts what it shows as "
      "text, 10 before 9: status says which version is the newest, and -format=json keeps the "
      "order.";
  list.fields = {{.name = "after",
                  .type = FieldType::kUnsigned,
                  .description = "Only versions after this one.",
                  .query = true},
                 {.name = "limit",
                  .type = FieldType::kUnsigned,
                  .description = "At most so many; 0 for all (0).",
                  .query = true}};
  list.operations.push_back({.operation = openbao::Operation::kList,
                             .handler = Bind(List),
                             .summary = "List the versions' numbers."});

  openbao::Path one;
  one.pattern = "versions/{version}";
  one.synopsis =
      "What a version is: the operation that made it, when, who, why, and its kids. No key "
      "material.";
  one.fields = {
      {.name = "version", .type = FieldType::kUnsigned, .description = "The version's number."}};
  one.operations.push_back({.operation = openbao::Operation::kRead,
                            .handler = Bind(Read),
                            .summary = "Read a version's history entry."});
  return {list, one};
}

}  // namespace engine
