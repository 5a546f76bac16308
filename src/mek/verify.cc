#include "mek/verify.h"

#include <algorithm>
#include <cstdint>
#include <optional>
#include <utility>

#include "base/aes_gcm.h"
#include "base/secret.h"
#include "base/text.h"
#include "mek/jwk.h"
#include "mek/key_set.h"
#include "mek/kid.h"
#include "mek/lint.h"

namespace mek {
namespace {

using base::Cat;

using Level = Finding::Level;

// Collects the lines. Each check ends in exactly one of the calls.
class Report {
 public:
  void Ok(std::string_view check, std::string message) {
    findings_.push_back({std::string(check), Level::kOk, std::move(message)});
  }
  // `problem` at `level`, or ok with `fine` if there is none.
  void Line(std::string_view check, Level level, std::optional<std::string> problem,
            std::string fine) {
    if (!problem.has_value()) return Ok(check, std::move(fine));
    findings_.push_back({std::string(check), level, *std::move(problem)});
  }
  std::vector<Finding> Take() { return std::move(findings_); }

 private:
  std::vector<Finding> findings_;
};

// Parses again what the readers get, so that every rule of Record::Parse is applied to it.
std::optional<std::string> NotReadBack(const Record& record) {
  const absl::StatusOr<Record> again = Record::Parse(record.ToJson());
  if (again.ok()) return std::nullopt;
  return Cat(again.status().message());
}

std::string PreviousKids(const Record& record) {
  std::vector<std::string> legacy;
  for (const Jwk& jwk : record.set(Set::kKeys).keys()) {
    if (jwk.kid() != record.current_kid() && !UuidV1Time(jwk.kid()).has_value()) {
      legacy.push_back(jwk.kid());
    }
  }
  if (legacy.empty()) return "every previous kid is a UUID version 1";
  return Cat("previous kids that are no UUID version 1: ", ListKids(legacy),
             ". ESS warns of them and goes on; nothing to do");
}

std::optional<std::string> UnusableKeys(const KeySet& set) {
  std::vector<std::string> bad;
  for (const Jwk& jwk : set.keys()) {
    if (!SealsAndOpens(jwk.key())) bad.push_back(jwk.kid());
  }
  if (bad.empty()) return std::nullopt;
  return Cat("AES-256-GCM fails with these keys of ", SetName(set.set()), ": ", ListKids(bad),
             ". Check the plugin's host; roll back if only some keys are named");
}

std::string Independence(const Record& record) {
  if (!record.mirrored()) return "private_jwks holds keys of its own";
  return "private_jwks mirrors keys: a new key is put into both sets, unless the configuration "
         "says otherwise. If private_jwks ever held keys of its own, look for them in older "
         "versions or the backup: rows sealed with them can't be opened with these";
}

}  // namespace

bool SealsAndOpens(const base::SecretBytes& key) {
  static_assert(kKeySize == base::kAes256KeySize);
  constexpr std::string_view kPlain = "openbao-plugin-secrets-mek verify";
  if (key.size() != kKeySize) return false;
  const base::Aes256Key aes(key.span());
  const std::optional<std::vector<std::uint8_t>> sealed = base::SealAesGcm(aes, kPlain);
  if (!sealed.has_value()) return false;
  const std::optional<base::SecretBytes> opened = base::OpenAesGcm(aes, *sealed);
  return opened.has_value() && opened->view() == kPlain;
}

std::string_view LevelName(Finding::Level level) {
  switch (level) {
    case Level::kOk:
      return "ok";
    case Level::kWarn:
      return "warn";
    case Level::kFail:
      break;
  }
  return "fail";
}

Finding::Level WorstLevel(const std::vector<Finding>& findings) {
  Level worst = Level::kOk;
  for (const Finding& finding : findings) worst = std::max(worst, finding.level);
  return worst;
}

std::vector<Finding> Verify(const Record& record, absl::Time now) {
  const KeySet& keys = record.set(Set::kKeys);
  const KeySet& private_jwks = record.set(Set::kPrivateJwks);
  const std::string current = Cat("the current kid ", record.current_kid());
  const std::optional<std::string> broken = NotReadBack(record);
  // Where the current kid stands is what a Record has of itself, and reading it back shows.
  std::optional<std::string> unknown;
  if (broken.has_value()) {
    unknown =
        "unknown, as the record does not read back (record.reads_back); roll back to a "
        "version that verifies";
  }
  Report report;

  report.Line("record.reads_back", Level::kFail, broken,
              "the record as readers get it keeps every rule");
  report.Line("record.selectors_agree", Level::kFail, unknown,
              "current_kid, the first key of keys and jwe_mapping agree");
  report.Line("record.no_key_repeated", Level::kWarn, RepeatedKeys(record),
              "no two kids share a key");
  report.Line("record.no_key_trivial", Level::kWarn, TrivialKeys(record),
              "no key is one byte repeated");
  report.Line("record.sets_independent", Level::kWarn, PartlyMirrored(record),
              Independence(record));

  report.Line("ess.current_kid_is_uuidv1", Level::kFail, CurrentKidIsNoUuidV1(record),
              Cat(current, " is a UUID version 1"));
  report.Ok("ess.previous_kids", PreviousKids(record));
  report.Line("ess.kid_times_not_ahead", Level::kWarn, KidTimesAhead(record, now),
              "no kid's time is in the future");
  report.Line("ess.keys_open", Level::kFail, UnusableKeys(keys),
              Cat("AES-256-GCM seals and opens with all ", keys.keys().size(), " of keys"));

  report.Line("nvcf_api.current_kid_in_keys", Level::kFail, unknown, Cat("keys holds ", current));

  report.Line("api_keys.current_kid_in_private_jwks", Level::kFail, unknown,
              Cat("private_jwks holds ", current));
  report.Line("api_keys.every_kid_in_private_jwks", Level::kWarn, PrivateJwksLacksKids(record),
              "private_jwks holds every kid of keys");
  report.Line("api_keys.no_placeholder", Level::kWarn, Placeholder(record),
              "private_jwks holds no \"${\"");
  report.Line(
      "api_keys.keys_open", Level::kFail, UnusableKeys(private_jwks),
      Cat("AES-256-GCM seals and opens with all ", private_jwks.keys().size(), " of private_jwks"));
  return report.Take();
}

}  // namespace mek
