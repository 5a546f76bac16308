#ifndef MEK_TEXT_H_
#define MEK_TEXT_H_

#include <string>
#include <string_view>
#include <type_traits>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace mek {

// A piece for absl::StrCat. Debian builds Abseil with a string_view of its own, which a
// std::string_view doesn't convert to.
template <class T>
auto CatPiece(const T& piece) {
  if constexpr (std::is_convertible_v<const T&, std::string_view>) {
    const std::string_view text = piece;
    return absl::string_view(text.data(), text.size());
  } else {
    return piece;
  }
}

// absl::StrCat that takes std::string_view too. For messages: the result is not wiped.
template <class... T>
std::string Cat(const T&... pieces) {
  return absl::StrCat(CatPiece(pieces)...);
}

}  // namespace mek

#endif  // MEK_TEXT_H_
