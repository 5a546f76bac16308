// Strict base64 (RFC 4648) on wiped memory. Strict means canonical: what decodes, encodes back to
// the same text. Whitespace, the other alphabet, wrong padding and stray bits are refused.
#ifndef BASE_BASE64_H_
#define BASE_BASE64_H_

#include <string_view>

#include "absl/status/statusor.h"
#include "base/secret.h"

namespace base {

// Standard alphabet, padded (section 4).
SecretBytes Base64Encode(std::string_view bytes);
absl::StatusOr<SecretBytes> Base64Decode(std::string_view text);

// URL-safe alphabet, unpadded (section 5), as JOSE uses it (RFC 7515 section 2).
SecretBytes Base64UrlEncode(std::string_view bytes);
absl::StatusOr<SecretBytes> Base64UrlDecode(std::string_view text);

}  // namespace base

#endif  // BASE_BASE64_H_
