// What the fuzz targets share. Each defines LLVMFuzzerTestOneInput, which takes any bytes and
// aborts where a property doesn't hold. None keeps state from one input to the next.
#ifndef TESTS_FUZZ_FUZZ_H_
#define TESTS_FUZZ_FUZZ_H_

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

// Aborts unless `condition` holds. Not an assert: it stays in every build.
#define REQUIRE(condition)                                                                \
  do {                                                                                    \
    if (!(condition)) {                                                                   \
      std::fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #condition); \
      std::abort();                                                                       \
    }                                                                                     \
  } while (false)

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace fuzz {

inline std::string_view Text(const std::uint8_t* data, std::size_t size) {
  return {reinterpret_cast<const char*>(data), size};
}

// Takes an input apart, from its front. Past the end there are zeros and empty texts.
class Input {
 public:
  explicit Input(std::string_view text) : text_(text) {}

  std::uint8_t Byte() {
    if (text_.empty()) return 0;
    const auto byte = static_cast<std::uint8_t>(text_.front());
    text_.remove_prefix(1);
    return byte;
  }
  // Up to the next byte 0xFF, which is in no UTF-8 text, or the end; that byte is taken too.
  std::string_view Part() {
    const std::size_t end = std::min(text_.find('\xff'), text_.size());
    const std::string_view part = text_.substr(0, end);
    text_.remove_prefix(std::min(end + 1, text_.size()));
    return part;
  }
  std::string_view Rest() const { return text_; }
  bool empty() const { return text_.empty(); }

 private:
  std::string_view text_;
};

inline constexpr std::string_view kBase64 =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
inline constexpr std::string_view kBase64Url =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

// Base64 bit by bit: slow, and nothing like the code under test.
inline std::string Encode(std::string_view bytes, std::string_view alphabet, bool padded) {
  std::string out;
  std::uint32_t bits = 0;
  int held = 0;
  for (const char c : bytes) {
    bits = (bits << 8 | static_cast<std::uint8_t>(c)) & 0xffff;
    held += 8;
    for (; held >= 6; held -= 6) out.push_back(alphabet[bits >> (held - 6) & 63]);
  }
  if (held > 0) out.push_back(alphabet[bits << (6 - held) & 63]);
  while (padded && out.size() % 4 != 0) out.push_back('=');
  return out;
}

// False unless `text` is canonical.
inline bool Decode(std::string_view text, std::string_view alphabet, bool padded,
                   std::string& bytes) {
  bytes.clear();
  std::uint32_t bits = 0;
  int held = 0;
  for (const char c : text) {
    if (padded && c == '=') continue;  // in the wrong place it makes the comparison below fail
    const std::size_t value = alphabet.find(c);
    if (value == std::string_view::npos) return false;
    bits = (bits << 6 | static_cast<std::uint32_t>(value)) & 0xffff;
    held += 6;
    if (held >= 8) {
      held -= 8;
      bytes.push_back(static_cast<char>(bits >> held & 0xff));
    }
  }
  return Encode(bytes, alphabet, padded) == text;
}

}  // namespace fuzz

#endif  // TESTS_FUZZ_FUZZ_H_
