#include "mek/jwk.h"

#include <optional>
#include <utility>

#include "absl/status/status.h"
#include "base/base64.h"
#include "base/json.h"
#include "base/status_macros.h"
#include "base/text.h"
#include "mek/json_span.h"
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
  Reader(Set set, std::size_t position, std::string_view json)
      : set_(set), position_(position), members_(Members(json)) {}

  // `kid` outlives this object.
  void set_kid(std::string_view kid) { kid_ = kid; }

  absl::Status Refuse(std::string_view why) const {
    return absl::InvalidArgumentError(
        Cat(Place(set_, position_),
            kid_.empty() ? std::string() : Cat(" (kid ", ShownKid(kid_), ")"), ": ", why));
  }

  std::optional<std::string_view> Find(std::string_view name) const {
    for (const RawMember& member : members_) {
      if (IsNamed(member, name)) return member.value;
    }
    return std::nullopt;
  }

  // Valid as long as both the JWK's text and `scratch` are.
  absl::StatusOr<std::string_view> String(std::string_view name, std::string_view expected,
                                          base::SecretBytes& scratch) const {
    const std::optional<std::string_view> raw = Find(name);
    if (!raw.has_value()) return Refuse(Cat(name, " is missing: expected ", expected));
    const std::optional<std::string_view> text = StringText(*raw, scratch);
    if (!text.has_value()) return Refuse(Cat(name, " is not a string: expected ", expected));
    return *text;
  }

  // `wanted` in quotes.
  absl::Status Require(std::string_view name, std::string_view wanted) const {
    base::SecretBytes scratch;
    ASSIGN_OR_RETURN(const std::string_view found, String(name, wanted, scratch));
    if (found == wanted.substr(1, wanted.size() - 2)) return absl::OkStatus();
    return Refuse(Cat(name, " must be ", wanted));
  }

 private:
  Set set_;
  std::size_t position_;
  std::string_view kid_;
  absl::InlinedVector<RawMember, 8> members_;
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
  Reader reader(set, position, json.view());
  if (!json.view().starts_with('{')) return reader.Refuse("not a JSON object: expected a JWK");

  base::SecretBytes kid_scratch;
  ASSIGN_OR_RETURN(const std::string_view kid, reader.String("kid", kKidRule, kid_scratch));
  if (!IsValidKid(kid)) return reader.Refuse(Cat("kid must be ", kKidRule));
  reader.set_kid(kid);

  RETURN_IF_ERROR(reader.Require("kty", R"("oct")"));
  if (set == Set::kKeys || reader.Find("use").has_value()) {
    RETURN_IF_ERROR(reader.Require("use", R"("enc")"));
  }
  RETURN_IF_ERROR(reader.Require("alg", R"("A256GCM")"));

  constexpr std::string_view kExpectedK = "32 bytes in base64url without padding";
  base::SecretBytes k_scratch;
  ASSIGN_OR_RETURN(const std::string_view k, reader.String("k", kExpectedK, k_scratch));
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
