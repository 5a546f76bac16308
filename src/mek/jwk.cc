#include "mek/jwk.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "base/base64.h"
#include "base/json.h"
#include "base/status_macros.h"
#include "base/text.h"
#include "mek/kid.h"

namespace mek {
namespace {

using base::Cat;

// A JWK stands two levels down in its set: {"keys":[jwk]}.
constexpr int kMaxDepth = base::kMaxJsonDepth - 2;

std::string Place(Set set, std::size_t position) { return Cat(SetName(set), "[", position, "]"); }

// Reads one JWK's members, and speaks of it by its place, and by its kid once that is known to be
// valid. No message is made before it is needed: sets can be large.
class Reader {
 public:
  Reader(Set set, std::size_t position, std::span<const TextMember> members)
      : set_(set), position_(position), members_(members) {}

  // `kid` outlives this object.
  void set_kid(std::string_view kid) { kid_ = kid; }

  absl::Status Refuse(std::string_view why) const {
    return absl::InvalidArgumentError(
        Cat(Place(set_, position_),
            kid_.empty() ? std::string() : Cat(" (kid ", ShownKid(kid_), ")"), ": ", why));
  }

  bool Has(std::string_view name) const { return Find(name) != nullptr; }

  absl::StatusOr<std::string_view> String(std::string_view name, std::string_view expected) const {
    const TextMember* member = Find(name);
    if (member == nullptr) return Refuse(Cat(name, " is missing: expected ", expected));
    if (!member->text.has_value()) {
      return Refuse(Cat(name, " is not a string: expected ", expected));
    }
    return *member->text;
  }

  // `wanted` in quotes.
  absl::Status Require(std::string_view name, std::string_view wanted) const {
    ASSIGN_OR_RETURN(const std::string_view found, String(name, wanted));
    if (found == wanted.substr(1, wanted.size() - 2)) return absl::OkStatus();
    return Refuse(Cat(name, " must be ", wanted));
  }

 private:
  const TextMember* Find(std::string_view name) const {
    const auto at = std::ranges::find(members_, name, &TextMember::name);
    return at == members_.end() ? nullptr : &*at;
  }

  Set set_;
  std::size_t position_;
  std::string_view kid_;
  std::span<const TextMember> members_;
};

}  // namespace

std::string_view SetName(Set set) { return set == Set::kKeys ? "keys" : "private_jwks"; }

absl::StatusOr<Jwk> Jwk::Parse(Set set, std::size_t position, base::SecretBytes json) {
  if (const absl::Status checked = base::CheckJson(json.view(), kMaxDepth); !checked.ok()) {
    return absl::InvalidArgumentError(Cat(Place(set, position), ": ", checked.message()));
  }
  return FromChecked(set, position, std::move(json));
}

absl::StatusOr<Jwk> Jwk::FromChecked(Set set, std::size_t position, base::SecretBytes json) {
  if (!json.view().starts_with('{')) {
    return Reader(set, position, {}).Refuse("not a JSON object: expected a JWK");
  }
  const absl::InlinedVector<RawMember, 8> raw = Members(json.view());
  std::vector<TextMember> members;
  std::vector<base::SecretBytes> scratch(2 * raw.size());
  for (std::size_t i = 0; i < raw.size(); ++i) {
    members.push_back({StringText(raw[i].name, scratch[2 * i]).value_or(""),
                       StringText(raw[i].value, scratch[2 * i + 1])});
  }
  return FromMembers(set, position, members, std::move(json));
}

absl::StatusOr<Jwk> Jwk::FromMembers(Set set, std::size_t position,
                                     std::span<const TextMember> members, base::SecretBytes json) {
  Reader reader(set, position, members);
  ASSIGN_OR_RETURN(const std::string_view kid, reader.String("kid", kKidRule));
  if (!IsValidKid(kid)) return reader.Refuse(Cat("kid must be ", kKidRule));
  reader.set_kid(kid);

  RETURN_IF_ERROR(reader.Require("kty", R"("oct")"));
  if (set == Set::kKeys || reader.Has("use")) RETURN_IF_ERROR(reader.Require("use", R"("enc")"));
  RETURN_IF_ERROR(reader.Require("alg", R"("A256GCM")"));

  constexpr std::string_view kExpectedK = "32 bytes in base64url without padding";
  ASSIGN_OR_RETURN(const std::string_view k, reader.String("k", kExpectedK));
  absl::StatusOr<base::SecretBytes> key = base::Base64UrlDecode(k);
  if (!key.ok()) {
    return reader.Refuse(Cat("k is not base64url as RFC 7515 has it: expected ", kExpectedK,
                             ", of the characters A-Z a-z 0-9 - _ only"));
  }
  if (key->size() != kKeySize) {
    return reader.Refuse(Cat("k is ", key->size(), " bytes long: expected ", kExpectedK));
  }
  std::string owned_kid(kid);
  return Jwk(
      std::make_shared<const Parts>(Parts{std::move(owned_kid), *std::move(key), std::move(json)}));
}

Jwk Jwk::Make(std::string_view kid, const base::SecretBytes& k) {
  base::SecretBytes json;
  json.Reserve(256);
  json.Append(R"({"kty":"oct","use":"enc","kid":")");
  json.Append(kid);
  json.Append(R"(","k":")");
  json.Append(base::Base64UrlEncode(k.view()).view());
  json.Append(R"(","alg":"A256GCM"})");
  return Jwk(std::make_shared<const Parts>(Parts{std::string(kid), k.Clone(), std::move(json)}));
}

}  // namespace mek
