#include "mek/record.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <unordered_set>
#include <utility>

#include "absl/status/status.h"
#include "base/status_macros.h"
#include "mek/json_span.h"
#include "mek/kid.h"
#include "mek/lint.h"
#include "mek/text.h"

namespace mek {
namespace {

constexpr std::string_view kKeys = "keys";
constexpr std::string_view kPrivateJwks = "private_jwks";
constexpr std::array kFour{kKeys, kCurrentKid, kJweMapping, kPrivateJwks};

// Leaves room for what a record is embedded in: stored documents, requests, replies.
constexpr int kMaxDepth = base::kMaxJsonDepth / 2;

std::string_view Expected(std::string_view field) {
  if (field == kCurrentKid) return "expected the kid of the first key of keys";
  if (field == kJweMapping) return R"(expected the text {"payload_jwe_kid":"<current_kid>"})";
  return R"(expected base64 of {"keys":[…]} with at least one JWK)";
}

absl::Status Refuse(std::string_view what) { return absl::InvalidArgumentError(Cat(what)); }

absl::StatusOr<std::string_view> RequiredField(const base::Json& fields, std::string_view field) {
  if (!fields.contains(base::JsonString(field))) {
    return Refuse(Cat(field, " is missing: ", Expected(field)));
  }
  const base::JsonString* text = base::FindString(fields, field);
  if (text == nullptr) return Refuse(Cat(field, " is not a string: ", Expected(field)));
  if (text->empty()) return Refuse(Cat(field, " is empty: ", Expected(field)));
  return *text;
}

// The value of payload_jwe_kid.
absl::StatusOr<std::string> ReadMapping(std::string_view text) {
  const absl::StatusOr<base::Json> mapping = ParseStrictJson(text);
  if (!mapping.ok()) {
    return Refuse(Cat("jwe_mapping does not hold JSON that readers can rely on: ",
                      mapping.status().message(), "; ", Expected(kJweMapping)));
  }
  if (!mapping->is_object()) {
    return Refuse(Cat("jwe_mapping holds no JSON object: ", Expected(kJweMapping)));
  }
  if (!mapping->contains(base::JsonString(kPayloadJweKid))) {
    return Refuse(Cat("jwe_mapping has no payload_jwe_kid: ", Expected(kJweMapping)));
  }
  const base::JsonString* kid = base::FindString(*mapping, kPayloadJweKid);
  if (kid == nullptr) {
    return Refuse(Cat("jwe_mapping.payload_jwe_kid is not a string: ", Expected(kJweMapping)));
  }
  return std::string(*kid);
}

base::SecretBytes ReplacePayloadKid(std::string_view mapping, std::string_view kid) {
  const std::string_view value = FindMember(mapping, kPayloadJweKid).value_or(mapping);
  const auto start = static_cast<std::size_t>(value.data() - mapping.data());
  base::SecretBytes out;
  out.Reserve(mapping.size() + kid.size() + 2);
  out.Append(mapping.substr(0, start));
  out.Append("\"");
  out.Append(kid);
  out.Append("\"");
  out.Append(mapping.substr(start + value.size()));
  return out;
}

absl::Status CheckUnique(const KeySet& set) {
  std::unordered_set<std::string_view> kids;
  for (const Jwk& jwk : set.keys()) {
    if (!kids.insert(jwk.kid()).second) {
      return Refuse(Cat(SetName(set.set()), " would hold kid ", jwk.kid(), " twice"));
    }
  }
  return absl::OkStatus();
}

}  // namespace

Record::Record(base::Json fields, KeySet keys, KeySet private_jwks, std::string current_kid,
               base::SecretBytes jwe_mapping)
    : fields_(std::move(fields)),
      keys_(std::move(keys)),
      private_jwks_(std::move(private_jwks)),
      current_kid_(std::move(current_kid)),
      jwe_mapping_(std::move(jwe_mapping)) {}

absl::StatusOr<Record> Record::Parse(const base::Json& fields) {
  if (!fields.is_object()) {
    return Refuse(
        "the record is not a JSON object: expected the fields keys, current_kid, jwe_mapping "
        "and private_jwks");
  }
  for (const std::string_view field : kFour) RETURN_IF_ERROR(RequiredField(fields, field).status());

  const std::string_view current_kid = *base::FindString(fields, kCurrentKid);
  if (!IsValidKid(current_kid)) return Refuse(Cat("current_kid must be ", kKidRule));
  ASSIGN_OR_RETURN(KeySet keys, KeySet::Parse(Set::kKeys, *base::FindString(fields, kKeys)));
  ASSIGN_OR_RETURN(KeySet private_jwks,
                   KeySet::Parse(Set::kPrivateJwks, *base::FindString(fields, kPrivateJwks)));

  base::Json others = base::Json::object();
  for (const auto& [name, value] : fields.items()) {
    others[name] =
        std::ranges::find(kFour, std::string_view(name)) == kFour.end() ? value : nullptr;
  }
  if (!FitsNested(others, kMaxDepth)) {
    return Refuse(Cat("a field beside the four is nested deeper than ", kMaxDepth,
                      " levels, or has or is one of more than ", base::kMaxJsonMembers,
                      " members"));
  }
  if (!base::DumpJson(others).ok()) {
    return Refuse("a field beside the four holds text that is not UTF-8");
  }

  Record record(std::move(others), std::move(keys), std::move(private_jwks),
                std::string(current_kid),
                base::SecretBytes(std::string_view(*base::FindString(fields, kJweMapping))));
  RETURN_IF_ERROR(record.CheckInvariants());
  return record;
}

absl::StatusOr<Record> Record::Make(Jwk key, Jwk private_key) {
  base::Json fields = base::Json::object();
  for (const std::string_view field : kFour) fields[base::JsonString(field)] = nullptr;
  std::string kid = key.kid();
  base::SecretBytes mapping(Cat(R"({"payload_jwe_kid":")", kid, R"("})"));
  Record record(std::move(fields), KeySet::Make(Set::kKeys, std::move(key)),
                KeySet::Make(Set::kPrivateJwks, std::move(private_key)), std::move(kid),
                std::move(mapping));
  RETURN_IF_ERROR(record.CheckInvariants());
  return record;
}

absl::StatusOr<Record> Record::With(KeySet keys, KeySet private_jwks,
                                    std::string_view current_kid) const {
  RETURN_IF_ERROR(CheckUnique(keys));
  RETURN_IF_ERROR(CheckUnique(private_jwks));
  Record record(fields_, std::move(keys), std::move(private_jwks), std::string(current_kid),
                current_kid == current_kid_ ? jwe_mapping_.Clone()
                                            : ReplacePayloadKid(jwe_mapping_.view(), current_kid));
  RETURN_IF_ERROR(record.CheckInvariants());
  return record;
}

absl::Status Record::CheckInvariants() const {
  if (const std::string& first = keys_.keys().front().kid(); first != current_kid_) {
    const Jwk* elsewhere = keys_.Find(current_kid_);
    if (elsewhere == nullptr) {
      return Refuse(Cat("current_kid ", current_kid_, " is not in keys: ", Expected(kCurrentKid),
                        ", which is ", first));
    }
    return Refuse(Cat("current_kid must be the first key of keys: ", current_kid_, " is keys[",
                      elsewhere - keys_.keys().data(), "] and the first is ", first,
                      ". Move the current key to the front, or name the first one"));
  }
  if (private_jwks_.Find(current_kid_) == nullptr) {
    return Refuse(Cat("private_jwks lacks current_kid ", current_kid_,
                      ": api-keys seals with that key; add one under this kid"));
  }
  ASSIGN_OR_RETURN(const std::string payload_kid, ReadMapping(jwe_mapping_.view()));
  if (payload_kid != current_kid_) {
    return Refuse(Cat("jwe_mapping.payload_jwe_kid must equal current_kid: expected ", current_kid_,
                      IsValidKid(payload_kid) ? Cat(", found ", payload_kid) : std::string()));
  }
  return absl::OkStatus();
}

base::Json Record::ToJson() const {
  base::Json fields = fields_;
  const auto put = [&](std::string_view field, std::string_view text) {
    fields[base::JsonString(field)] = base::JsonText(text);
  };
  put(kKeys, keys_.Encode().view());
  put(kCurrentKid, current_kid_);
  put(kJweMapping, jwe_mapping_.view());
  put(kPrivateJwks, private_jwks_.Encode().view());
  return fields;
}

bool Record::mirrored() const {
  if (keys_.keys().size() != private_jwks_.keys().size()) return false;
  const auto index = private_jwks_.Index();
  return std::ranges::all_of(keys_.keys(), [&](const Jwk& jwk) {
    const auto twin = index.find(jwk.kid());
    return twin != index.end() && twin->second->key() == jwk.key();
  });
}

std::optional<absl::Time> Record::LatestKidTime() const {
  std::optional<absl::Time> latest;
  for (const Set each : kSets) {
    for (const Jwk& jwk : set(each).keys()) {
      latest = std::max(latest, UuidV1Time(jwk.kid()));
    }
  }
  return latest;
}

std::vector<std::string> Record::Warnings(absl::Time now) const {
  std::vector<std::string> warnings;
  for (std::optional<std::string> found :
       {CurrentKidIsNoUuidV1(*this), KidTimesAhead(*this, now), PrivateJwksLacksKids(*this),
        PartlyMirrored(*this), RepeatedKeys(*this), TrivialKeys(*this), Placeholder(*this)}) {
    if (found.has_value()) warnings.push_back(*std::move(found));
  }
  return warnings;
}

Record Record::Clone() const {
  return Record(fields_, keys_.Clone(), private_jwks_.Clone(), current_kid_, jwe_mapping_.Clone());
}

}  // namespace mek
