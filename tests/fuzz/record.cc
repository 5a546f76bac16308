// A record, and what the operations make of it. The input is the record's JSON; or, after a byte
// other than '{', its parts, each ended by a byte 0xFF: keys and private_jwks as JSON rather than
// base64, current_kid, jwe_mapping, and an object of further fields.
#include "mek/record.h"

#include <algorithm>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "base/base64.h"
#include "base/json.h"
#include "base/text.h"
#include "fuzz/fuzz.h"
#include "mek/incoming.h"
#include "mek/kid.h"
#include "mek/rotation.h"
#include "mek/verify.h"
#include "nlohmann/json.hpp"

namespace {

using mek::Record;
using mek::Set;
using Plain = nlohmann::ordered_json;

constexpr std::string_view kFreshKid = "ffffffff-ffff-1fff-8000-0123456789ab";
const absl::Time kNow = absl::FromUnixSeconds(1'780'000'000);

template <class T>
T Must(absl::StatusOr<T> result) {
  REQUIRE(result.ok());
  return *std::move(result);
}

std::string Dump(const base::Json& value) {
  return std::string(Must(base::DumpJson(value)).view());
}

// The fields as the input has them; null if they are no JSON.
base::Json ReadFields(std::string_view text) {
  if (text.starts_with('{')) return base::ParseJson(text).value_or(nullptr);
  fuzz::Input input(text);
  input.Byte();
  base::Json fields = base::Json::object();
  const auto encoded = [&] {
    return base::JsonText(fuzz::Encode(input.Part(), fuzz::kBase64, /*padded=*/true));
  };
  fields["keys"] = encoded();
  fields["private_jwks"] = encoded();
  fields["current_kid"] = base::JsonText(input.Part());
  fields["jwe_mapping"] = base::JsonText(input.Part());
  const base::Json others = base::ParseJson(input.Part()).value_or(nullptr);
  if (others.is_object()) {
    for (const auto& [name, value] : others.items()) fields[name] = value;
  }
  return fields;
}

// A record's field that is base64 of JSON, or JSON, read without our code.
Plain Jwks(const Plain& record, std::string_view name) {
  std::string text;
  REQUIRE(fuzz::Decode(record.at(name).get<std::string>(), fuzz::kBase64, /*padded=*/true, text));
  return Plain::parse(text);
}
Plain Mapping(const Plain& record) {
  return Plain::parse(record.at("jwe_mapping").get<std::string>());
}
std::vector<std::string> Kids(const Plain& jwks) {
  std::vector<std::string> kids;
  for (const Plain& jwk : jwks.at("keys")) kids.push_back(jwk.at("kid").get<std::string>());
  return kids;
}

// A valid record keeps every rule when read by another JSON parser, and comes back from its text as
// it was.
Plain CheckWhole(const Record& record) {
  const std::string text = Dump(record.ToJson());
  REQUIRE(Must(record.ToText()).view() == text);
  const Record again = Must(Record::Parse(record.ToJson()));
  REQUIRE(Dump(again.ToJson()) == text);
  REQUIRE(Dump(Must(Record::ParseText(text)).ToJson()) == text);
  REQUIRE(Dump(record.Clone().ToJson()) == text);

  // Two fields of one text are read as each of them would be.
  const base::Json fields = record.ToJson();
  for (const Set which : mek::kSets) {
    const std::string_view field = *base::FindString(fields, mek::SetName(which));
    const mek::KeySet set = Must(mek::KeySet::Parse(which, field));
    REQUIRE(record.set(which).set() == which && set.HasTextOf(record.set(which)));
    REQUIRE(set.HasKidsOf(record.set(which)) && set.Encode().view() == field);
    for (std::size_t i = 0; i < set.keys().size(); ++i) {
      REQUIRE(set.keys()[i].HasKeyOf(record.set(which).keys()[i]));
      REQUIRE(record.HasKey(set.keys()[i].key()));
    }
  }

  Plain plain = Plain::parse(text);
  const std::string& kid = record.current_kid();
  REQUIRE(plain.at("current_kid") == kid && Mapping(plain).at("payload_jwe_kid") == kid);
  for (const Set set : mek::kSets) {
    const std::vector<std::string> kids = Kids(Jwks(plain, mek::SetName(set)));
    REQUIRE(kids == record.Kids(set));
    REQUIRE(std::set<std::string>(kids.begin(), kids.end()).size() == kids.size());
    REQUIRE(std::ranges::find(kids, kid) != kids.end());
    REQUIRE(set == Set::kPrivateJwks || kids.front() == kid);
  }
  return plain;
}

// Whatever is not the sets' keys or a selector is the same in both, in the same order.
void CheckRestKept(const Plain& before, const Plain& after) {
  const auto rest = [](Plain record) {
    Plain mapping = Mapping(record);
    mapping["payload_jwe_kid"] = nullptr;
    record["jwe_mapping"] = mapping.dump();
    for (const Set set : mek::kSets) {
      Plain jwks = Jwks(record, mek::SetName(set));
      jwks["keys"] = nullptr;
      record[std::string(mek::SetName(set))] = jwks.dump();
    }
    record["current_kid"] = nullptr;
    return record.dump();
  };
  REQUIRE(rest(before) == rest(after));
}

// Each key of `before` is in `after`, byte for byte.
void CheckKeysKept(const Record& before, const Record& after) {
  for (const Set set : mek::kSets) {
    for (const mek::Jwk& jwk : before.set(set).keys()) {
      const mek::Jwk* there = after.set(set).Find(jwk.kid());
      REQUIRE(there != nullptr && there->json() == jwk.json() && there->key() == jwk.key());
    }
  }
  REQUIRE(mek::KeysMissingIn(before, after).empty());
  REQUIRE(mek::CheckNoConflict(before, after).ok());
}

bool SameSets(const Record& a, const Record& b) {
  return std::ranges::all_of(
      mek::kSets, [&](Set set) { return a.set(set).json().view() == b.set(set).json().view(); });
}

void FuzzOperations(const Record& record, const Plain& plain) {
  const std::string current = record.current_kid();
  const mek::NewKey key{std::string(kFreshKid), base::SecretBytes(std::string(32, 'k')),
                        base::SecretBytes(std::string(32, 'p'))};
  const bool known = std::ranges::any_of(
      mek::kSets, [&](Set set) { return record.set(set).Find(kFreshKid) != nullptr; });
  if (known) {
    REQUIRE(mek::Rotate(record, key).status().code() == absl::StatusCode::kFailedPrecondition);
    REQUIRE(mek::Stage(record, key).status().code() == absl::StatusCode::kFailedPrecondition);
    return;
  }
  const auto check = [&](const Record& changed) {
    CheckRestKept(plain, CheckWhole(changed));
    CheckKeysKept(record, changed);
  };

  const Record rotated = Must(mek::Rotate(record, key));
  check(rotated);
  REQUIRE(rotated.current_kid() == kFreshKid);
  for (const Set set : mek::kSets) {
    std::vector<std::string> kids = record.Kids(set);
    kids.insert(kids.begin(), std::string(kFreshKid));
    REQUIRE(rotated.Kids(set) == kids);
  }
  REQUIRE(mek::Rotate(rotated, key).status().code() == absl::StatusCode::kFailedPrecondition);

  const Record staged = Must(mek::Stage(record, key));
  check(staged);
  REQUIRE(staged.current_kid() == current && staged.jwe_mapping() == record.jwe_mapping());
  for (const Set set : mek::kSets) REQUIRE(staged.Kids(set).back() == kFreshKid);
  REQUIRE(SameSets(Must(mek::Retire(staged, kFreshKid)), record));

  const Record promoted = Must(mek::Promote(staged, kFreshKid));
  check(promoted);
  REQUIRE(promoted.current_kid() == kFreshKid);

  // Back to the record before the rotation, whose successor's key stays, at the end.
  const Record rolled_back = Must(mek::RollbackKeeping(record, rotated, {}));
  check(rolled_back);
  REQUIRE(rolled_back.current_kid() == current);
  REQUIRE(Dump(rolled_back.ToJson()) == Dump(staged.ToJson()));

  // The old key out, and back.
  const Record retired = Must(mek::Retire(rotated, current));
  CheckRestKept(plain, CheckWhole(retired));
  const std::vector<mek::SetKey> out = mek::KeysMissingIn(rotated, retired);
  REQUIRE(out.size() == 2 && out[0].jwk.kid() == current && out[1].jwk.kid() == current);
  REQUIRE(mek::Retire(rotated, kFreshKid).status().code() == absl::StatusCode::kFailedPrecondition);
  check(Must(mek::Restore(retired, out)));
  REQUIRE(mek::RollbackKeeping(record, retired, {{Set::kKeys, current}}).status().code() ==
          absl::StatusCode::kFailedPrecondition);

  // Another k under a known kid is never merged.
  std::vector<mek::SetKey> other;
  other.push_back({Set::kKeys, mek::Jwk::Make(kFreshKid, base::SecretBytes(std::string(32, 'o')))});
  REQUIRE(mek::Restore(rotated, other).status().code() == absl::StatusCode::kFailedPrecondition);
  REQUIRE(!mek::CheckNoConflict(rotated, other.front()).ok());
}

// No `k` of the input is in what is said about it.
void CheckSaysNoKey(const base::Json& fields, std::string_view message) {
  for (const std::string_view name : {"keys", "private_jwks"}) {
    const base::JsonString* field = base::FindString(fields, name);
    std::string text;
    if (field == nullptr || !fuzz::Decode(*field, fuzz::kBase64, /*padded=*/true, text)) {
      continue;
    }
    const Plain jwks = Plain::parse(text, nullptr, /*allow_exceptions=*/false);
    if (!jwks.is_object() || !jwks.contains("keys")) continue;
    for (const Plain& jwk : jwks["keys"]) {
      if (!jwk.is_object() || !jwk.contains("k") || !jwk["k"].is_string()) continue;
      const auto k = jwk["k"].get<std::string>();
      // One with a space in it is words of the message itself.
      REQUIRE(k.size() != 43 || k.find(' ') != std::string::npos ||
              message.find(k) == std::string_view::npos);
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view input = fuzz::Text(data, size);
  const base::Json fields = ReadFields(input);
  const absl::StatusOr<Record> record = Record::Parse(fields);
  if (!record.ok()) {
    REQUIRE(record.status().code() == absl::StatusCode::kInvalidArgument);
    CheckSaysNoKey(fields, base::ToStd(record.status().message()));
  }
  if (const absl::StatusOr<base::SecretBytes> text = base::DumpJson(fields);
      text.ok() && base::CheckJson(text->view()).ok()) {
    const absl::StatusOr<Record> by_text = Record::ParseText(text->view());
    REQUIRE(by_text.status() == record.status());
    if (by_text.ok()) REQUIRE(Dump(by_text->ToJson()) == Dump(fields));
  }
  if (!record.ok()) return 0;

  // Untouched, it is the very record that came.
  REQUIRE(Dump(record->ToJson()) == Dump(fields));
  const Plain plain = CheckWhole(*record);
  FuzzOperations(*record, plain);

  // Kids are listed whole, so a key in a kid's place would be shown; import refuses such a kid.
  const bool kids_show_keys = std::ranges::any_of(mek::kSets, [&](Set set) {
    return std::ranges::any_of(record->Kids(set),
                               [&](const std::string& kid) { return mek::ShowsKey(kid, *record); });
  });
  for (const mek::Finding& finding : mek::Verify(*record, kNow)) {
    REQUIRE((finding.level == mek::Finding::Level::kFail) ==
            (finding.check == "ess.current_kid_is_uuidv1" &&
             !mek::UuidV1Time(record->current_kid()).has_value()));
    if (!kids_show_keys) CheckSaysNoKey(fields, finding.message);
  }
  for (const std::string& warning : record->Warnings(kNow)) {
    if (!kids_show_keys) CheckSaysNoKey(fields, warning);
  }
  for (const Set set : mek::kSets) {
    for (const mek::Jwk& jwk : record->set(set).keys()) {
      REQUIRE(
          mek::ShowsKey(base::Cat("x", base::Base64UrlEncode(jwk.key().view()).view()), *record));
      REQUIRE(!mek::UuidV1Time(jwk.kid()).has_value() ||
              record->LatestKidTime() >= mek::UuidV1Time(jwk.kid()));
    }
  }
  REQUIRE(!record->mirrored() ||
          record->set(Set::kKeys).keys().size() == record->set(Set::kPrivateJwks).keys().size());
  return 0;
}
