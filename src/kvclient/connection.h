#ifndef KVCLIENT_CONNECTION_H_
#define KVCLIENT_CONNECTION_H_

#include <cstddef>
#include <memory>
#include <span>
#include <string_view>

#include "absl/status/statusor.h"
#include "kvclient/address.h"
#include "kvclient/deadline.h"
#include "kvclient/resolve.h"
#include "kvclient/tls.h"

namespace kvclient {

// A connection to a server, plain or with TLS, which nothing outlasts its deadline on. Not
// thread-safe. What crosses it may be secret: it keeps none of it.
class Connection {
 public:
  // `context` is used if the address says TLS, and outlives the connection. UNAVAILABLE,
  // DEADLINE_EXCEEDED, CANCELLED; the message says which step failed.
  static absl::StatusOr<std::unique_ptr<Connection>> Open(const Address& address, SSL_CTX* context,
                                                          Deadline deadline);
  // To the first of the address's `endpoints` that takes it. None takes the others' share of the
  // time: the name of a service may still have the address of a dead pod.
  static absl::StatusOr<std::unique_ptr<Connection>> OpenAny(std::span<const Endpoint> endpoints,
                                                             const Address& address,
                                                             SSL_CTX* context, Deadline deadline);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  absl::Status Write(std::string_view text, Deadline deadline);
  // How much came into `buffer`; 0: the server has closed.
  absl::StatusOr<std::size_t> Read(std::span<char> buffer, Deadline deadline);

 private:
  explicit Connection(int socket) : socket_(socket) {}

  static absl::StatusOr<std::unique_ptr<Connection>> OpenOne(const Endpoint& endpoint,
                                                             const Address& address,
                                                             SSL_CTX* context, Deadline deadline);
  absl::Status Wait(int events, Deadline deadline) const;
  absl::Status Handshake(const Address& address, SSL_CTX* context, Deadline deadline);
  // Waits for what TLS wants after a call that returned `result`.
  absl::Status WaitForTls(int result, Deadline deadline);

  const int socket_;
  Tls tls_;
};

}  // namespace kvclient

#endif  // KVCLIENT_CONNECTION_H_
