#ifndef GOPLUGIN_HEALTH_H_
#define GOPLUGIN_HEALTH_H_

#include <grpcpp/grpcpp.h>

#include "goplugin/health.grpc.pb.h"

namespace goplugin {

// Says that the service "plugin" serves, and the server as a whole: that is how the host pings us.
// Watch is not implemented. (gRPC's own health service would cost two more threads.) Thread-safe.
class HealthService final : public grpc::health::v1::Health::Service {
 public:
  grpc::Status Check(grpc::ServerContext* context,
                     const grpc::health::v1::HealthCheckRequest* request,
                     grpc::health::v1::HealthCheckResponse* response) override;
};

}  // namespace goplugin

#endif  // GOPLUGIN_HEALTH_H_
