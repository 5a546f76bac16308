#ifndef TESTS_UNIT_GOPLUGIN_TEST_SERVICE_H_
#define TESTS_UNIT_GOPLUGIN_TEST_SERVICE_H_

#include <grpcpp/grpcpp.h>
#include <grpcpp/impl/service_type.h>

#include <cstdint>
#include <memory>
#include <string>

#include "absl/synchronization/notification.h"
#include "base/logger.h"
#include "goplugin/broker.h"
#include "goplugin/broker.pb.h"
#include "goplugin/calls.h"

namespace goplugin {

// A service of a plugin's own, and of the host's servers that it dials. Made by hand, since it
// needs nothing but bytes.
class TestService final : public grpc::Service {
 public:
  // Without a broker it can't relay; a logger is told "hanging". Both must outlive it.
  explicit TestService(Broker* broker = nullptr, base::Logger* logger = nullptr);

  // Answers as `calls` do, rather than by gRPC's own threads.
  void Register(Calls& calls);

  using Message = plugin::ConnInfo;
  grpc::Status Echo(grpc::ServerContext*, const Message* in, Message* out);
  grpc::Status Relay(grpc::ServerContext*, const Message* in, Message* out);
  grpc::Status Hang(grpc::ServerContext*, const Message* in, Message* out);

  // Released by the test to let Hang calls go on.
  absl::Notification release_hanging;
  // Notified when the first Hang call has begun; at most one such call.
  absl::Notification hanging;

 private:
  Broker* const broker_;
  base::Logger* const logger_;
};

// Echo: the same bytes.
grpc::Status CallEcho(const std::shared_ptr<grpc::Channel>& channel, const std::string& bytes,
                      std::string* echoed);
// Relay: the plugin dials the host's server `service_id`, which echoes the bytes.
grpc::Status CallRelay(const std::shared_ptr<grpc::Channel>& channel, std::uint32_t service_id,
                       const std::string& bytes, std::string* echoed);
// Hang: answers after `release_hanging`, whatever happens before.
grpc::Status CallHang(const std::shared_ptr<grpc::Channel>& channel);

}  // namespace goplugin

#endif  // TESTS_UNIT_GOPLUGIN_TEST_SERVICE_H_
