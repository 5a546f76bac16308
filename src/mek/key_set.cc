#include "mek/key_set.h"

#include <algorithm>
#include <cstddef>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "base/base64.h"
#include "base/status_macros.h"
#include "base/text.h"
#include "mek/json_span.h"
#include "mek/kid.h"

namespace mek {
namespace {

using base::Cat;

constexpr std::string_view kKeysMember = "keys";
constexpr std::string_view kExpected = R"(expected base64 of {"keys":[…]} with at least one JWK)";

absl::Status Refuse(Set set, std::string_view why) {
  return absl::InvalidArgumentError(Cat(SetName(set), " ", why));
}

}  // namespace

// Puts a set together from its elements, from first to last.
class KeySet::Builder {
 public:
  Builder(Set set, std::string_view text) : text_(text), result_(set) {}

  // Of `at`, within the text, the JWK. INVALID_ARGUMENT if its kid was there already.
  absl::Status Add(std::string_view at, Jwk jwk) {
    const auto start = static_cast<std::size_t>(at.data() - text_.data());
    const std::string_view between = text_.substr(end_, start - end_);
    if (result_.keys_.empty()) {
      result_.prefix_ = base::SecretBytes(between);
      result_.gaps_.emplace_back();
    } else {
      result_.gaps_.emplace_back(between);
    }
    end_ = start + at.size();
    // The keys hold what is in kids_.
    if (!kids_.insert(jwk.kid()).second) {
      return absl::InvalidArgumentError(
          Cat(SetName(result_.set_), "[", result_.keys_.size(), "] (kid ", ShownKid(jwk.kid()),
              "): the same kid stands twice in the set: every kid must be unique, remove "
              "the one that is not in use"));
    }
    result_.keys_.push_back(std::move(jwk));
    return absl::OkStatus();
  }

  std::size_t size() const { return result_.keys_.size(); }

  KeySet Build() && {
    result_.suffix_ = base::SecretBytes(text_.substr(end_));
    return std::move(result_);
  }

