#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "base/text.h"
#include "engine/paths.h"
#include "engine/reply.h"
#include "mek/verify.h"

namespace engine {
namespace {

using base::Cat;
using base::JsonText;
using mek::Finding;
using openbao::FieldData;
using openbao::Request;
using openbao::Response;

Finding Ok(std::string check, std::string message) {
  return {std::move(check), Finding::Level::kOk, std::move(message)};
}

Finding Fail(std::string check, const absl::Status& status) {
  return {std::move(check), Finding::Level::kFail, Cat(status.message())};
}

// Every stored version can be read, and none is missing between the oldest and the live one.
Finding CheckVersions(Mount& mount, openbao::Storage& storage) {
  constexpr char kCheck[] = "storage.versions";
  const absl::StatusOr<std::vector<std::uint64_t>> numbers = mount.records().List(storage);
  if (!numbers.ok()) return Fail(kCheck, numbers.status());
  if (numbers->empty()) return Ok(kCheck, "there is no version yet");
  std::uint64_t expected = numbers->front();
  for (const std::uint64_t number : *numbers) {
    if (number != expected++) {
      return Fail(kCheck, absl::DataLossError(absl::StrCat(
                              "version ", expected - 1, " is missing: restore it from a backup")));
    }
    const absl::StatusOr<std::optional<Version>> version = mount.records().Get(storage, number);
    if (!version.ok()) return Fail(kCheck, version.status());
  }
  return Ok(kCheck,
            absl::StrCat("versions ", numbers->front(), " to ", numbers->back(), " can be read"));
}

Finding CheckArchive(Mount& mount, openbao::Storage& storage) {
  constexpr char kCheck[] = "storage.archive";
  const absl::StatusOr<ArchiveStore::Kids> kids = mount.archive().List(storage);
  if (!kids.ok()) return Fail(kCheck, kids.status());
  for (const std::string& kid : **kids) {
    const auto entry = mount.archive().Get(storage, kid);
    if (!entry.ok()) return Fail(kCheck, entry.status());
  }
  return Ok(kCheck, absl::StrCat((*kids)->size(), " archived kid(s) can be read"));
}

Answer Verify(Mount& mount, const Request& request, const FieldData&) {
  openbao::Storage& storage = *request.storage;
  std::vector<Finding> findings;
  const absl::StatusOr<std::optional<Version>> live = mount.records().Live(storage);
  if (!live.ok() && absl::IsUnavailable(live.status())) return live.status();
  if (!live.ok()) {
    findings.push_back(Fail("record.readable", live.status()));
  } else if (live->has_value()) {
    findings = mek::Verify((*live)->doc.record, mount.Now());
  } else {
    findings.push_back(
        {"record.exists", Finding::Level::kWarn,
         "there is no record: write init for a fresh one, or import the existing one"});
  }
  findings.push_back(CheckVersions(mount, storage));
  findings.push_back(CheckArchive(mount, storage));

  Response response;
  response.data["result"] = JsonText(mek::LevelName(mek::WorstLevel(findings)));
  for (const Finding& finding : findings) {
    response.data[base::JsonString(finding.check)] =
        JsonText(Cat(mek::LevelName(finding.level), ": ", finding.message));
  }
  return response;
}

}  // namespace

std::vector<openbao::Path> VerifyPaths(Mount& mount) {
  openbao::Path path;
  path.pattern = "verify";
  path.synopsis =
      "Check the record and all that is stored against every rule, and each key of the record by "
      "use.";
  path.description =
      "result is the worst of the lines: ok, warn or fail. There is a line for each rule of "
      "the record and of its readers; a message and, where something is amiss, what to do. "
      "Each key of the record seals and opens a message with AES-256-GCM. No key material is "
      "shown.";
  path.operations.push_back({.operation = openbao::Operation::kRead,
                             .handler = Bind(mount, Verify),
                             .summary = "Verify now."});
  return {path};
}

}  // namespace engine
