#include "kvclient/resolve.h"

#include <ares.h>
#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>
#include <optional>

#include "base/status_macros.h"
#include "base/text.h"
#include "base/turn.h"

namespace kvclient {
namespace {

// A try at each name server, in milliseconds: the connection has a few seconds in all.
constexpr int kTryMilliseconds = 1000;
constexpr int kTries = 2;

Endpoint ToEndpoint(const void* address, socklen_t size) {
  Endpoint endpoint{};
  std::memcpy(&endpoint.address, address, size);
  endpoint.size = size;
  return endpoint;
}

std::optional<Endpoint> Numeric(const std::string& host, std::uint16_t port) {
  sockaddr_in ip4{};
  sockaddr_in6 ip6{};
  if (inet_pton(AF_INET, host.c_str(), &ip4.sin_addr) == 1) {
    ip4.sin_family = AF_INET;
    ip4.sin_port = htons(port);
    return ToEndpoint(&ip4, sizeof ip4);
  }
  if (inet_pton(AF_INET6, host.c_str(), &ip6.sin6_addr) == 1) {
    ip6.sin6_family = AF_INET6;
    ip6.sin6_port = htons(port);
    return ToEndpoint(&ip6, sizeof ip6);
  }
  return std::nullopt;
}

struct Answer {
  bool done = false;
  int status = ARES_SUCCESS;
  std::vector<Endpoint> endpoints;
};

void Keep(void* arg, int status, int /*timeouts*/, ares_addrinfo* found) {
  auto* answer = static_cast<Answer*>(arg);
  answer->done = true;
  answer->status = status;
  if (found == nullptr) return;
  for (const ares_addrinfo_node* node = found->nodes; node != nullptr; node = node->ai_next) {
    if (node->ai_addrlen > sizeof(sockaddr_storage)) continue;
    answer->endpoints.push_back(ToEndpoint(node->ai_addr, node->ai_addrlen));
  }
  ares_freeaddrinfo(found);
}

struct Destroy {
  void operator()(ares_channel channel) const { ares_destroy(channel); }
};
using Channel = std::unique_ptr<ares_channeldata, Destroy>;

absl::StatusOr<Channel> NewChannel() {
  ares_options options{};
  options.timeout = kTryMilliseconds;
  options.tries = kTries;
  ares_channel channel = nullptr;
  if (ares_init_options(&channel, &options, ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES) != ARES_SUCCESS) {
    return absl::UnavailableError("the name resolver can't be set up");
  }
  return Channel(channel);
}

absl::Status RunOnce(ares_channel channel, Deadline deadline) {
  std::array<ares_socket_t, ARES_GETSOCK_MAXNUM> sockets{};
  const auto wanted = static_cast<unsigned>(
      ares_getsock(channel, sockets.data(), static_cast<int>(sockets.size())));
  std::array<pollfd, ARES_GETSOCK_MAXNUM> polled{};
  nfds_t count = 0;
  for (std::size_t i = 0; i < sockets.size(); ++i) {
    const bool reads = ARES_GETSOCK_READABLE(wanted, i) != 0;
    const bool writes = ARES_GETSOCK_WRITABLE(wanted, i) != 0;
    if (!reads && !writes) continue;
    polled[count++] = {.fd = sockets[i],
                       .events = static_cast<decltype(pollfd::events)>((reads ? POLLIN : 0) |
                                                                       (writes ? POLLOUT : 0)),
                       .revents = 0};
  }
  timeval most{.tv_sec = 3600, .tv_usec = 0};
  timeval left{};
  const timeval* next = ares_timeout(channel, &most, &left);
  const int milliseconds = static_cast<int>(next->tv_sec * 1000 + next->tv_usec / 1000 + 1);
  base::PassTurnOn();
  const int ready =
      poll(polled.data(), count, std::min(milliseconds, deadline.MillisecondsToWait()));
  if (ready <= 0) {
    absl::Status good = deadline.Check();
    if (absl::IsDeadlineExceeded(good)) {
      return absl::DeadlineExceededError("the name servers did not answer in time");
    }
    if (!good.ok()) return good;
    ares_process_fd(channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);  // its own timeouts
    return absl::OkStatus();
  }
  for (nfds_t i = 0; i < count; ++i) {
    if (polled[i].revents == 0) continue;
    const bool reads = (polled[i].revents & (POLLIN | POLLERR | POLLHUP)) != 0;
    const bool writes = (polled[i].revents & POLLOUT) != 0;
    ares_process_fd(channel, reads ? polled[i].fd : ARES_SOCKET_BAD,
                    writes ? polled[i].fd : ARES_SOCKET_BAD);
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::vector<Endpoint>> Resolve(const std::string& host, std::uint16_t port,
                                              Deadline deadline) {
  // c-ares would ask the name servers for an address too, if it may be of either family.
  if (std::optional<Endpoint> endpoint = Numeric(host, port); endpoint.has_value()) {
    return std::vector<Endpoint>{*endpoint};
  }
  // `answer` outlives the channel, whose destruction may call back.
  Answer answer;
  ASSIGN_OR_RETURN(const Channel channel, NewChannel());
  ares_addrinfo_hints hints{};
  hints.ai_flags = ARES_AI_NUMERICSERV;
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  ares_getaddrinfo(channel.get(), host.c_str(), std::to_string(port).c_str(), &hints, &Keep,
                   &answer);
  while (!answer.done) RETURN_IF_ERROR(RunOnce(channel.get(), deadline));
  if (answer.status != ARES_SUCCESS || answer.endpoints.empty()) {
    return absl::UnavailableError(
        base::Cat("the name ", host, " has no address (", ares_strerror(answer.status), ")"));
  }
  return std::move(answer.endpoints);
}

}  // namespace kvclient
