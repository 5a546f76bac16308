#include "goplugin/health.h"

namespace goplugin {

grpc::Status HealthService::Check(grpc::ServerContext* /*context*/,
                                  const grpc::health::v1::HealthCheckRequest* request,
                                  grpc::health::v1::HealthCheckResponse* response) {
  if (!request->service().empty() && request->service() != "plugin") {
    return grpc::Status(grpc::StatusCode::NOT_FOUND, "no such service");
  }
  response->set_status(grpc::health::v1::HealthCheckResponse::SERVING);
  return grpc::Status::OK;
}

}  // namespace goplugin
