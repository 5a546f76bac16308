#include "kvclient/http.h"

#include <array>
#include <boost/asio/buffer.hpp>
#include <boost/beast/http/error.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/vector_body.hpp>
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
constexpr char kNeverSent[] = "kvclient/never-sent";

using Wiped = base::WipingAllocator<char>;
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

// What the parser has not used yet, and the parser.
absl::StatusOr<HttpResponse> ReadResponse(Connection& connection, Deadline deadline) {
  Parser parser;
  parser.header_limit(kMaxHeaders);
  parser.body_limit(kMaxBody);
  parser.eager(true);
  std::vector<char, Wiped> unparsed;
  std::vector<char, Wiped> chunk(kReadSize);
  boost::system::error_code error;
  while (!parser.is_done()) {
    ASSIGN_OR_RETURN(const std::size_t got, connection.Read(chunk, deadline));
    if (got == 0) {
      if (!parser.got_some()) return Garbage(error);
      parser.put_eof(error);
      if (error) return Garbage(error);
      break;
    }
    unparsed.insert(unparsed.end(), chunk.begin(),
                    chunk.begin() + static_cast<std::ptrdiff_t>(got));
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
  }
  if (!parser.is_done()) return Garbage(error);
  HttpResponse response;
  response.status = static_cast<int>(parser.get().result_int());
  const auto location = parser.get()[http::field::location];
  response.location.assign(location.data(), location.size());
  const auto& body = parser.get().body();
  response.body = base::SecretBytes(std::string_view(body.data(), body.size()));
  return response;
}

}  // namespace

absl::StatusOr<HttpResponse> Exchange(const Address& address, SSL_CTX* context,
                                      const HttpRequest& request, const Timeouts& timeouts) {
  const Deadline total = Deadline::In(timeouts.total);
  absl::StatusOr<std::unique_ptr<Connection>> connection =
      Connection::Open(address, context, Deadline::Earlier(total, Deadline::In(timeouts.connect)));
  if (!connection.ok()) {
    absl::Status status = connection.status();
    MarkNeverSent(status);
    return status;
  }
  RETURN_IF_ERROR((*connection)->Write(Text(address, request).view(), total));
  return ReadResponse(**connection, total);
}

bool NeverSent(const absl::Status& status) { return status.GetPayload(kNeverSent).has_value(); }

void MarkNeverSent(absl::Status& status) { status.SetPayload(kNeverSent, absl::Cord()); }

}  // namespace kvclient
