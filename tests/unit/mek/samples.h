// Records, keys and random sources for the tests of the domain layer.
#ifndef TESTS_UNIT_MEK_SAMPLES_H_
#define TESTS_UNIT_MEK_SAMPLES_H_

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <initializer_list>
#include <iterator>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "base/base64.h"
#include "base/json.h"
#include "base/random.h"
#include "base/text.h"
#include "mek/jwk.h"
#include "mek/record.h"
#include "mek/rotation.h"

namespace mek {

using base::Cat;

// Three UUIDv1 kids, newest last, and times around them.
inline constexpr std::string_view kOldKid = "6aa44e80-fb25-11f0-9d6a-c3cd380208a9";
inline constexpr std::string_view kMidKid = "53d1ce80-41de-11f1-b0e0-39c08712b8bc";
inline constexpr std::string_view kNewKid = "3cff4e80-8897-11f1-9bb2-63cad5f4b3b2";
inline const absl::Time kNow =
    absl::FromCivil(absl::CivilSecond(2026, 9, 1, 12), absl::UTCTimeZone());

// Distinct bytes that depend on `seed`.
inline base::SecretBytes K(int seed) {
  base::SecretBytes k(kKeySize);
  for (std::size_t i = 0; i < k.size(); ++i) {
    k.mutable_span()[i] = static_cast<std::uint8_t>(static_cast<std::size_t>(seed) * 7 + i * 13 +
                                                    static_cast<std::size_t>(seed / 256) * i);
  }
  return k;
}

inline Jwk MakeJwk(std::string_view kid, int seed) { return Jwk::Make(kid, K(seed)); }
inline NewKey MakeNewKey(std::string_view kid, int keys_seed, int private_seed) {
  return NewKey{std::string(kid), K(keys_seed), K(private_seed)};
}

using KidAndSeed = std::pair<std::string_view, int>;

inline std::string Jwks(std::initializer_list<KidAndSeed> keys) {
  std::string text = R"({"keys":[)";
  for (const auto& [kid, seed] : keys) {
    text += Cat(text.ends_with('[') ? "" : ",", MakeJwk(kid, seed).json());
  }
  return text + "]}";
}

inline std::string Base64(std::string_view text) {
  return std::string(base::Base64Encode(text).view());
}

inline std::string Mapping(std::string_view kid) {
  return Cat(R"({"payload_jwe_kid":")", kid, "\"}");
}

inline base::Json Fields(std::string_view keys, std::string_view private_jwks, std::string_view kid,
                         std::string_view mapping) {
  base::Json fields = base::Json::object();
  fields["keys"] = base::JsonText(Base64(keys));
  fields["current_kid"] = base::JsonText(kid);
  fields["jwe_mapping"] = base::JsonText(mapping);
  fields["private_jwks"] = base::JsonText(Base64(private_jwks));
  return fields;
}

// The first of `keys` is current. Aborts the test binary if it isn't valid.
inline Record MakeRecord(std::initializer_list<KidAndSeed> keys,
                         std::initializer_list<KidAndSeed> private_jwks) {
  const std::string_view kid = keys.begin()->first;
  return Record::Parse(Fields(Jwks(keys), Jwks(private_jwks), kid, Mapping(kid))).value();
}

// kMidKid current, kOldKid before it; independent sets.
inline Record TwoKeys() {
  return MakeRecord({{kMidKid, 1}, {kOldKid, 2}}, {{kMidKid, 11}, {kOldKid, 12}});
}

struct RecordFile {
  std::string name;
  bool valid;
  base::Json data;
};

inline std::vector<RecordFile> RecordFiles() {
  std::vector<RecordFile> files;
  for (const auto& entry : std::filesystem::directory_iterator(RECORDS_DIR)) {
    std::ifstream stream(entry.path());
    const std::string text{std::istreambuf_iterator<char>(stream), {}};
    base::Json file = base::ParseJson(text).value();
    files.push_back({std::string(*base::FindString(file, "name")), file["valid"].get<bool>(),
                     std::move(file["data"])});
  }
  return files;
}

inline base::Json RecordData(std::string_view name) {
  for (RecordFile& file : RecordFiles()) {
    if (file.name == name) return std::move(file.data);
  }
  ADD_FAILURE() << "no record " << name;
  return nullptr;
}

inline std::string Dump(const base::Json& value) {
  return std::string(base::DumpJson(value).value().view());
}
inline std::string Dump(const Record& record) { return Dump(record.ToJson()); }

// What each Fill gives, in turn; the last one goes on for ever. An empty one fails.
class ScriptedRandom final : public base::Random {
 public:
  explicit ScriptedRandom(std::vector<std::string> script) : script_(std::move(script)) {}
  absl::Status Fill(std::span<std::uint8_t> out) override {
    const std::string& bytes = script_[std::min(calls_++, script_.size() - 1)];
    if (bytes.empty()) return absl::InternalError("the random source failed");
    for (std::size_t i = 0; i < out.size(); ++i) {
      out[i] = static_cast<std::uint8_t>(bytes[i % bytes.size()]);
    }
    return absl::OkStatus();
  }

 private:
  std::vector<std::string> script_;
  std::size_t calls_ = 0;
};

}  // namespace mek

#endif  // TESTS_UNIT_MEK_SAMPLES_H_
