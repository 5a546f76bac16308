#include "base/base64.h"

#include <openssl/evp.h>

#include <algorithm>

namespace base {
namespace {

constexpr std::size_t kMaxText = std::size_t{1} << 28;

// EVP_DecodeBlock forgives blanks at the ends and stray bits in the last character; comparing with
// what the result encodes to refuses them.
absl::StatusOr<SecretBytes> DecodePadded(std::string_view text) {
  if (text.size() % 4 != 0 || text.size() > kMaxText) {
    return absl::InvalidArgumentError("not base64 of the expected kind");
  }
  SecretBytes out(text.size() / 4 * 3);
  const int decoded = EVP_DecodeBlock(out.mutable_span().data(),
                                      reinterpret_cast<const unsigned char*>(text.data()),
                                      static_cast<int>(text.size()));
  if (decoded < 0) return absl::InvalidArgumentError("not base64 of the expected kind");
  const std::size_t padding = text.ends_with("==") ? 2 : text.ends_with('=') ? 1 : 0;
  out.Truncate(static_cast<std::size_t>(decoded) - padding);
  if (Base64Encode(out.view()).view() != text) {
    return absl::InvalidArgumentError("not base64 of the expected kind");
  }
  return out;
}

void Translate(SecretBytes& text, std::string_view from, std::string_view to) {
  for (std::uint8_t& c : text.mutable_span()) {
    const std::size_t at = from.find(static_cast<char>(c));
    if (at != std::string_view::npos) c = static_cast<std::uint8_t>(to[at]);
  }
}

}  // namespace

SecretBytes Base64Encode(std::string_view bytes) {
  // EVP_EncodeBlock ends its output with a NUL.
  SecretBytes out((bytes.size() + 2) / 3 * 4 + 1);
  const int encoded = EVP_EncodeBlock(out.mutable_span().data(),
                                      reinterpret_cast<const unsigned char*>(bytes.data()),
                                      static_cast<int>(bytes.size()));
  out.Truncate(static_cast<std::size_t>(encoded));
  return out;
}

absl::StatusOr<SecretBytes> Base64Decode(std::string_view text) {
  if (text.empty()) return SecretBytes();
  return DecodePadded(text);
}

SecretBytes Base64UrlEncode(std::string_view bytes) {
  SecretBytes out = Base64Encode(bytes);
  Translate(out, "+/", "-_");
  const std::size_t end = out.view().find_last_not_of('=');
  out.Truncate(end == std::string_view::npos ? 0 : end + 1);
  return out;
}

absl::StatusOr<SecretBytes> Base64UrlDecode(std::string_view text) {
  if (text.empty()) return SecretBytes();
  if (text.find_first_of("+/=") != std::string_view::npos) {
    return absl::InvalidArgumentError("not base64url without padding");
  }
  SecretBytes padded(text);
  Translate(padded, "-_", "+/");
  padded.Append(std::string_view("==", (4 - text.size() % 4) % 4 % 3));
  return DecodePadded(padded.view());
}

}  // namespace base
