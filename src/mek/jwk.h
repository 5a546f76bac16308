#ifndef MEK_JWK_H_
#define MEK_JWK_H_

#include <array>
#include <cstddef>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "base/json.h"
#include "base/secret.h"

namespace mek {

// The two key sets of a record: keys (the MEKs) and private_jwks (payload keys under the same
// kids).
enum class Set { kKeys, kPrivateJwks };
inline constexpr std::array kSets{Set::kKeys, Set::kPrivateJwks};
// "keys", "private_jwks".
std::string_view SetName(Set set);

inline constexpr std::size_t kKeySize = 32;

// One 256-bit AES-GCM key as a JWK (RFC 7517): its id, its material, and its text byte for byte,
// with whatever members it came with. Owns all three and wipes the latter two. Immutable;
// move-only, so a copy is spelled Clone().
class Jwk {
 public:
  // INVALID_ARGUMENT unless `json` is an object with a kid that IsValidKid, kty "oct", use "enc"
  // (may be absent in private_jwks), alg "A256GCM" and k, 32 bytes in canonical base64url without
  // padding. The message names the set, `position` (from 0), the kid if it is valid, and the rule;
  // no value.
  static absl::StatusOr<Jwk> Parse(Set set, std::size_t position, base::SecretBytes json);
  // The same for a value that was parsed already, `json` being its raw text.
  static absl::StatusOr<Jwk> FromParsed(Set set, std::size_t position, const base::Json& value,
                                        base::SecretBytes json);
  // A JWK as the bootstrap writes it. Precondition: IsValidKid(kid), k of kKeySize bytes.
  static Jwk Make(std::string_view kid, const base::SecretBytes& k);

  const std::string& kid() const { return kid_; }
  const base::SecretBytes& key() const { return key_; }
  std::string_view json() const { return json_.view(); }
  Jwk Clone() const { return Jwk(kid_, key_.Clone(), json_.Clone()); }

 private:
  Jwk(std::string kid, base::SecretBytes key, base::SecretBytes json)
      : kid_(std::move(kid)), key_(std::move(key)), json_(std::move(json)) {}

  std::string kid_;
  base::SecretBytes key_;
  base::SecretBytes json_;
};

}  // namespace mek

#endif  // MEK_JWK_H_
