// What stands in storage: version documents, archive entries, the configuration. The first byte
// says which, the rest is the document's text. Taken once as it is, and once with the checksum that
// it should have, so that what lies behind the checksum is reached.
#include <openssl/sha.h>

#include <algorithm>
#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "absl/strings/escaping.h"
#include "base/secret.h"
#include "base/text.h"
#include "engine/config.h"
#include "fuzz/fuzz.h"
#include "mek/archive.h"
#include "mek/version_doc.h"
#include "nlohmann/json.hpp"
#include "sdk/logical/storage.h"

namespace {

using Plain = nlohmann::ordered_json;

constexpr std::string_view kTail = R"(,"sha256":")";

// The text up to its checksum, or but for its closing brace, with the right checksum.
std::string Sealed(std::string_view text) {
  const std::size_t tail = text.rfind(kTail);
  std::string sealed(text.substr(0, tail != std::string_view::npos ? tail : text.rfind('}')));
  std::array<unsigned char, SHA256_DIGEST_LENGTH> digest{};
  SHA256(reinterpret_cast<const unsigned char*>(sealed.data()), sealed.size(), digest.data());
  const std::string hex = absl::BytesToHexString(
      absl::string_view(reinterpret_cast<const char*>(digest.data()), digest.size()));
  return sealed + std::string(kTail) + hex + "\"}";
}

// Storage of one entry.
class Entry final : public openbao::Storage {
 public:
  explicit Entry(std::string_view value) : value_(value) {}
  std::string_view value() const { return value_; }

  absl::StatusOr<std::optional<base::SecretBytes>> Get(std::string_view) override {
    return base::SecretBytes(std::string_view(value_));
  }
  absl::Status Put(std::string_view, const base::SecretBytes& value) override {
    value_ = std::string(value.view());
    return absl::OkStatus();
  }
  absl::Status Delete(std::string_view) override { return absl::UnimplementedError(""); }
  absl::StatusOr<std::vector<std::string>> List(std::string_view) override {
    return absl::UnimplementedError("");
  }
  absl::StatusOr<std::vector<std::string>> ListPage(std::string_view, std::string_view,
                                                    int) override {
    return absl::UnimplementedError("");
  }

 private:
  std::string value_;
};

// Each takes a document's text and returns what is written if it is read, or why it isn't.
absl::StatusOr<std::string> RewriteVersion(std::string_view text) {
  const absl::StatusOr<mek::VersionDoc> doc = mek::VersionDoc::Parse("version 7", text);
  if (!doc.ok()) return doc.status();
  REQUIRE(!doc->operation.empty() && doc->requests.size() <= mek::kMaxRequestStamps);
  if (doc->staged_kid.has_value()) {
    REQUIRE(*doc->staged_kid != doc->record.current_kid());
    for (const mek::Set set : mek::kSets) {
      REQUIRE(doc->record.set(set).Find(*doc->staged_kid) != nullptr);
    }
  }
  for (const mek::RequestStamp& stamp : doc->requests.All()) {
    REQUIRE(doc->requests.VersionOf(stamp.id).has_value());
  }
  const absl::StatusOr<base::SecretBytes> written = doc->Serialize();
  REQUIRE(written.ok());
  return std::string(written->view());
}

absl::StatusOr<std::string> RewriteArchive(std::string_view text) {
  const Plain plain = Plain::parse(text, nullptr, /*allow_exceptions=*/false);
  std::string kid = "none";
  if (plain.is_object() && plain.contains("kid") && plain["kid"].is_string()) {
    kid = plain["kid"].get<std::string>();
  }
  const absl::StatusOr<mek::ArchiveEntry> entry = mek::ArchiveEntry::Parse(kid, text);
  if (!entry.ok()) return entry.status();
  REQUIRE(entry->kid() == kid && entry->keys().size() <= mek::kSets.size());
  for (const mek::ArchivedKey& key : entry->keys()) {
    REQUIRE(key.key.jwk.kid() == kid && entry->Find(key.key.set) == &key);
  }
  REQUIRE(!mek::ArchiveEntry::Parse(kid + "x", text).ok());
  const absl::StatusOr<base::SecretBytes> written = entry->Serialize();
  REQUIRE(written.ok());
  return std::string(written->view());
}

absl::StatusOr<std::string> RewriteConfig(std::string_view text) {
  Entry storage(text);
  engine::ConfigStore store;
  const absl::StatusOr<engine::Config> config = store.Get(storage);
  if (!config.ok()) return config.status();
  REQUIRE(config->grace_period >= absl::ZeroDuration());
  REQUIRE(store.Put(storage, *config).ok());
  return std::string(storage.value());
}

using Rewrite = absl::StatusOr<std::string> (*)(std::string_view);
constexpr std::array<Rewrite, 3> kRewrites{RewriteVersion, RewriteArchive, RewriteConfig};

void Fuzz(Rewrite rewrite, const std::string& text) {
  const absl::StatusOr<std::string> written = rewrite(text);
  if (!written.ok()) {
    REQUIRE(written.status().code() == absl::StatusCode::kDataLoss ||
            written.status().code() == absl::StatusCode::kFailedPrecondition);
    return;
  }
  // What is read can be written; and what is written, read again, writes the same.
  const absl::StatusOr<std::string> again = rewrite(*written);
  REQUIRE(again.ok() && *again == *written);

  // Cut short or altered, at a place that the text itself chooses, it is not used.
  const std::size_t place = std::hash<std::string>()(text) % written->size();
  REQUIRE(!rewrite(written->substr(0, place)).ok());
  std::string altered = *written;
  altered[place] = static_cast<char>(altered[place] ^ 1);
  REQUIRE(rewrite(altered).status().code() == absl::StatusCode::kDataLoss);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Input input(fuzz::Text(data, size));
  const Rewrite rewrite = kRewrites.at(input.Byte() % kRewrites.size());
  const std::string_view text = input.Rest();
  Fuzz(rewrite, std::string(text));
  if (text.find('}') != std::string_view::npos) Fuzz(rewrite, Sealed(text));
  return 0;
}
