#ifndef MEK_JWK_H_
#define MEK_JWK_H_

#include <array>
#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/statusor.h"
#include "base/secret.h"
#include "mek/json_span.h"

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
  // The same for text that base::CheckJson accepted, alone or as a part of its set.
  static absl::StatusOr<Jwk> FromChecked(Set set, std::size_t position, base::SecretBytes json);
  // The same of members that are decoded already; `json` is the text they stand in.
  static absl::StatusOr<Jwk> FromMembers(Set set, std::size_t position,
                                         std::span<const TextMember> members,
                                         base::SecretBytes json);
  // A JWK as the bootstrap writes it. Precondition: IsValidKid(kid), k of kKeySize bytes.
  static Jwk Make(std::string_view kid, const base::SecretBytes& k);

  Jwk(Jwk&&) = default;
  Jwk& operator=(Jwk&&) = default;
  Jwk(const Jwk&) = delete;
  Jwk& operator=(const Jwk&) = delete;
  ~Jwk() = default;

  const std::string& kid() const { return parts_->kid; }
  const base::SecretBytes& key() const { return parts_->key; }
  // Whether both have the same key material, whatever their kids. In constant time.
  bool HasKeyOf(const Jwk& other) const {
    return Shares(other) || parts_->key == other.parts_->key;
  }
  std::string_view json() const { return parts_->json.view(); }
  // Whether one was cloned from the other: a quick way to know that they are equal.
  bool Shares(const Jwk& other) const { return parts_ == other.parts_; }
  Jwk Clone() const { return Jwk(parts_); }

 private:
  struct Parts {
    std::string kid;
    base::SecretBytes key;
    base::SecretBytes json;
  };
  explicit Jwk(std::shared_ptr<const Parts> parts) : parts_(std::move(parts)) {}

  std::shared_ptr<const Parts> parts_;
};

}  // namespace mek

#endif  // MEK_JWK_H_
