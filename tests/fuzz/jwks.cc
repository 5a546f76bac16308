// A key set, and edits of it: the first byte says which set, then up to a byte 0xFF stands the JWKS
// (its JSON, not its base64), and each byte after that is an edit.
#include <algorithm>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/base64.h"
#include "base/json.h"
#include "base/text.h"
#include "fuzz/fuzz.h"
#include "mek/jwk.h"
#include "mek/key_set.h"
#include "mek/kid.h"
#include "nlohmann/json.hpp"

namespace {

using Plain = nlohmann::ordered_json;

mek::KeySet Reread(const mek::KeySet& set) {
  absl::StatusOr<mek::KeySet> again = mek::KeySet::Parse(set.set(), set.Encode().view());
  REQUIRE(again.ok());
  REQUIRE(again->Kids() == set.Kids());
  return *std::move(again);
}

std::string Text(const mek::KeySet& set) { return std::string(set.json().view()); }

// The edits against a plain document: `document`, whose member keys is as `set` has it.
void Edit(mek::KeySet set, Plain document, fuzz::Input edits) {
  for (int count = 0; !edits.empty() && count < 32; ++count) {
    const std::uint8_t edit = edits.Byte();
    Plain& keys = document["keys"];
    const std::size_t at = (edit >> 2) % keys.size();
    const std::string kid = keys[at]["kid"].get<std::string>();
    const std::string new_kid = base::Cat("new-", count);
    const bool is_new = set.Find(new_kid) == nullptr;
    const mek::Jwk jwk =
        mek::Jwk::Make(new_kid, base::SecretBytes(std::string(32, static_cast<char>(edit))));
    const auto place = keys.begin() + static_cast<std::ptrdiff_t>(at);
    if (edit % 4 == 0 && is_new) {
      set.Prepend(jwk.Clone());
      keys.insert(keys.begin(), Plain::parse(jwk.json()));
    } else if (edit % 4 == 1 && is_new) {
      set.Append(jwk.Clone());
      keys.push_back(Plain::parse(jwk.json()));
    } else if (edit % 4 == 2) {
      set.MoveToFront(kid);
      std::rotate(keys.begin(), place, place + 1);
    } else if (edit % 4 == 3 && keys.size() > 1) {
      set.Remove(kid);
      REQUIRE(set.Find(kid) == nullptr);
      keys.erase(place);
    }
    REQUIRE(Plain::parse(Text(set)) == document);
    Reread(set);
  }
}

// A key that comes and goes leaves every byte as it was.
void ComeAndGo(const mek::KeySet& set) {
  const std::string before = Text(set);
  const std::string kid = "comes-and-goes";
  if (set.Find(kid) != nullptr) return;
  const mek::Jwk jwk = mek::Jwk::Make(kid, base::SecretBytes(std::string(32, 'x')));

  mek::KeySet edited = set.Clone();
  edited.Append(jwk.Clone());
  REQUIRE(Reread(edited).keys().back().kid() == kid);
  edited.Remove(kid);
  REQUIRE(Text(edited) == before);

  edited.Prepend(jwk.Clone());
  REQUIRE(Reread(edited).keys().front().kid() == kid);
  edited.Remove(kid);
  REQUIRE(Text(edited) == before);

  edited.Prepend(jwk.Clone());
  edited.MoveToFront(set.keys().front().kid());
  edited.Remove(kid);
  REQUIRE(Text(edited) == before);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Input input(fuzz::Text(data, size));
  const mek::Set which = mek::kSets.at(input.Byte() % 2);
  const std::string_view text = input.Part();
  const std::string field = fuzz::Encode(text, fuzz::kBase64, /*padded=*/true);

  const absl::StatusOr<mek::KeySet> set = mek::KeySet::Parse(which, field);
  const Plain document = Plain::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!set.ok()) {
    REQUIRE(set.status().code() == absl::StatusCode::kInvalidArgument);
    REQUIRE(base::ToStd(set.status().message()).starts_with(mek::SetName(which)));
    return 0;
  }
  REQUIRE(document.is_object() && document.contains("keys") && document["keys"].is_array());
  REQUIRE(set->set() == which && set->Encode().view() == field && set->json().view() == text);
  REQUIRE(set->keys().size() == document["keys"].size() && !set->keys().empty());
  mek::KeySet::Lookup lookup(*set);
  for (std::size_t i = 0; i < set->keys().size(); ++i) {
    const mek::Jwk& jwk = set->keys()[i];
    const Plain& plain = document["keys"][i];
    std::string k;
    REQUIRE(mek::IsValidKid(jwk.kid()) && plain.at("kid") == jwk.kid());
    REQUIRE(fuzz::Decode(plain.at("k").get<std::string>(), fuzz::kBase64Url, /*padded=*/false, k));
    REQUIRE(k == jwk.key().view() && k.size() == mek::kKeySize);
    REQUIRE(plain.at("kty") == "oct" && plain.at("alg") == "A256GCM");
    REQUIRE(plain.contains("use") ? plain["use"] == "enc" : which == mek::Set::kPrivateJwks);
    REQUIRE(Plain::parse(jwk.json()) == plain);
    REQUIRE(set->Find(jwk.kid()) == &jwk && lookup.Find(jwk.kid()) == &jwk);
    const absl::StatusOr<mek::Jwk> alone = mek::Jwk::Parse(which, i, base::SecretBytes(jwk.json()));
    REQUIRE(alone.ok() && alone->kid() == jwk.kid() && alone->key() == jwk.key());
  }
  // The other way round, with kids between that aren't there.
  mek::KeySet::Lookup backwards(*set);
  for (std::size_t i = set->keys().size(); i-- > 0;) {
    const std::string& kid = set->keys()[i].kid();
    REQUIRE(backwards.Find(kid + "\n") == nullptr && backwards.Find(kid) == &set->keys()[i]);
  }
  ComeAndGo(*set);
  Edit(set->Clone(), document, input);
  return 0;
}
