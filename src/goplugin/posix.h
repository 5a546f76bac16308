// The few bits of POSIX and Linux that several files here share.
#ifndef GOPLUGIN_POSIX_H_
#define GOPLUGIN_POSIX_H_

#include <string_view>
#include <utility>

#include "absl/status/status.h"

namespace goplugin {

// Owns a file descriptor, or none (-1). Move-only.
class Fd {
 public:
  Fd() = default;
  explicit Fd(int fd) : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Fd& operator=(Fd&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  Fd(const Fd&) = delete;
  Fd& operator=(const Fd&) = delete;
  ~Fd();

  bool ok() const { return fd_ >= 0; }
  int get() const { return fd_; }
  int Release() { return std::exchange(fd_, -1); }

 private:
  int fd_ = -1;
};

// An eventfd for poll(2), not raised; none, with errno, if there is none to be had.
Fd MakeEvent();
// Makes it readable for good.
void Raise(const Fd& event);

// INTERNAL with `what` and the text of errno.
absl::Status ErrnoError(std::string_view what);

}  // namespace goplugin

#endif  // GOPLUGIN_POSIX_H_