 private:
  std::string_view text_;
  KeySet result_;
  std::size_t end_ = 0;  // of the last element
  absl::flat_hash_set<absl::string_view> kids_;
};

std::optional<KeySet> KeySet::ParsePlain(Set set, std::string_view text) {
  Builder builder(set, text);
  PlainObjects objects(text, kKeysMember);
  while (objects.Next()) {
    absl::StatusOr<Jwk> jwk = Jwk::FromMembers(set, builder.size(), objects.members(),
                                               base::SecretBytes(objects.element()));
    if (!jwk.ok() || !builder.Add(objects.element(), *std::move(jwk)).ok()) return std::nullopt;
  }
  if (!objects.complete()) return std::nullopt;
  return std::move(builder).Build();
}

absl::StatusOr<KeySet> KeySet::ParseAny(Set set, std::string_view text) {
  if (const absl::Status checked = base::CheckJson(text); !checked.ok()) {
    return Refuse(set, Cat("does not decode to JSON that readers can rely on: ", checked.message(),
                           "; ", kExpected));
  }
  const std::string_view array = FindMember(text, kKeysMember).value_or("");
  if (!array.starts_with('[')) {
    return Refuse(set, Cat("decodes to no JSON object with an array \"keys\": ", kExpected));
  }
  const std::vector<std::string_view> elements = ArrayElements(array);
  if (elements.empty()) return Refuse(set, Cat("holds no key: ", kExpected));
  Builder builder(set, text);
  for (const std::string_view element : elements) {
    ASSIGN_OR_RETURN(Jwk jwk, Jwk::FromChecked(set, builder.size(), base::SecretBytes(element)));
    RETURN_IF_ERROR(builder.Add(element, std::move(jwk)));
  }
  return std::move(builder).Build();
}

absl::StatusOr<KeySet> KeySet::Parse(Set set, std::string_view base64_field) {
  if (base64_field.empty()) return Refuse(set, Cat("is empty: ", kExpected));
  const absl::StatusOr<base::SecretBytes> decoded = base::Base64Decode(base64_field);
  if (!decoded.ok()) {
    return Refuse(
        set,
        "is not base64: expected the standard alphabet, padded, on one line (as base64 -w0 "
        "prints it)");
  }
  if (std::optional<KeySet> plain = ParsePlain(set, decoded->view())) return *std::move(plain);
  return ParseAny(set, decoded->view());
}

KeySet KeySet::Make(Set set, Jwk only) {
  KeySet result(set);
  result.prefix_ = base::SecretBytes(R"({"keys":[)");
  result.keys_.push_back(std::move(only));
  result.gaps_.emplace_back();
  result.suffix_ = base::SecretBytes("]}");
  return result;
}

base::SecretBytes KeySet::json() const {
  std::size_t size = prefix_.size() + suffix_.size();
  for (std::size_t i = 0; i < keys_.size(); ++i) size += gaps_[i].size() + keys_[i].json().size();
  base::SecretBytes out;
  out.Reserve(size);
  out.Append(prefix_.view());
  for (std::size_t i = 0; i < keys_.size(); ++i) {
    out.Append(gaps_[i]);
    out.Append(keys_[i].json());
  }
  out.Append(suffix_.view());
  return out;
}

base::SecretBytes KeySet::Encode() const { return base::Base64Encode(json().view()); }

const Jwk* KeySet::Find(std::string_view kid) const {
  const auto at =
      std::ranges::find(keys_, kid, [](const Jwk& jwk) { return std::string_view(jwk.kid()); });
  return at == keys_.end() ? nullptr : &*at;
}

const Jwk* KeySet::Lookup::Find(std::string_view kid) {
  const std::vector<Jwk>& keys = set_.keys();
  const auto found = [&](std::size_t i) {
    next_ = i + 1;
    return &keys[i];
  };
  // A key or two that only this set has are passed over.
  constexpr std::size_t kAhead = 3;
  for (std::size_t i = next_; i < std::min(next_ + kAhead, keys.size()); ++i) {
    if (keys[i].kid() == kid) return found(i);
  }
  // One key that this set lacks, or has elsewhere, is what tells most versions apart.
  constexpr int kScans = 2;
  if (scans_ < kScans) {
    ++scans_;
    const Jwk* there = set_.Find(kid);
    return there == nullptr ? nullptr : found(static_cast<std::size_t>(there - keys.data()));
  }
  if (places_.empty()) {
    places_.reserve(keys.size());
    for (std::size_t i = 0; i < keys.size(); ++i) places_.emplace(keys[i].kid(), i);
  }
  const auto at = places_.find(kid);
  return at == places_.end() ? nullptr : found(at->second);
}

std::vector<std::string> KeySet::Kids() const {
  std::vector<std::string> kids;
  kids.reserve(keys_.size());
  for (const Jwk& jwk : keys_) kids.push_back(jwk.kid());
  return kids;
}

std::string KeySet::NewGap() const {
  if (gaps_.size() > 1) return gaps_[1];
  // A single element: a further one goes on a line of its own if this one does.
  const std::string_view prefix = prefix_.view();
  return Cat(",", prefix.substr(prefix.find_last_not_of(" \t\n\r") + 1));
}

void KeySet::Prepend(Jwk jwk) {
  gaps_.front() = NewGap();
  gaps_.insert(gaps_.begin(), std::string());
  keys_.insert(keys_.begin(), std::move(jwk));
}

void KeySet::Append(Jwk jwk) {
  gaps_.push_back(NewGap());
  keys_.push_back(std::move(jwk));
}

void KeySet::Replace(Jwk jwk) {
  const auto at = std::ranges::find(keys_, jwk.kid(), &Jwk::kid);
  if (at != keys_.end()) *at = std::move(jwk);
}

void KeySet::MoveToFront(std::string_view kid) {
  const Jwk* found = Find(kid);
  if (found == nullptr) return;
  // The gaps stay where they are: each still stands between two elements.
  const auto at = keys_.begin() + (found - keys_.data());
  std::rotate(keys_.begin(), at, at + 1);
}

void KeySet::Remove(std::string_view kid) {
  const Jwk* found = Find(kid);
  if (found == nullptr) return;
  const std::ptrdiff_t index = found - keys_.data();
  keys_.erase(keys_.begin() + index);
  gaps_.erase(gaps_.begin() + index);
  if (index == 0 && !gaps_.empty()) gaps_.front().clear();
}

bool KeySet::HasTextOf(const KeySet& other) const {
  return prefix_ == other.prefix_ && suffix_ == other.suffix_ && gaps_ == other.gaps_ &&
         std::ranges::equal(keys_, other.keys_, [](const Jwk& one, const Jwk& two) {
           return one.Shares(two) || one.json() == two.json();
         });
}

bool KeySet::HasKidsOf(const KeySet& other) const {
  return std::ranges::equal(keys_, other.keys_, {}, &Jwk::kid, &Jwk::kid);
}

KeySet KeySet::CloneAsPrivate() const {
  KeySet copy = Clone();
  copy.set_ = Set::kPrivateJwks;
  return copy;
}

KeySet KeySet::Clone() const {
  KeySet copy(set_);
  copy.prefix_ = prefix_.Clone();
  copy.keys_.reserve(keys_.size());
  for (const Jwk& jwk : keys_) copy.keys_.push_back(jwk.Clone());
  copy.gaps_ = gaps_;
  copy.suffix_ = suffix_.Clone();
  return copy;
}

}  // namespace mek
