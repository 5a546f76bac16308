// gRPC asks epoll to tell each time a socket takes data again, though it only wants to know that
// after a write that the socket refused (EAGAIN). On a Unix socket that is each time the other side
// has read: every message costs one more waking of a polling thread, which finds nothing to do and
// wakes the next one to poll in its place. Here the kernel is asked only once a write was refused.
// Linked with --wrap for both functions below.
//
// gRPC 1.51, ev_epoll1_linux.cc, fd_create: adds every socket with exactly these events, and never
// changes them. Others (Boost.Asio) add theirs otherwise, and are left alone. tcp_posix.cc writes
// with sendmsg alone, and waits for the event after EAGAIN alone.
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdint>

namespace {

constexpr std::uint32_t kAsGrpcAdds = EPOLLIN | EPOLLOUT | EPOLLET;

// A socket whose writing side is not watched; one slot for each descriptor. Higher ones are watched
// as gRPC asks.
struct Socket {
  std::atomic<int> epoll = -1;
  std::atomic<std::uint64_t> data = 0;
};
std::array<Socket, 4096> sockets;

Socket* SocketOf(int fd) {
  const auto at = static_cast<std::size_t>(fd);
  return fd >= 0 && at < sockets.size() ? &sockets.at(at) : nullptr;
}

// One that is still to be connected tells by being writable that it is.
bool IsConnectedUnixSocket(int fd) {
  sockaddr_un peer = {};
  socklen_t size = sizeof(peer);
  return getpeername(fd, reinterpret_cast<sockaddr*>(&peer), &size) == 0 &&
         peer.sun_family == AF_UNIX;
}

}  // namespace

// The names are the linker's.
// NOLINTBEGIN(clang-diagnostic-reserved-identifier)
extern "C" {

int __real_epoll_ctl(int epoll, int operation, int fd, epoll_event* event);
int __wrap_epoll_ctl(int epoll, int operation, int fd, epoll_event* event);
ssize_t __real_sendmsg(int fd, const msghdr* message, int flags);
ssize_t __wrap_sendmsg(int fd, const msghdr* message, int flags);

int __wrap_epoll_ctl(int epoll, int operation, int fd, epoll_event* event) {
  Socket* const socket = SocketOf(fd);
  if (socket == nullptr) return __real_epoll_ctl(epoll, operation, fd, event);
  socket->epoll = -1;
  if (operation != EPOLL_CTL_ADD || event->events != kAsGrpcAdds || !IsConnectedUnixSocket(fd)) {
    return __real_epoll_ctl(epoll, operation, fd, event);
  }
  epoll_event quiet = *event;
  quiet.events = EPOLLIN | EPOLLET;
  const int added = __real_epoll_ctl(epoll, operation, fd, &quiet);
  if (added == 0) {
    socket->data = event->data.u64;
    socket->epoll = epoll;
  }
  return added;
}

// From its first refusal on a socket is watched as gRPC asks, for good. The kernel looks at it when
// the events are changed, so that it can't have become writable unnoticed.
ssize_t __wrap_sendmsg(int fd, const msghdr* message, int flags) {
  const ssize_t sent = __real_sendmsg(fd, message, flags);
  Socket* const socket = SocketOf(fd);
  if (sent >= 0 || errno != EAGAIN || socket == nullptr) return sent;
  if (const int epoll = socket->epoll.exchange(-1); epoll >= 0) {
    epoll_event event = {};
    event.events = kAsGrpcAdds;
    event.data.u64 = socket->data;
    __real_epoll_ctl(epoll, EPOLL_CTL_MOD, fd, &event);
    errno = EAGAIN;
  }
  return sent;
}

}  // extern "C"
// NOLINTEND(clang-diagnostic-reserved-identifier)
