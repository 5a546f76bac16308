#include "mek/record.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "base/status_macros.h"
#include "base/text.h"
#include "mek/json_span.h"
#include "mek/kid.h"
#include "mek/lint.h"

namespace mek {
namespace {

using base::Cat;

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

absl::Status NoObject() {
  return Refuse(
      "the record is not a JSON object: expected the fields keys, current_kid, jwe_mapping and "
      "private_jwks");
}

// The value of payload_jwe_kid.
absl::StatusOr<std::string> ReadMapping(std::string_view text) {
  const absl::StatusOr<base::Json> mapping = base::ParseJson(text);
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

// Both sets as the fields hold them; where they are the same text, it is made once.
class EncodedSets {
 public:
  explicit EncodedSets(const Record& record) : keys_(record.set(Set::kKeys).Encode()) {
    const KeySet& private_jwks = record.set(Set::kPrivateJwks);
    if (!private_jwks.HasTextOf(record.set(Set::kKeys))) private_jwks_ = private_jwks.Encode();
  }

  std::string_view keys() const { return keys_.view(); }
  std::string_view private_jwks() const {
    return private_jwks_.has_value() ? private_jwks_->view() : keys_.view();
  }

 private:
  base::SecretBytes keys_;
  std::optional<base::SecretBytes> private_jwks_;
};

absl::Status CheckUnique(const KeySet& set) {
  absl::flat_hash_set<absl::string_view> kids;
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

// Where the four fields are read from, in the order of kFour: nullopt if absent, and the text is
// nullopt if it is not a string.
struct Record::Source {
  std::array<std::optional<std::optional<std::string_view>>, kFour.size()> fields;

  absl::Status CheckPresent() const {
    for (std::size_t i = 0; i < kFour.size(); ++i) {
      const char* wrong = !fields[i].has_value()    ? " is missing: "
                          : !fields[i]->has_value() ? " is not a string: "
                          : (*fields[i])->empty()   ? " is empty: "
                                                    : nullptr;
      if (wrong != nullptr) return Refuse(Cat(kFour[i], wrong, Expected(kFour[i])));
    }
    return absl::OkStatus();
  }
  // Precondition: CheckPresent.
  std::string_view Text(std::string_view field) const {
    return **fields[static_cast<std::size_t>(std::ranges::find(kFour, field) - kFour.begin())];
  }
};

absl::StatusOr<Record> Record::Parse(const base::Json& fields) {
  if (!fields.is_object()) return NoObject();
  Source source;
  base::Json others = base::Json::object();
  for (const auto& [name, value] : fields.items()) {
    const auto which = std::ranges::find(kFour, std::string_view(name));
    others[name] = which == kFour.end() ? value : nullptr;
    if (which == kFour.end()) continue;
    const auto* text = value.template get_ptr<const base::JsonString*>();
    source.fields[static_cast<std::size_t>(which - kFour.begin())] =
        text == nullptr ? std::nullopt : std::optional<std::string_view>(*text);
  }
  return FromSource(source, std::move(others));
}

absl::StatusOr<Record> Record::ParseText(std::string_view json) {
  if (!json.starts_with('{')) return NoObject();
  Source source;
  std::array<base::SecretBytes, kFour.size()> scratch;
  base::Json others = base::Json::object();
  for (const RawMember& member : Members(json)) {
    ASSIGN_OR_RETURN(const base::Json name, base::ParseJson(member.name));
    const auto& field = *name.get_ptr<const base::JsonString*>();
    const auto which = std::ranges::find(kFour, std::string_view(field));
    base::Json& place = others[field];
    if (which == kFour.end()) {
      ASSIGN_OR_RETURN(place, base::ParseJson(member.value));
    } else {
      const auto i = static_cast<std::size_t>(which - kFour.begin());
      source.fields[i] = StringText(member.value, scratch[i]);
    }
  }
  return FromSource(source, std::move(others));
}

absl::StatusOr<Record> Record::FromSource(const Source& source, base::Json others) {
  RETURN_IF_ERROR(source.CheckPresent());
  const std::string_view current_kid = source.Text(kCurrentKid);
  if (!IsValidKid(current_kid)) return Refuse(Cat("current_kid must be ", kKidRule));
  ASSIGN_OR_RETURN(KeySet keys, KeySet::Parse(Set::kKeys, source.Text(kKeys)));
  // The same text is read once: that is how the runbook leaves a record. (Who gave it knows both,
  // so the comparison needn't take constant time.)
  ASSIGN_OR_RETURN(KeySet private_jwks,
                   source.Text(kPrivateJwks) == source.Text(kKeys)
                       ? keys.CloneAsPrivate()
                       : KeySet::Parse(Set::kPrivateJwks, source.Text(kPrivateJwks)));
  if (!FitsNested(others, kMaxDepth)) {
    return Refuse(Cat("a field beside the four is nested deeper than ", kMaxDepth,
                      " levels, or has or is one of more than ", base::kMaxJsonMembers,
                      " members"));
  }
  if (!base::DumpJson(others).ok()) {
    return Refuse("a field beside the four holds text that is not UTF-8");
  }
  Record record(std::move(others), std::move(keys), std::move(private_jwks),
                std::string(current_kid), base::SecretBytes(source.Text(kJweMapping)));
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
  // If it has the same kids, they are unique as those of keys are.
  if (!private_jwks.HasKidsOf(keys)) RETURN_IF_ERROR(CheckUnique(private_jwks));
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
      return Refuse(Cat("current_kid ", ShownKid(current_kid_), " is not in keys: ",
                        Expected(kCurrentKid), ", which is ", ShownKid(first)));
    }
    return Refuse(Cat("current_kid must be the first key of keys: ", ShownKid(current_kid_),
                      " is keys[", elsewhere - keys_.keys().data(), "] and the first is ",
                      ShownKid(first),
                      ". Move the current key to the front, or name the first one"));
  }
  if (private_jwks_.Find(current_kid_) == nullptr) {
    return Refuse(Cat("private_jwks lacks current_kid ", ShownKid(current_kid_),
                      ": api-keys seals with that key; add one under this kid"));
  }
  ASSIGN_OR_RETURN(const std::string payload_kid, ReadMapping(jwe_mapping_.view()));
  if (payload_kid != current_kid_) {
    return Refuse(
        Cat("jwe_mapping.payload_jwe_kid must equal current_kid: expected ", ShownKid(current_kid_),
            IsValidKid(payload_kid) ? Cat(", found ", ShownKid(payload_kid)) : std::string()));
  }
  return absl::OkStatus();
}

base::Json Record::ToJson() const {
  base::Json fields = fields_;
  const auto put = [&](std::string_view field, std::string_view text) {
    fields[base::JsonString(field)] = base::JsonText(text);
  };
  const EncodedSets sets(*this);
  put(kKeys, sets.keys());
  put(kCurrentKid, current_kid_);
  put(kJweMapping, jwe_mapping_.view());
  put(kPrivateJwks, sets.private_jwks());
  return fields;
}

absl::StatusOr<base::SecretBytes> Record::ToText() const {
  const EncodedSets sets(*this);
  base::SecretBytes out("{");
  for (const auto& [name, value] : fields_.items()) {
    ASSIGN_OR_RETURN(const base::SecretBytes quoted, base::DumpJson(base::JsonText(name)));
    out.Append(out.size() > 1 ? "," : "");
    out.Append(quoted.view());
    out.Append(":");
    if (name == kKeys || name == kPrivateJwks) {
      // Base64 stands in a JSON string as it is.
      out.Append("\"");
      out.Append(name == kKeys ? sets.keys() : sets.private_jwks());
      out.Append("\"");
    } else {
      ASSIGN_OR_RETURN(const base::SecretBytes text,
                       base::DumpJson(name == kCurrentKid   ? base::JsonText(current_kid_)
                                      : name == kJweMapping ? base::JsonText(jwe_mapping_.view())
                                                            : value));
      out.Append(text.view());
    }
  }
  out.Append("}");
  return out;
}

bool Record::mirrored() const {
  if (keys_.keys().size() != private_jwks_.keys().size()) return false;
  KeySet::Lookup twins(private_jwks_);
  return std::ranges::all_of(keys_.keys(), [&](const Jwk& jwk) {
    const Jwk* twin = twins.Find(jwk.kid());
    return twin != nullptr && twin->HasKeyOf(jwk);
  });
}

std::optional<absl::Time> Record::LatestKidTime() const {
  std::optional<absl::Time> latest;
  const auto look_at = [&](const KeySet& set) {
    for (const Jwk& jwk : set.keys()) latest = std::max(latest, UuidV1Time(jwk.kid()));
  };
  look_at(keys_);
  if (!private_jwks_.HasKidsOf(keys_)) look_at(private_jwks_);
  return latest;
}

bool Record::HasKey(const base::SecretBytes& key) const {
  const std::vector<Jwk>& keys = keys_.keys();
  const std::vector<Jwk>& private_jwks = private_jwks_.keys();
  for (const Jwk& jwk : keys) {
    if (jwk.key() == key) return true;
  }
  for (std::size_t i = 0; i < private_jwks.size(); ++i) {
    const bool looked_at = i < keys.size() && keys[i].Shares(private_jwks[i]);
    if (!looked_at && private_jwks[i].key() == key) return true;
  }
  return false;
}

bool Record::HasKid(std::string_view kid) const {
  return keys_.Find(kid) != nullptr || private_jwks_.Find(kid) != nullptr;
}

bool Record::HasKidInBothSets(std::string_view kid) const {
  return keys_.Find(kid) != nullptr && private_jwks_.Find(kid) != nullptr;
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
