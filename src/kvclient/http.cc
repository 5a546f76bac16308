#include "kvclient/http.h"

#include <algorithm>
#include <boost/asio/buffer.hpp>
#include <boost/beast/http/error.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/vector_body.hpp>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>

#include "absl/strings/cord.h"
#include "base/status_macros.h"
#include "base/text.h"
#include "kvclient/connection.h"

namespace kvclient {
namespace {

namespace http = boost::beast::http;

constexpr std::uint32_t kMaxHeaders = 16U << 10U;
// A record is 1 MiB at most, and the envelope is small.
constexpr std::uint64_t kMaxBody = 4U << 20U;
constexpr std::size_t kReadSize = 16U << 10U;
// A write that is given up half way has an unknown outcome, so it may go on for this long without
// its caller: short, since our own server waits for it while it seals.
constexpr absl::Duration kGrace = absl::Seconds(1);
constexpr char kNeverSent[] = "kvclient/never-sent";

using Wiped = base::WipingAllocator<char>;
using Buffer = std::vector<char, Wiped>;
using Parser = http::parser<false, http::vector_body<char, Wiped>, Wiped>;

base::SecretBytes Text(const Address& address, const HttpRequest& request) {
  base::SecretBytes text;
  std::size_t size = 512 + request.target.size() + request.body.size();
  for (const Header& header : request.headers) size += header.name.size() + header.value.size() + 4;
  text.Reserve(size);
  text.Append(base::Cat(request.method, " ", address.prefix, request.target,
                        " HTTP/1.1\r\nHost: ", address.Authority(),
                        "\r\nConnection: close\r\nAccept: application/json\r\n"));
  for (const Header& header : request.headers) {
    text.Append(header.name);
    text.Append(": ");
    text.Append(header.value);
    text.Append("\r\n");
  }
  if (!request.body.empty()) {
    text.Append(base::Cat("Content-Type: application/json\r\nContent-Length: ", request.body.size(),
                          "\r\n"));
  }
  text.Append("\r\n");
  text.Append(request.body);
  return text;
}

absl::Status Garbage(const boost::system::error_code& why) {
  if (why == http::error::body_limit || why == http::error::header_limit) {
    return absl::UnavailableError("the answer is too large for OpenBao's");
  }
  return absl::UnavailableError("the answer is not whole, or not HTTP");
}

// The rest of a message into `parser`; what comes after it stays in `unparsed`.
absl::Status ReadMessage(Connection& connection, Deadline deadline, Buffer& unparsed,
                         Parser& parser) {
  Buffer chunk(kReadSize);
  boost::system::error_code error;
  for (;;) {
    while (!unparsed.empty() && !parser.is_done()) {
      const std::size_t used =
          parser.put(boost::asio::const_buffer(unparsed.data(), unparsed.size()), error);
      unparsed.erase(unparsed.begin(), unparsed.begin() + static_cast<std::ptrdiff_t>(used));
      if (error == http::error::need_more) {
        error = {};
        break;
      }
      if (error) return Garbage(error);
      if (used == 0) break;
    }
    if (parser.is_done()) return absl::OkStatus();
    ASSIGN_OR_RETURN(const std::size_t got, connection.Read(chunk, deadline));
    if (got == 0) {
      if (parser.got_some()) parser.put_eof(error);
      return error || !parser.is_done() ? Garbage(error) : absl::OkStatus();
    }
    unparsed.insert(unparsed.end(), chunk.begin(),
                    chunk.begin() + static_cast<std::ptrdiff_t>(got));
  }
}

absl::StatusOr<HttpResponse> ReadResponse(Connection& connection, Deadline deadline) {
  Buffer unparsed;
  for (;;) {
    Parser parser;
    parser.header_limit(kMaxHeaders);
    parser.body_limit(kMaxBody);
    parser.eager(true);
    RETURN_IF_ERROR(ReadMessage(connection, deadline, unparsed, parser));
    // 1xx: the answer is still to come (RFC 9110 section 15.2).
    if (parser.get().result_int() < 200) continue;
    HttpResponse response;
    response.status = static_cast<int>(parser.get().result_int());
    const auto location = parser.get()[http::field::location];
    response.location.assign(location.data(), location.size());
    const auto& body = parser.get().body();
    response.body = base::SecretBytes(std::string_view(body.data(), body.size()));
    return response;
  }
}

// What an exchange takes is taken from its allowance.
class Spending {
 public:
  explicit Spending(Allowance& allowance) : allowance_(allowance) {}
  ~Spending() { allowance_.Spend(absl::FromChrono(std::chrono::steady_clock::now() - began_)); }
  Spending(const Spending&) = delete;
  Spending& operator=(const Spending&) = delete;

 private:
  Allowance& allowance_;
  const std::chrono::steady_clock::time_point began_ = std::chrono::steady_clock::now();
};

absl::StatusOr<std::unique_ptr<Connection>> Connect(const Address& address, SSL_CTX* context,
                                                    Deadline deadline, absl::Duration most) {
  RETURN_IF_ERROR(deadline.Check());
  ASSIGN_OR_RETURN(std::unique_ptr<Connection> connection,
                   Connection::Open(address, context, deadline.Within(most)));
  RETURN_IF_ERROR(deadline.Check());
  return connection;
}

}  // namespace

absl::StatusOr<HttpResponse> Exchange(const Address& address, SSL_CTX* context,
                                      const HttpRequest& request, const Timeouts& timeouts,
                                      Allowance& allowance) {
  const Spending spending(allowance);
  const Deadline total = Deadline::In(std::min(timeouts.total, allowance.left()));
  const Deadline at_once = total.For(allowance.caller(), absl::ZeroDuration());
  absl::StatusOr<std::unique_ptr<Connection>> connection =
      Connect(address, context, at_once, timeouts.connect);
  if (!connection.ok()) {
    absl::Status status = connection.status();
    MarkNeverSent(status);
    return status;
  }
  const Deadline deadline =
      request.method == "GET" ? at_once : total.For(allowance.caller(), kGrace);
  RETURN_IF_ERROR((*connection)->Write(Text(address, request).view(), deadline));
  return ReadResponse(**connection, deadline);
}

bool NeverSent(const absl::Status& status) { return status.GetPayload(kNeverSent).has_value(); }

void MarkNeverSent(absl::Status& status) { status.SetPayload(kNeverSent, absl::Cord()); }

}  // namespace kvclient
