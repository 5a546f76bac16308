#include "goplugin/posix.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <system_error>

#include "base/text.h"

namespace goplugin {

Fd::~Fd() {
  if (ok()) close(fd_);
}

Fd MakeEvent() { return Fd(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)); }

void Raise(const Fd& event) {
  const std::uint64_t one = 1;
  // Fails only when it is raised already, up to its limit.
  [[maybe_unused]] const ssize_t written = write(event.get(), &one, sizeof one);
}

absl::Status ErrnoError(std::string_view what) {
  return absl::InternalError(base::Cat(what, ": ", std::generic_category().message(errno)));
}

}  // namespace goplugin
