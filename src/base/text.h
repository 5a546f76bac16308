// Between the standard's string_view and Abseil's: Debian builds Abseil with a string_view of its
// own, and neither converts to the other by itself.
#ifndef BASE_TEXT_H_
#define BASE_TEXT_H_

#include <string>
#include <string_view>
#include <type_traits>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace base {

inline absl::string_view ToAbsl(std::string_view text) { return {text.data(), text.size()}; }
inline std::string_view ToStd(absl::string_view text) { return {text.data(), text.size()}; }

template <class T>
auto CatPiece(const T& piece) {
  if constexpr (std::is_convertible_v<const T&, std::string_view>) {
    return ToAbsl(piece);
  } else {
    return piece;
  }
}

// absl::StrCat that takes both. For messages: the result is not wiped.
template <class... T>
std::string Cat(const T&... pieces) {
  return absl::StrCat(CatPiece(pieces)...);
}

}  // namespace base

#endif  // BASE_TEXT_H_
