#include "mek/jwk.h"

#include <utility>

#include "absl/status/status.h"
#include "base/base64.h"
#include "base/status_macros.h"
#include "mek/json_span.h"
#include "mek/kid.h"
#include "mek/text.h"

namespace mek {
namespace {

// A JWK stands two levels down in its set: {"keys":[jwk]}.
constexpr int kMaxDepth = base::kMaxJsonDepth - 2;

// Speaks of one JWK by its place, and by its kid once that is known to be valid.
class Refusal {
 public:
  Refusal(Set set, std::size_t position) : subject_(Cat(SetName(set), "[", position, "]")) {}

  void set_kid(std::string_view kid) { subject_ += Cat(" (kid ", kid, ")"); }
  absl::Status operator()(std::string_view why) const {
    return absl::InvalidArgumentError(Cat(subject_, ": ", why));
  }

 private:
  std::string subject_;
};

absl::StatusOr<std::string_view> RequiredString(const Refusal& refuse, const base::Json& jwk,
                                                std::string_view member,
                                                std::string_view expected) {
  if (!jwk.contains(base::JsonString(member))) {
    return refuse(Cat(member, " is missing: expected ", expected));
  }
  const base::JsonString* text = base::FindString(jwk, member);
  if (text == nullptr) {
    return refuse(Cat(member, " is not a string: expected ", expected));
  }
  return *text;
}

absl::Status RequireText(const Refusal& refuse, const base::Json& jwk, std::string_view member,
                         std::string_view wanted) {
  const std::string expected = Cat("\"", wanted, "\"");
  ASSIGN_OR_RETURN(const std::string_view found, RequiredString(refuse, jwk, member, expected));
  if (found != wanted) return refuse(Cat(member, " must be ", expected));
  return absl::OkStatus();
}

}  // namespace

std::string_view SetName(Set set) { return set == Set::kKeys ? "keys" : "private_jwks"; }

absl::StatusOr<Jwk> Jwk::Parse(Set set, std::size_t position, base::SecretBytes json) {
  absl::StatusOr<base::Json> value = ParseStrictJson(json.view());
  if (!value.ok()) return Refusal(set, position)(Cat(value.status().message()));
  return FromParsed(set, position, *value, std::move(json));
}

absl::StatusOr<Jwk> Jwk::FromParsed(Set set, std::size_t position, const base::Json& value,
                                    base::SecretBytes json) {
  Refusal refuse(set, position);
  if (!value.is_object()) return refuse("not a JSON object: expected a JWK");
  if (!FitsNested(value, kMaxDepth)) {
    return refuse(Cat("nested deeper than ", kMaxDepth, " levels"));
  }

  const std::string kid_expected = Cat("a string of ", kKidRule);
  ASSIGN_OR_RETURN(const std::string_view kid, RequiredString(refuse, value, "kid", kid_expected));
  if (!IsValidKid(kid)) return refuse(Cat("kid must be ", kid_expected));
  refuse.set_kid(kid);

  RETURN_IF_ERROR(RequireText(refuse, value, "kty", "oct"));
  if (set == Set::kKeys || value.contains("use")) {
    RETURN_IF_ERROR(RequireText(refuse, value, "use", "enc"));
  }
  RETURN_IF_ERROR(RequireText(refuse, value, "alg", "A256GCM"));

  constexpr std::string_view kExpectedK = "32 bytes in base64url without padding";
  ASSIGN_OR_RETURN(const std::string_view k, RequiredString(refuse, value, "k", kExpectedK));
  absl::StatusOr<base::SecretBytes> key = base::Base64UrlDecode(k);
  if (!key.ok()) {
    return refuse(Cat("k is not base64url as RFC 7515 has it: expected ", kExpectedK,
                      ", of the characters A-Z a-z 0-9 - _ only"));
  }
  if (key->size() != kKeySize) {
    return refuse(Cat("k is ", key->size(), " bytes long: expected ", kExpectedK));
  }
  return Jwk(std::string(kid), *std::move(key), std::move(json));
}

Jwk Jwk::Make(std::string_view kid, const base::SecretBytes& k) {
  base::SecretBytes json;
  json.Reserve(256);
  json.Append(R"({"kty":"oct","use":"enc","kid":")");
  json.Append(kid);
  json.Append(R"(","k":")");
  json.Append(base::Base64UrlEncode(k.view()).view());
  json.Append(R"(","alg":"A256GCM"})");
  return Jwk(std::string(kid), k.Clone(), std::move(json));
}

}  // namespace mek
