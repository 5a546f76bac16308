#ifndef MEK_KEY_SET_H_
#define MEK_KEY_SET_H_

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "absl/status/statusor.h"
#include "base/secret.h"
#include "mek/jwk.h"

namespace mek {

// One of a record's two key sets: an ordered, never empty list of JWKs with distinct kids, and the
// JSON text around them. Untouched, it encodes to the very field it was parsed from; an edit adds
// or takes away whole elements and keeps every other byte. Move-only. Thread-safe as any const
// object.
class KeySet {
 public:
  // INVALID_ARGUMENT unless `base64_field` is strict base64 (standard alphabet, padded) of a JSON
  // object whose member "keys" is an array of at least one JWK, no kid twice.
  static absl::StatusOr<KeySet> Parse(Set set, std::string_view base64_field);
  // {"keys":[jwk]}
  static KeySet Make(Set set, Jwk only);

  // The field's value: base64 of json().
  base::SecretBytes Encode() const;
  base::SecretBytes json() const;

  Set set() const { return set_; }
  const std::vector<Jwk>& keys() const { return keys_; }
  // Valid until the set is changed. nullptr if there is no such kid.
  const Jwk* Find(std::string_view kid) const;
  class Lookup;
  // Whether json() is the same. Not in constant time: for sets of one record, whose owner knows
  // both.
  bool HasTextOf(const KeySet& other) const;
  // Whether the other holds the same kids in the same order.
  bool HasKidsOf(const KeySet& other) const;
  std::vector<std::string> Kids() const;

  // Precondition of both: no key here has that kid.
  void Prepend(Jwk jwk);
  void Append(Jwk jwk);
  // In the place of the key of the same kid. Nothing happens if there is no such kid.
  void Replace(Jwk jwk);
  // Nothing happens if there is no such kid. Precondition of Remove: it is not the only key.
  void MoveToFront(std::string_view kid);
  void Remove(std::string_view kid);

  KeySet Clone() const;
  // The same keys and text as private_jwks, of which less is asked than of keys.
  KeySet CloneAsPrivate() const;

 private:
  class Builder;

  explicit KeySet(Set set) : set_(set) {}
  // From the decoded field. The one that takes any set, and says what is wrong with it.
  static absl::StatusOr<KeySet> ParseAny(Set set, std::string_view text);
  // The same several times as fast, for good sets that are plain (PlainObjects); else nullopt.
  static std::optional<KeySet> ParsePlain(Set set, std::string_view text);
  // What stands between two elements where the text shows no example to follow.
  std::string NewGap() const;

  Set set_;
  base::SecretBytes prefix_;  // up to the first element
  std::vector<Jwk> keys_;
  std::vector<std::string>
      gaps_;                  // gaps_[i]: comma and whitespace before keys_[i]; gaps_[0] is empty
  base::SecretBytes suffix_;  // from the end of the last element
};

// Finds many keys of a set, one after the other: at once where they are asked for in about the
// set's own order, as two sets or versions of a record mostly have the same; the first of the
// others by looking at each key, and from then on by an index. The set must outlive it, unchanged.
// Not thread-safe.
class KeySet::Lookup {
 public:
  explicit Lookup(const KeySet& set) : set_(set) {}

  // nullptr if there is no such kid.
  const Jwk* Find(std::string_view kid);
  bool Contains(std::string_view kid) { return Find(kid) != nullptr; }

 private:
  const KeySet& set_;
  std::size_t next_ = 0;  // after the last one that was found
  int scans_ = 0;         // searches without the index
  std::unordered_map<std::string_view, std::size_t> places_;
};

}  // namespace mek

#endif  // MEK_KEY_SET_H_
