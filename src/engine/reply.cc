#include "engine/reply.h"

#include "base/text.h"
#include "mek/document.h"

namespace engine {

using base::Json;
using base::JsonText;

openbao::Response ChangeReply(const Outcome& outcome) {
  const mek::VersionDoc& doc = outcome.version->doc;
  openbao::Response response;
  response.data = Json{
      {"version", outcome.version->number},
      {"current_kid", JsonText(doc.record.current_kid())},
      {"previous_kid", JsonText(doc.previous_kid)},
      {"staged_kid", JsonText(doc.staged_kid.value_or(""))},
      {"key_count", doc.record.set(mek::Set::kKeys).keys().size()},
      {"created_time", TimeOrEmpty(doc.created_time)},
      {"effective_time", TimeOrEmpty(doc.effective_time)},
  };
  response.warnings = outcome.warnings;
  if (outcome.dry_run) {
    response.data["dry_run"] = true;
    response.warnings.emplace_back(
        "dry run: nothing was changed. The change would get a version, times and new kids of its "
        "own");
  }
  return response;
}

Json VersionMetadata(const Version& version) {
  return Json{{"created_time", TimeOrEmpty(version.doc.created_time)},
              {"custom_metadata", nullptr},
              // The agent takes a version without this member for a deleted one.
              {"deletion_time", ""},
              {"destroyed", false},
              {"version", version.number}};
}

Json TimeOrEmpty(const std::optional<absl::Time>& time) {
  return JsonText(time.has_value() ? mek::TimeText(*time) : "");
}

void WarnUnreadable(const std::vector<std::uint64_t>& numbers, openbao::Response& response) {
  if (numbers.empty()) return;
  response.warnings.push_back(base::Cat("what is stored of these versions can't be read: ",
                                        Ranges(numbers), ". read verify says why"));
}

std::string Ranges(const std::vector<std::uint64_t>& numbers) {
  std::string text;
  for (std::size_t i = 0; i < numbers.size();) {
    std::size_t last = i;
    while (last + 1 < numbers.size() && numbers[last + 1] == numbers[last] + 1) ++last;
    text += base::Cat(text.empty() ? "" : ", ", numbers[i]);
    if (last > i) text += base::Cat("-", numbers[last]);
    i = last + 1;
  }
  return text;
}

Json TextList(const std::vector<std::string>& texts) {
  Json list = Json::array();
  for (const std::string& text : texts) list.push_back(JsonText(text));
  return list;
}

}  // namespace engine
