// Base64 against an implementation that has nothing in common with ours. The input is taken as
// bytes to encode, and as text to decode.
#include "base/base64.h"

#include <string>
#include <string_view>

#include "fuzz/fuzz.h"

namespace {

void Compare(std::string_view input, std::string_view alphabet, bool padded,
             base::SecretBytes (*encode)(std::string_view),
             absl::StatusOr<base::SecretBytes> (*decode)(std::string_view)) {
  const base::SecretBytes encoded = encode(input);
  REQUIRE(encoded.view() == fuzz::Encode(input, alphabet, padded));
  const absl::StatusOr<base::SecretBytes> back = decode(encoded.view());
  REQUIRE(back.ok() && back->view() == input);

  std::string expected;
  const bool valid = fuzz::Decode(input, alphabet, padded, expected);
  const absl::StatusOr<base::SecretBytes> decoded = decode(input);
  REQUIRE(decoded.ok() == valid);
  if (valid) {
    REQUIRE(decoded->view() == expected);
    REQUIRE(encode(decoded->view()).view() == input);
  } else {
    REQUIRE(decoded.status().code() == absl::StatusCode::kInvalidArgument);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view input = fuzz::Text(data, size);
  Compare(input, fuzz::kBase64, /*padded=*/true, base::Base64Encode, base::Base64Decode);
  Compare(input, fuzz::kBase64Url, /*padded=*/false, base::Base64UrlEncode, base::Base64UrlDecode);
  return 0;
}
