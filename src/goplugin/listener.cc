#include "goplugin/listener.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <optional>
#include <string_view>
#include <utility>

#include "base/status_macros.h"
#include "base/text.h"

namespace goplugin {
namespace {

constexpr std::string_view kDirectoryPrefix = "plugin-cc-";
constexpr char kSocketName[] = "sock";
// An address ends with a NUL within its 108 bytes (unix(7)).
constexpr std::size_t kMaxPath = sizeof(sockaddr_un{}.sun_path) - 1;
constexpr int kBacklog = 64;
// When file descriptors have run out, connections wait this long for the next try.
constexpr int kOutOfDescriptorsPauseMs = 100;

absl::Status CheckPath(std::string_view path) {
  if (path.size() > kMaxPath) {
    return absl::InvalidArgumentError(base::Cat("the socket's path would have ", path.size(),
                                                " bytes, and the system allows ", kMaxPath, ": ",
                                                path, ". Set TMPDIR to a shorter directory"));
  }
  const auto forbidden = [](char c) { return c == '|' || static_cast<unsigned char>(c) < 0x20; };
  if (std::ranges::any_of(path, forbidden)) {
    return absl::InvalidArgumentError(
        "the socket's directory has a | or a control character in its name. Set TMPDIR to another");
  }
  return absl::OkStatus();
}

struct OwnDirectory {
  std::string path;
  Fd lock;
};

// Makes the directory and locks it. Nothing, if RemoveAbandonedSockets of another process took it
// for an abandoned one in between.
absl::StatusOr<std::optional<OwnDirectory>> MakeDirectory(const std::string& parent) {
  std::string path = base::Cat(parent, "/", kDirectoryPrefix, "XXXXXX");
  RETURN_IF_ERROR(CheckPath(base::Cat(path, "/", kSocketName)));
  if (mkdtemp(path.data()) == nullptr) {
    return ErrnoError(base::Cat("no directory for the socket can be made in ", parent));
  }
  Fd lock(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  struct stat status = {};
  if (!lock.ok() || (flock(lock.get(), LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) ||
      fstat(lock.get(), &status) != 0 || status.st_nlink == 0) {
    rmdir(path.c_str());
    return std::nullopt;
  }
  return OwnDirectory{std::move(path), std::move(lock)};
}

}  // namespace

absl::StatusOr<std::unique_ptr<Listener>> Listener::Open(const std::string& directory,
                                                         base::Logger* logger) {
  std::optional<OwnDirectory> own;
  for (int tries = 0; !own.has_value(); ++tries) {
    if (tries == 10) return absl::InternalError("no directory for the socket could be kept");
    ASSIGN_OR_RETURN(own, MakeDirectory(directory));
  }
  auto listener =
      std::unique_ptr<Listener>(new Listener(std::move(own->path), std::move(own->lock), logger));

  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  std::ranges::copy(listener->path_, address.sun_path);
  if (!listener->closing_.ok()) return ErrnoError("the listener can't be told to close");
  Fd& socket = listener->socket_;
  socket = Fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  // The file that bind makes takes its mode from the socket (Linux), with no moment of a wider one.
  if (!socket.ok() || fchmod(socket.get(), S_IRUSR | S_IWUSR) != 0 ||
      bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
      listen(socket.get(), kBacklog) != 0) {
    return ErrnoError(base::Cat("cannot listen on ", listener->path_));
  }
  return listener;
}

Listener::Listener(std::string directory, Fd lock, base::Logger* logger)
    : directory_(std::move(directory)),
      path_(base::Cat(directory_, "/", kSocketName)),
      logger_(logger),
      lock_(std::move(lock)),
      closing_(MakeEvent()) {}

Listener::~Listener() { Close(); }

void Listener::Start(Take take) {
  thread_ = std::thread([this, take = std::move(take)] { AcceptUntilClosed(take); });
}

void Listener::Close() {
  if (!lock_.ok()) return;
  Raise(closing_);
  if (thread_.joinable()) thread_.join();
  socket_ = Fd();
  unlink(path_.c_str());
  rmdir(directory_.c_str());
  lock_ = Fd();
}

void Listener::AcceptUntilClosed(const Take& take) {
  for (;;) {
    pollfd events[] = {{closing_.get(), POLLIN, 0}, {socket_.get(), POLLIN, 0}};
    if (poll(events, 2, -1) < 0 && errno != EINTR) return;
    if (events[0].revents != 0) return;
    Fd connection(accept4(socket_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (connection.ok()) {
      if (Welcome(connection)) take(std::move(connection));
    } else if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) {
      logger_->Warn("no connection can be accepted for now: out of file descriptors or memory");
      poll(events, 1, kOutOfDescriptorsPauseMs);
    }
  }
}

bool Listener::Welcome(const Fd& connection) {
  ucred peer = {};
  socklen_t size = sizeof peer;
  if (getsockopt(connection.get(), SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) return false;
  if (peer.uid == 0 || peer.uid == geteuid()) return true;
  logger_->Warn("a connection of another user was refused", {{"uid", base::Cat(peer.uid)}});
  return false;
}

void RemoveAbandonedSockets(const std::string& directory) {
  const std::unique_ptr<DIR, int (*)(DIR*)> entries(opendir(directory.c_str()), closedir);
  if (entries == nullptr) return;
  const int parent = dirfd(entries.get());
  while (const dirent* entry = readdir(entries.get())) {
    if (!std::string_view(entry->d_name).starts_with(kDirectoryPrefix)) continue;
    const Fd own(openat(parent, entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    struct stat status = {};
    // Whoever lives holds the lock.
    if (!own.ok() || fstat(own.get(), &status) != 0 || status.st_uid != geteuid() ||
        flock(own.get(), LOCK_EX | LOCK_NB) != 0) {
      continue;
    }
    unlinkat(own.get(), kSocketName, 0);
    unlinkat(parent, entry->d_name, AT_REMOVEDIR);
  }
}

}  // namespace goplugin
