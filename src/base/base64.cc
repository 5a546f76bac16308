#include "base/base64.h"

#include <openssl/evp.h>

#include <array>
#include <cstddef>
#include <cstdint>

namespace base {
namespace {

constexpr std::size_t kMaxText = std::size_t{1} << 28;

// What each character stands for in an alphabet that ends with these two.
using Values = std::array<std::uint8_t, 256>;
constexpr std::uint8_t kNone = 0xff;

constexpr Values ValuesOf(char last_but_one, char last) {
  Values values{};
  values.fill(kNone);
  std::uint8_t next = 0;
  for (char c = 'A'; c <= 'Z'; ++c) values[static_cast<std::uint8_t>(c)] = next++;
  for (char c = 'a'; c <= 'z'; ++c) values[static_cast<std::uint8_t>(c)] = next++;
  for (char c = '0'; c <= '9'; ++c) values[static_cast<std::uint8_t>(c)] = next++;
  values[static_cast<std::uint8_t>(last_but_one)] = next++;
  values[static_cast<std::uint8_t>(last)] = next++;
  return values;
}
constexpr Values kStandard = ValuesOf('+', '/');
constexpr Values kUrl = ValuesOf('-', '_');

// `text` without padding.
absl::StatusOr<SecretBytes> Decode(std::string_view text, const Values& values) {
  const absl::Status bad = absl::InvalidArgumentError("not base64 of the expected kind");
  const std::size_t left = text.size() % 4;
  if (left == 1 || text.size() > kMaxText) return bad;
  SecretBytes bytes(text.size() / 4 * 3 + (left == 0 ? 0 : left - 1));
  const auto* in = reinterpret_cast<const std::uint8_t*>(text.data());
  std::uint8_t* out = bytes.mutable_span().data();
  // Of all values; kNone has the bits that no value has.
  unsigned seen = 0;
  const auto value = [&](std::size_t i) {
    const unsigned found = values[in[i]];
    seen |= found;
    return found;
  };
  for (const std::uint8_t* end = in + text.size() / 4 * 4; in != end; in += 4, out += 3) {
    const unsigned bits = value(0) << 18 | value(1) << 12 | value(2) << 6 | value(3);
    out[0] = static_cast<std::uint8_t>(bits >> 16);
    out[1] = static_cast<std::uint8_t>(bits >> 8);
    out[2] = static_cast<std::uint8_t>(bits);
  }
  unsigned stray = 0;
  if (left != 0) {
    const unsigned bits = value(0) << 12 | value(1) << 6 | (left == 3 ? value(2) : 0);
    out[0] = static_cast<std::uint8_t>(bits >> 10);
    if (left == 3) out[1] = static_cast<std::uint8_t>(bits >> 2);
    stray = left == 3 ? bits & 0x3 : bits & 0x3ff;
  }
  if ((seen & ~0x3fU) != 0 || stray != 0) return bad;
  return bytes;
}

// How many of the last characters are padding, if the text is any base64.
std::size_t Padding(std::string_view text) {
  return text.ends_with("==") ? 2 : text.ends_with('=') ? 1 : 0;
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
  if (text.size() % 4 != 0) {
    return absl::InvalidArgumentError("not base64 of the expected kind");
  }
  return Decode(text.substr(0, text.size() - Padding(text)), kStandard);
}

SecretBytes Base64UrlEncode(std::string_view bytes) {
  SecretBytes out = Base64Encode(bytes);
  Translate(out, "+/", "-_");
  const std::size_t end = out.view().find_last_not_of('=');
  out.Truncate(end == std::string_view::npos ? 0 : end + 1);
  return out;
}

absl::StatusOr<SecretBytes> Base64UrlDecode(std::string_view text) { return Decode(text, kUrl); }

}  // namespace base
