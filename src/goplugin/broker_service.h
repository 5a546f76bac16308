#ifndef GOPLUGIN_BROKER_SERVICE_H_
#define GOPLUGIN_BROKER_SERVICE_H_

#include <grpcpp/grpcpp.h>

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "base/logger.h"
#include "goplugin/broker.h"
#include "goplugin/broker.pb.h"
#include "goplugin/calls.h"
#include "goplugin/leaving.h"

namespace goplugin {

// What the host has told and nobody has asked for yet is kept up to this many servers; then the one
// with the smallest number, which is the oldest, is forgotten.
inline constexpr std::size_t kMaxWaitingServers = 1024;

// gRPC's name for a server at an address as Go's net package writes it. INVALID_ARGUMENT unless
// network is "unix" with an absolute path, or "tcp" with the host as a number.
absl::StatusOr<std::string> DialTarget(std::string_view network, std::string_view address);

// The broker's server side. Thread-safe. Its stream lives as long as the host's connection, so the
// end of the last stream says that the host is gone.
class BrokerService final : public Broker {
 public:
  // `leaving` and `logger` must outlive it.
  BrokerService(std::shared_ptr<grpc::ChannelCredentials> credentials, Leaving* leaving,
                base::Logger* logger);

  absl::StatusOr<Connect> Locate(std::uint32_t service_id, absl::Duration timeout) override;

  // Whether the host has ever opened its stream.
  bool host_seen() const;

  // Ends the streams, and whatever waits in Locate, now and later.
  void Stop();

  // It must outlive the server.
  void Register(Calls& calls);

 private:
  struct Dialling;
  class Stream;

  // Whether the stream may be read.
  bool Begin(grpc::ServerContext* stream);
  void End(grpc::ServerContext* stream);
  void Remember(const plugin::ConnInfo& info);

  const std::shared_ptr<const Dialling> dialling_;
  Leaving* const leaving_;
  base::Logger* const logger_;

  mutable absl::Mutex mutex_;
  std::map<std::uint32_t, absl::StatusOr<std::string>> targets_ ABSL_GUARDED_BY(mutex_);
  std::set<grpc::ServerContext*> streams_ ABSL_GUARDED_BY(mutex_);
  bool host_seen_ ABSL_GUARDED_BY(mutex_) = false;
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace goplugin

#endif  // GOPLUGIN_BROKER_SERVICE_H_
