#ifndef KVCLIENT_RESOLVE_H_
#define KVCLIENT_RESOLVE_H_

#include <sys/socket.h>

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "kvclient/deadline.h"

namespace kvclient {

struct Endpoint {
  sockaddr_storage address;
  socklen_t size;
};

// The addresses of `host` in the order to try them, never none. By c-ares, which looks into
// /etc/hosts and asks the name servers of /etc/resolv.conf: the C library's resolver would need its
// shared libraries in a static binary, and keeps no deadline. UNAVAILABLE, DEADLINE_EXCEEDED.
absl::StatusOr<std::vector<Endpoint>> Resolve(const std::string& host, std::uint16_t port,
                                              Deadline deadline);

}  // namespace kvclient

#endif  // KVCLIENT_RESOLVE_H_
