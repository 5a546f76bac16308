#include "mek/version_doc.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <map>
#include <utility>

#include "absl/status/status.h"
#include "base/json.h"
#include "base/status_macros.h"
#include "base/text.h"
#include "mek/document.h"
#include "mek/kid.h"
#include "mek/rotation.h"

namespace mek {
namespace {

using base::Cat;

// The members that are written only if they are not empty.
struct OptionalText {
  std::string_view name;
  std::string VersionDoc::*member;
};
constexpr std::array kOptionalTexts{OptionalText{"reason", &VersionDoc::reason},
                                    OptionalText{"entity_id", &VersionDoc::entity_id},
                                    OptionalText{"display_name", &VersionDoc::display_name},
                                    OptionalText{"request_id", &VersionDoc::request_id},
                                    OptionalText{"previous_kid", &VersionDoc::previous_kid}};

struct OptionalTime {
  std::string_view name;
  std::optional<absl::Time> VersionDoc::*member;
};
constexpr std::array kOptionalTimes{OptionalTime{"effective_time", &VersionDoc::effective_time},
                                    OptionalTime{"staged_time", &VersionDoc::staged_time},
                                    OptionalTime{"available_time", &VersionDoc::available_time},
                                    OptionalTime{"rotated_time", &VersionDoc::rotated_time},
                                    OptionalTime{"scheduled_time", &VersionDoc::scheduled_time}};

struct OptionalNumber {
  std::string_view name;
  std::optional<std::uint64_t> VersionDoc::*member;
};
constexpr std::array kOptionalNumbers{
    OptionalNumber{"rotated_version", &VersionDoc::rotated_version},
    OptionalNumber{"rolled_back_to", &VersionDoc::rolled_back_to}};

struct MarkList {
  std::string_view name;
  KidTimes KeyMarks::*member;
};
constexpr std::array kMarkLists{MarkList{"compromised", &KeyMarks::compromised},
                                MarkList{"destroyed", &KeyMarks::destroyed},
                                MarkList{"added", &KeyMarks::added}};

constexpr char kDeletedVersions[] = "deleted_versions";
constexpr char kAnswered[] = "answered";
constexpr char kRequests[] = "requests";  // what kAnswered was before

// What is wrong between the members, or "".
std::string_view Inconsistency(const VersionDoc& doc) {
  if (doc.operation.empty()) return "operation is empty";
  if (!doc.previous_kid.empty() && !IsValidKid(doc.previous_kid)) return "previous_kid is no kid";
  for (const MarkList& list : kMarkLists) {
    for (const auto& [kid, time] : doc.marks.*list.member) {
      if (!IsValidKid(kid)) return "a marked kid is no kid";
    }
  }
  if (doc.staged_kid.has_value() != doc.staged_time.has_value()) {
    return "staged_kid and staged_time are not both there";
  }
  if (doc.staged_kid.has_value()) {
    if (*doc.staged_kid == doc.record.current_kid()) return "staged_kid is the current kid";
    if (!doc.record.HasKidInBothSets(*doc.staged_kid)) {
      return "staged_kid is not in both sets of the record";
    }
  }
  return "";
}

absl::StatusOr<RequestStamps> ReadRequests(std::string_view what, const base::Json& document) {
  const auto array = document.find(kRequests);
  if (HasMember(document, kAnswered)) {
    if (array != document.end()) return Damaged(what, "it has both answered and requests");
    const base::JsonString* text = base::FindString(document, kAnswered);
    if (text == nullptr) return Damaged(what, "answered is not a string");
    absl::StatusOr<RequestStamps> requests = RequestStamps::Parse(*text);
    if (!requests.ok()) return Damaged(what, Cat("answered ", requests.status().message()));
    return requests;
  }
  if (array == document.end() || !array->is_array() || array->size() > kMaxRequestStamps) {
    return Damaged(what, "requests is missing, not an array, or too long");
  }
  RequestStamps requests;
  const std::string part = Cat(what, " (requests)");
  for (const base::Json& value : *array) {
    if (!value.is_object()) return Damaged(part, "a request is not a JSON object");
    ASSIGN_OR_RETURN(const std::string id, ReadString(part, value, "id"));
    ASSIGN_OR_RETURN(const std::uint64_t version, ReadNumber(part, value, "version"));
    requests.Add(id, version);
  }
  return requests;
}

absl::StatusOr<KidTimes> ReadMarks(std::string_view what, const base::Json& array) {
  if (!array.is_array()) return Damaged(what, "a list of marked kids is not an array");
  KidTimes marks;
  for (const base::Json& value : array) {
    if (!value.is_object()) return Damaged(what, "a marked kid is not a JSON object");
    ASSIGN_OR_RETURN(std::string kid, ReadString(what, value, "kid"));
    ASSIGN_OR_RETURN(const absl::Time time, ReadTime(what, value, "time"));
    if (!marks.emplace(std::move(kid), time).second) {
      return Damaged(what, "a kid is marked twice");
    }
  }
  return marks;
}

absl::StatusOr<base::Json> MarksJson(const KidTimes& marks) {
  base::Json array = base::Json::array();
  for (const auto& [kid, time] : marks) {
    base::Json value = base::Json::object();
    value["kid"] = base::JsonText(kid);
    ASSIGN_OR_RETURN(value["time"], TimeJson(time));
    array.push_back(std::move(value));
  }
  return array;
}

absl::StatusOr<std::vector<std::uint64_t>> ReadNumbers(std::string_view what,
                                                       const base::Json& array) {
  if (!array.is_array() || !std::ranges::all_of(array, [](const base::Json& number) {
        return number.is_number_unsigned();
      })) {
    return Damaged(what, "deleted_versions is not an array of numbers");
  }
  std::vector<std::uint64_t> numbers;
  for (const base::Json& number : array) numbers.push_back(number.get<std::uint64_t>());
  return numbers;
}

}  // namespace

absl::StatusOr<VersionDoc> VersionDoc::Parse(std::string_view what, std::string_view json) {
  RawPart fields{.name = "record", .text = ""};
  ASSIGN_OR_RETURN(
      const base::Json document,
      ReadDocument(
          what, kVersionSchema,
          {"operation",      "created_time", "reason",          "entity_id",      "display_name",
           "request_id",     "staged_kid",   "previous_kid",    "effective_time", "staged_time",
           "available_time", "rotated_time", "rotated_version", "scheduled_time", "rolled_back_to",
           "compromised",    "destroyed",    "added",           kDeletedVersions, kAnswered,
           kRequests},
          json, &fields));
  if (fields.text.empty()) return Damaged(what, "record is missing");
  absl::StatusOr<Record> record = Record::ParseText(fields.text);
  if (!record.ok()) return Damaged(what, Cat("its record: ", record.status().message()));

  VersionDoc doc{.record = *std::move(record)};
  ASSIGN_OR_RETURN(doc.operation, ReadString(what, document, "operation"));
  ASSIGN_OR_RETURN(doc.created_time, ReadTime(what, document, "created_time"));
  for (const OptionalText& text : kOptionalTexts) {
    if (!HasMember(document, text.name)) continue;
    ASSIGN_OR_RETURN(doc.*text.member, ReadString(what, document, text.name));
  }
  if (HasMember(document, "staged_kid")) {
    ASSIGN_OR_RETURN(doc.staged_kid, ReadString(what, document, "staged_kid"));
  }
  for (const OptionalTime& time : kOptionalTimes) {
    if (!HasMember(document, time.name)) continue;
    ASSIGN_OR_RETURN(doc.*time.member, ReadTime(what, document, time.name));
  }
  for (const OptionalNumber& number : kOptionalNumbers) {
    if (!HasMember(document, number.name)) continue;
    ASSIGN_OR_RETURN(doc.*number.member, ReadNumber(what, document, number.name));
  }
  for (const MarkList& list : kMarkLists) {
    if (!HasMember(document, list.name)) continue;
    ASSIGN_OR_RETURN(doc.marks.*list.member,
                     ReadMarks(what, *document.find(base::JsonString(list.name))));
  }
  if (HasMember(document, kDeletedVersions)) {
    ASSIGN_OR_RETURN(doc.deleted_versions, ReadNumbers(what, *document.find(kDeletedVersions)));
  }
  ASSIGN_OR_RETURN(doc.requests, ReadRequests(what, document));
  if (const std::string_view wrong = Inconsistency(doc); !wrong.empty()) {
    return Damaged(what, wrong);
  }
  return doc;
}

absl::StatusOr<base::SecretBytes> VersionDoc::Serialize() const {
  if (const std::string_view wrong = Inconsistency(*this); !wrong.empty()) {
    return absl::InternalError(Cat("a version to be stored is inconsistent: ", wrong));
  }
  base::Json body = base::Json::object();
  body["operation"] = base::JsonText(operation);
  ASSIGN_OR_RETURN(body["created_time"], TimeJson(created_time));
  for (const OptionalText& text : kOptionalTexts) {
    const std::string& value = this->*text.member;
    if (!value.empty()) body[base::JsonString(text.name)] = base::JsonText(value);
  }
  if (staged_kid.has_value()) body["staged_kid"] = base::JsonText(*staged_kid);
  for (const OptionalTime& time : kOptionalTimes) {
    if (!(this->*time.member).has_value()) continue;
    ASSIGN_OR_RETURN(body[base::JsonString(time.name)], TimeJson(*(this->*time.member)));
  }
  for (const OptionalNumber& number : kOptionalNumbers) {
    const std::optional<std::uint64_t>& value = this->*number.member;
    if (value.has_value()) body[base::JsonString(number.name)] = *value;
  }
  for (const MarkList& list : kMarkLists) {
    const KidTimes& times = marks.*list.member;
    if (times.empty()) continue;
    ASSIGN_OR_RETURN(body[base::JsonString(list.name)], MarksJson(times));
  }
  if (!deleted_versions.empty()) body[kDeletedVersions] = deleted_versions;
  body[kAnswered] = base::JsonText(requests.text());
  ASSIGN_OR_RETURN(const base::SecretBytes fields, record.ToText());
  return WriteDocument(kVersionSchema, body, RawPart{"record", fields.view()});
}

absl::StatusOr<bool> TakeOut(const std::string& kid, VersionDoc& doc) {
  if (doc.record.current_kid() == kid) return false;
  if (!doc.record.HasKid(kid)) return true;
  ASSIGN_OR_RETURN(doc.record, Retire(doc.record, kid));
  if (doc.staged_kid == kid) {
    doc.staged_kid.reset();
    doc.staged_time.reset();
  }
  return true;
}

}  // namespace mek
