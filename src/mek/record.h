#ifndef MEK_RECORD_H_
#define MEK_RECORD_H_

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/json.h"
#include "base/secret.h"
#include "mek/jwk.h"
#include "mek/key_set.h"

namespace mek {

// The names of the four required fields beside the two of SetName.
inline constexpr std::string_view kCurrentKid = "current_kid";
inline constexpr std::string_view kJweMapping = "jwe_mapping";
inline constexpr std::string_view kPayloadJweKid = "payload_jwe_kid";

// How far ahead of our clock a kid's time may be before we speak of it: clocks differ, and each of
// a burst of rotations takes its kid 1 ms later.
inline constexpr absl::Duration kClockTolerance = absl::Minutes(5);

// A valid Master Encryption Key record: both key sets, both selectors, and every other field with
// its value and place. Whatever the way it was made, current_kid is the first key of keys, is
// jwe_mapping.payload_jwe_kid, and is in private_jwks. Immutable: an operation makes another one
// (rotation.h). Move-only; owns all. Thread-safe as any const object.
class Record {
 public:
  // `fields`: a JSON object with the four strings and any other fields. INVALID_ARGUMENT with the
  // first rule that it breaks; the message says what to do, and no value but valid kids.
  static absl::StatusOr<Record> Parse(const base::Json& fields);
  // The same from the text of such an object, which base::CheckJson accepted. As far as the four
  // fields go it builds no JSON values, so it is the fast way to read a stored record.
  static absl::StatusOr<Record> ParseText(std::string_view json);
  // A record of one key in each set. INVALID_ARGUMENT if the two kids differ.
  static absl::StatusOr<Record> Make(Jwk key, Jwk private_key);

  // This record with other sets and selectors; the other fields, and the rest of jwe_mapping byte
  // for byte, are kept. INVALID_ARGUMENT as Parse.
  absl::StatusOr<Record> With(KeySet keys, KeySet private_jwks, std::string_view current_kid) const;

  base::Json ToJson() const;
  // The compact text of ToJson().
  absl::StatusOr<base::SecretBytes> ToText() const;

  const KeySet& set(Set set) const { return set == Set::kKeys ? keys_ : private_jwks_; }
  const std::string& current_kid() const { return current_kid_; }
  std::vector<std::string> Kids(Set set) const { return this->set(set).Kids(); }
  // Whether either set has a key of that kid, and whether both have.
  bool HasKid(std::string_view kid) const;
  bool HasKidInBothSets(std::string_view kid) const;
  // The text of the field jwe_mapping.
  std::string_view jwe_mapping() const { return jwe_mapping_.view(); }
  // True if both sets hold the same (kid, k) pairs, in whatever order.
  bool mirrored() const;
  // The latest time in any kid of either set that is a UUIDv1.
  std::optional<absl::Time> LatestKidTime() const;
  // Whether either set has this key material under any kid. In constant time for each key.
  bool HasKey(const base::SecretBytes& key) const;
  // What is valid here but hurts a reader, for an operator: what, and what to do. No values.
  std::vector<std::string> Warnings(absl::Time now) const;

  Record Clone() const;

 private:
  struct Source;

  static absl::StatusOr<Record> FromSource(const Source& source, base::Json others);
  Record(base::Json fields, KeySet keys, KeySet private_jwks, std::string current_kid,
         base::SecretBytes jwe_mapping);
  absl::Status CheckInvariants() const;

  base::Json fields_;  // in their order; null in the places of the four, which are held below
  KeySet keys_;
  KeySet private_jwks_;
  std::string current_kid_;
  base::SecretBytes jwe_mapping_;
};

}  // namespace mek

#endif  // MEK_RECORD_H_
