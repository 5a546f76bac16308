#include "mek/incoming.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "base/base64.h"
#include "base/text.h"
#include "mek/kid.h"

namespace mek {
namespace {

constexpr std::size_t kTellingPart = 16;
// The bytes whose hex digits are a telling part.
constexpr std::size_t kTellingBytes = kTellingPart / 2;

// Lower-case hex of the first bytes, on wiped memory.
base::SecretBytes HexStart(std::string_view key) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  base::SecretBytes hex;
  hex.Reserve(kTellingPart);
  for (const char c : key.substr(0, kTellingBytes)) {
    const auto byte = static_cast<unsigned char>(c);
    hex.Append(kDigits.substr(byte >> 4, 1));
    hex.Append(kDigits.substr(byte & 15, 1));
  }
  return hex;
}

}  // namespace

bool ShowsKey(std::string_view text, const Record& record) {
  if (text.size() < kTellingPart) return false;
  std::string lower(text);
  absl::AsciiStrToLower(&lower);
  return std::ranges::any_of(kSets, [&](Set set) {
    return std::ranges::any_of(record.set(set).keys(), [&](const Jwk& jwk) {
      const base::SecretBytes encoded = base::Base64UrlEncode(jwk.key().view());
      const base::SecretBytes hex = HexStart(jwk.key().view());
      return text.find(encoded.view().substr(0, kTellingPart)) != std::string_view::npos ||
             lower.find(hex.view()) != std::string::npos;
    });
  });
}

absl::Status CheckIncoming(const Record& incoming, const std::set<std::string>& unknown,
                           absl::Time now) {
  for (const std::string& kid : unknown) {
    const std::optional<absl::Time> time = UuidV1Time(kid);
    if (time.has_value() && *time > now + kMaxKidLead) {
      return absl::InvalidArgumentError(base::Cat(
          "a kid of the record has a time more than a year ahead of the server's clock (",
          absl::FormatTime("%Y-%m-%d", *time, absl::UTCTimeZone()),
          "): every later key would have to be later still. Look at the clock that made it; "
          "nothing was changed"));
    }
    // A UUID is too short a text for a key, and the common case.
    if (!time.has_value() && ShowsKey(kid, incoming)) {
      return absl::InvalidArgumentError(
          "a kid of the record shows a key: kids are not secret, and are logged. Give that key "
          "another kid; nothing was changed");
    }
  }
  return absl::OkStatus();
}

}  // namespace mek
