#include "mek/document.h"

#include <openssl/evp.h>
#include <openssl/sha.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/escaping.h"
#include "base/status_macros.h"
#include "base/text.h"
#include "mek/json_span.h"

namespace mek {
namespace {

using base::Cat;

constexpr std::string_view kSchema = "schema";
constexpr std::string_view kDigest = "sha256";
// The last member, which holds the digest in hexadecimal of what stands before it.
constexpr std::string_view kTailStart = R"(,"sha256":")";
constexpr std::string_view kTailEnd = R"("})";
constexpr std::size_t kHexSize = std::size_t{2} * SHA256_DIGEST_LENGTH;
constexpr std::size_t kTailSize = kTailStart.size() + kHexSize + kTailEnd.size();

// "" if OpenSSL fails.
std::string Digest(std::string_view text) {
  // Fetched once: SHA256() looks its function up at each use.
  static EVP_MD* const sha256 = EVP_MD_fetch(nullptr, "SHA256", nullptr);
  std::array<unsigned char, SHA256_DIGEST_LENGTH> digest{};
  if (EVP_Digest(text.data(), text.size(), digest.data(), nullptr, sha256, nullptr) != 1) return "";
  return absl::BytesToHexString(
      absl::string_view(reinterpret_cast<const char*>(digest.data()), digest.size()));
}

bool HasIntactTail(std::string_view text) {
  if (text.size() < kTailSize) return false;
  const std::string_view tail = text.substr(text.size() - kTailSize);
  return tail.starts_with(kTailStart) && tail.ends_with(kTailEnd) &&
         tail.substr(kTailStart.size(), kHexSize) ==
             Digest(text.substr(0, text.size() - kTailSize));
}

bool IsStorable(absl::Time time) {
  const absl::TimeZone utc = absl::UTCTimeZone();
  return time >= absl::FromCivil(absl::CivilYear(1), utc) &&
         time < absl::FromCivil(absl::CivilYear(10000), utc);
}

const base::Json* Find(const base::Json& document, std::string_view member) {
  const auto at = document.find(base::JsonString(member));
  return at == document.end() ? nullptr : &*at;
}

}  // namespace

bool IsUnreadable(const absl::Status& status) {
  return absl::IsDataLoss(status) || absl::IsFailedPrecondition(status);
}

absl::Status Damaged(std::string_view what, std::string_view why) {
  return absl::DataLossError(
      Cat(what, " is damaged in storage: ", why,
          ". It is left as it is; restore the storage from a snapshot taken before"));
}

absl::StatusOr<base::SecretBytes> WriteDocument(std::uint64_t schema, const base::Json& body,
                                                std::optional<RawPart> raw) {
  if (!FitsNested(body, base::kMaxJsonDepth)) {
    return absl::InternalError("an entry to be stored is nested too deep; nothing was written");
  }
  ASSIGN_OR_RETURN(const base::SecretBytes rest, base::DumpJson(body));
  base::SecretBytes text(Cat("{\"", kSchema, "\":", schema));
  text.Reserve(rest.size() + (raw.has_value() ? raw->text.size() : 0) + 256);
  if (raw.has_value()) {
    text.Append(Cat(",\"", raw->name, "\":"));
    text.Append(raw->text);
  }
  if (!body.empty()) {
    text.Append(",");
    text.Append(rest.view().substr(1, rest.size() - 2));
  }
  const std::string digest = Digest(text.view());
  if (digest.empty()) return absl::InternalError("SHA-256 failed; nothing was written");
  text.Append(kTailStart);
  text.Append(digest);
  text.Append(kTailEnd);
  return text;
}

absl::StatusOr<base::Json> ReadDocument(std::string_view what, std::uint64_t schema,
                                        std::initializer_list<std::string_view> members,
                                        std::string_view text, RawPart* raw) {
  if (const absl::Status checked = base::CheckJson(text); !checked.ok()) {
    return Damaged(what, Cat(checked.message()));
  }
  if (!text.starts_with('{')) return Damaged(what, "it is not a JSON object");
  if (!HasIntactTail(text)) {
    return Damaged(what, "its checksum is missing or does not match its content");
  }
  base::Json document = base::Json::object();
  for (const RawMember& member : Members(text)) {
    ASSIGN_OR_RETURN(const base::Json name, base::ParseJson(member.name));
    const auto& key = *name.get_ptr<const base::JsonString*>();
    if (raw != nullptr && std::string_view(key) == raw->name) {
      raw->text = member.value;
    } else {
      ASSIGN_OR_RETURN(document[key], base::ParseJson(member.value));
    }
  }

  ASSIGN_OR_RETURN(const std::uint64_t found, ReadNumber(what, document, kSchema));
  if (found > schema) {
    return absl::FailedPreconditionError(
        Cat(what, " was written by a newer version of the plugin (schema ", found,
            ", this one knows ", schema, "): upgrade the plugin. The entry is left as it is"));
  }
  if (found != schema) return Damaged(what, "its schema is none that ever was");
  for (const auto& [name, value] : document.items()) {
    if (name != kSchema && name != kDigest &&
        std::ranges::find(members, std::string_view(name)) == members.end()) {
      return absl::FailedPreconditionError(
          Cat(what,
              " has a member that this version of the plugin does not know: use the version "
              "that wrote it. The entry is left as it is"));
    }
  }
  return document;
}

absl::StatusOr<std::string> ReadString(std::string_view what, const base::Json& document,
                                       std::string_view member) {
  const base::JsonString* text = base::FindString(document, member);
  if (text == nullptr) return Damaged(what, Cat(member, " is missing or not a string"));
  return std::string(*text);
}

absl::StatusOr<std::uint64_t> ReadNumber(std::string_view what, const base::Json& document,
                                         std::string_view member) {
  const base::Json* value = Find(document, member);
  const auto* number = value == nullptr ? nullptr : value->get_ptr<const std::uint64_t*>();
  if (number == nullptr) {
    return Damaged(what, Cat(member, " is missing or not a whole number"));
  }
  return *number;
}

absl::StatusOr<absl::Duration> ReadSeconds(std::string_view what, const base::Json& document,
                                           std::string_view member) {
  constexpr std::uint64_t kMost = std::uint64_t{100} * 365 * 24 * 60 * 60;
  ASSIGN_OR_RETURN(const std::uint64_t seconds, ReadNumber(what, document, member));
  if (seconds > kMost) return Damaged(what, Cat(member, " is more than 100 years"));
  return absl::Seconds(static_cast<std::int64_t>(seconds));
}

absl::StatusOr<absl::Time> ReadTime(std::string_view what, const base::Json& document,
                                    std::string_view member) {
  ASSIGN_OR_RETURN(const std::string text, ReadString(what, document, member));
  absl::Time time;
  std::string unused;
  if (!absl::ParseTime(absl::RFC3339_full, text, &time, &unused) || TimeText(time) != text ||
      !IsStorable(time)) {
    return Damaged(what, Cat(member, " is not a time in RFC 3339"));
  }
  return time;
}

bool HasMember(const base::Json& document, std::string_view member) {
  return Find(document, member) != nullptr;
}

std::string TimeText(absl::Time time) {
  return absl::FormatTime("%E4Y-%m-%dT%H:%M:%E9SZ", time, absl::UTCTimeZone());
}

absl::StatusOr<base::Json> TimeJson(absl::Time time) {
  if (!IsStorable(time)) {
    return absl::InternalError("a time to be stored is outside the years 1 to 9999");
  }
  return base::JsonText(TimeText(time));
}

}  // namespace mek
