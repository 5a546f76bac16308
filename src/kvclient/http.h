#ifndef KVCLIENT_HTTP_H_
#define KVCLIENT_HTTP_H_

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/secret.h"
#include "kvclient/address.h"
#include "kvclient/allowance.h"
#include "kvclient/tls.h"

namespace kvclient {

struct Header {
  std::string_view name;
  std::string_view value;  // of printable characters
};

struct HttpRequest {
  std::string_view method;
  std::string target;  // after the address's prefix: "/v1/…"
  std::vector<Header> headers;
  std::string_view body;  // JSON, or "" for none
};

struct HttpResponse {
  int status = 0;
  std::string location;  // where a redirect leads to
  base::SecretBytes body;
};

// Of one exchange.
struct Timeouts {
  absl::Duration connect = absl::Seconds(2);
  absl::Duration total = absl::Seconds(5);
};

// One request over a connection of its own, so that nothing is ever sent twice and no idle
// connection lives. It takes what is left of `allowance` at most, and what it takes is taken from
// it. UNAVAILABLE, DEADLINE_EXCEEDED or CANCELLED if no whole answer came; NeverSent() tells
// whether the server can have seen the request.
absl::StatusOr<HttpResponse> Exchange(const Address& address, SSL_CTX* context,
                                      const HttpRequest& request, const Timeouts& timeouts,
                                      Allowance& allowance);

bool NeverSent(const absl::Status& status);
void MarkNeverSent(absl::Status& status);

}  // namespace kvclient

#endif  // KVCLIENT_HTTP_H_
