#ifndef MEK_REQUEST_STAMPS_H_
#define MEK_REQUEST_STAMPS_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace mek {

inline constexpr std::size_t kMaxRequestStamps = 256;

// Which version answered a request, for the host's replay of it.
struct RequestStamp {
  std::string_view id;
  std::uint64_t version = 0;
};

// The requests that were answered last, at most kMaxRequestStamps, as they are stored: one text
// "7,3,r-1;8,3,r-2;", of each the version, the bytes of the id, and the id; oldest first. It is
// carried from version to version as it is: an object for each would cost more than all else in a
// small record. A value type; thread-safe as any const object.
class RequestStamps {
 public:
  RequestStamps() = default;
  // INVALID_ARGUMENT, saying why, if `text` is no such text.
  static absl::StatusOr<RequestStamps> Parse(std::string_view text);

  // Forgets the oldest beyond kMaxRequestStamps.
  void Add(std::string_view id, std::uint64_t version);
  void clear() { *this = RequestStamps(); }

  // That of the last one with this id.
  std::optional<std::uint64_t> VersionOf(std::string_view id) const;
  // Their ids are valid until this object is changed.
  std::vector<RequestStamp> All() const;
  std::size_t size() const { return size_; }
  const std::string& text() const { return text_; }

 private:
  std::string text_;
  std::size_t size_ = 0;
};

}  // namespace mek

#endif  // MEK_REQUEST_STAMPS_H_
