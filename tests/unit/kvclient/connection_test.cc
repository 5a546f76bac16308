#include "kvclient/connection.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <vector>

#include "absl/time/clock.h"
#include "support/status_matchers.h"

namespace kvclient {
namespace {

using ::testing_support::IsOk;
using ::testing_support::StatusIs;

// A socket that listens on loopback, and may take no more connections: then nothing comes back from
// it, as from a dead pod.
class Listener {
 public:
  explicit Listener(bool is_full) {
    endpoint_.address.ss_family = AF_INET;
    auto* address = reinterpret_cast<sockaddr_in*>(&endpoint_.address);
    address->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    endpoint_.size = sizeof *address;
    auto* generic = reinterpret_cast<sockaddr*>(&endpoint_.address);
    EXPECT_EQ(bind(socket_, generic, endpoint_.size), 0);
    EXPECT_EQ(listen(socket_, is_full ? 0 : 8), 0);
    EXPECT_EQ(getsockname(socket_, generic, &endpoint_.size), 0);
    for (int i = 0; is_full && i < 4; ++i) {
      const int filling = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
      EXPECT_TRUE(connect(filling, generic, endpoint_.size) == 0 || errno == EINPROGRESS);
      filling_.push_back(filling);
    }
  }
  ~Listener() {
    for (const int filling : filling_) close(filling);
    close(socket_);
  }
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;

  const Endpoint& endpoint() const { return endpoint_; }

 private:
  const int socket_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  Endpoint endpoint_{};
  std::vector<int> filling_;
};

TEST(Connection, GoesOnToTheNextAddressWithinTheTime) {
  const Listener dead(/*is_full=*/true);
  const Listener alive(/*is_full=*/false);
  const Address address{.tls = false, .host = "two.example.com", .port = 80, .prefix = ""};
  const auto open = [&](std::vector<Endpoint> endpoints) {
    return Connection::OpenAny(endpoints, address, nullptr, Deadline::In(absl::Milliseconds(600)));
  };
  const absl::Time began = absl::Now();
  EXPECT_THAT(open({dead.endpoint(), dead.endpoint(), alive.endpoint()}), IsOk());
  EXPECT_GT(absl::Now() - began, absl::Milliseconds(350));
  EXPECT_LT(absl::Now() - began, absl::Milliseconds(590));
  EXPECT_THAT(open({alive.endpoint(), dead.endpoint()}), IsOk());
  const absl::Time before = absl::Now();
  EXPECT_THAT(open({dead.endpoint(), dead.endpoint()}),
              StatusIs(absl::StatusCode::kDeadlineExceeded, ::testing::HasSubstr("in time")));
  EXPECT_LT(absl::Now() - before, absl::Milliseconds(900));
}

}  // namespace
}  // namespace kvclient
