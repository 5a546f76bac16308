#include "kvclient/connection.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/x509_vfy.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "base/status_macros.h"
#include "base/text.h"

namespace kvclient {
namespace {

bool WouldBlock() { return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR; }

absl::Status Broken() { return absl::UnavailableError("the connection broke"); }

}  // namespace

absl::StatusOr<std::unique_ptr<Connection>> Connection::Open(const Address& address,
                                                             SSL_CTX* context, Deadline deadline) {
  ASSIGN_OR_RETURN(const std::vector<Endpoint> endpoints,
                   Resolve(address.host, address.port, deadline));
  return OpenAny(endpoints, address, context, deadline);
}

absl::StatusOr<std::unique_ptr<Connection>> Connection::OpenAny(std::span<const Endpoint> endpoints,
                                                                const Address& address,
                                                                SSL_CTX* context,
                                                                Deadline deadline) {
  absl::Status last = absl::UnavailableError("the name has no address");
  for (auto left = static_cast<int>(endpoints.size()); left > 0; --left) {
    absl::StatusOr<std::unique_ptr<Connection>> connection =
        OpenOne(endpoints[endpoints.size() - static_cast<std::size_t>(left)], address, context,
                deadline.Share(left));
    if (connection.ok() || absl::IsCancelled(connection.status())) return connection;
    last = connection.status();
  }
  return last;
}

absl::StatusOr<std::unique_ptr<Connection>> Connection::OpenOne(const Endpoint& endpoint,
                                                                const Address& address,
                                                                SSL_CTX* context,
                                                                Deadline deadline) {
  const int made =
      socket(endpoint.address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (made < 0) return absl::UnavailableError("no socket can be opened");
  std::unique_ptr<Connection> connection(new Connection(made));
  const int yes = 1;
  setsockopt(made, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
  int error = 0;
  if (connect(made, reinterpret_cast<const sockaddr*>(&endpoint.address), endpoint.size) != 0) {
    error = errno;
    if (error == EINPROGRESS) {
      RETURN_IF_ERROR(connection->Wait(POLLOUT, deadline));
      socklen_t size = sizeof error;
      if (getsockopt(made, SOL_SOCKET, SO_ERROR, &error, &size) != 0) error = errno;
    }
  }
  if (error != 0) {
    return absl::UnavailableError(base::Cat("no connection: ", std::strerror(error)));
  }
  if (address.tls) RETURN_IF_ERROR(connection->Handshake(address, context, deadline));
  return connection;
}

Connection::~Connection() {
  tls_.reset();
  close(socket_);
}

absl::Status Connection::Wait(int events, Deadline deadline) const {
  pollfd polled{
      .fd = socket_, .events = static_cast<decltype(pollfd::events)>(events), .revents = 0};
  return deadline.Wait(&polled, 1);
}

absl::Status Connection::WaitForTls(int result, Deadline deadline) {
  const int why = SSL_get_error(tls_.get(), result);
  ERR_clear_error();
  if (why == SSL_ERROR_WANT_READ) return Wait(POLLIN, deadline);
  if (why == SSL_ERROR_WANT_WRITE) return Wait(POLLOUT, deadline);
  return Broken();
}

absl::Status Connection::Handshake(const Address& address, SSL_CTX* context, Deadline deadline) {
  ASSIGN_OR_RETURN(
      tls_, NewTls(context, address.server_name.empty() ? address.host : address.server_name));
  if (SSL_set_fd(tls_.get(), socket_) != 1) return Broken();
  for (;;) {
    ERR_clear_error();
    const int done = SSL_connect(tls_.get());
    if (done == 1) return absl::OkStatus();
    absl::Status waited = WaitForTls(done, deadline);
    if (waited.ok()) continue;
    if (!absl::IsUnavailable(waited)) return waited;
    const auto verified = SSL_get_verify_result(tls_.get());
    return absl::UnavailableError(
        verified == X509_V_OK
            ? std::string("the TLS handshake failed: is this a TLS port, with TLS 1.2 or later?")
            : base::Cat("the server's certificate is not accepted (",
                        X509_verify_cert_error_string(verified),
                        "): ca_cert must hold the authority that signed it, and it must name the "
                        "host of the address, or tls_server_name"));
  }
}

// SSL_write_ex and SSL_read_ex, not SSL_write and SSL_read: those are wrapped for gRPC's use of
// them (plugin/wipe_tls.cc).
absl::Status Connection::Write(std::string_view text, Deadline deadline) {
  while (!text.empty()) {
    if (tls_ != nullptr) {
      std::size_t written = 0;
      ERR_clear_error();
      const int done = SSL_write_ex(tls_.get(), text.data(), text.size(), &written);
      if (done == 1) {
        text.remove_prefix(written);
      } else {
        RETURN_IF_ERROR(WaitForTls(done, deadline));
      }
      continue;
    }
    const ssize_t sent = send(socket_, text.data(), text.size(), MSG_NOSIGNAL);
    if (sent >= 0) {
      text.remove_prefix(static_cast<std::size_t>(sent));
    } else if (WouldBlock()) {
      RETURN_IF_ERROR(Wait(POLLOUT, deadline));
    } else {
      return Broken();
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<std::size_t> Connection::Read(std::span<char> buffer, Deadline deadline) {
  for (;;) {
    if (tls_ != nullptr) {
      std::size_t got = 0;
      ERR_clear_error();
      const int done = SSL_read_ex(tls_.get(), buffer.data(), buffer.size(), &got);
      if (done == 1) return got;
      if (SSL_get_error(tls_.get(), done) == SSL_ERROR_ZERO_RETURN) return 0;
      RETURN_IF_ERROR(WaitForTls(done, deadline));
      continue;
    }
    const ssize_t got = recv(socket_, buffer.data(), buffer.size(), 0);
    if (got >= 0) return static_cast<std::size_t>(got);
    if (!WouldBlock()) return Broken();
    RETURN_IF_ERROR(Wait(POLLIN, deadline));
  }
}

}  // namespace kvclient
