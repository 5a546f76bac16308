#include "goplugin/health.h"

#include "goplugin/health.grpc.pb.h"

namespace goplugin {
namespace {

using grpc::health::v1::Health;
using grpc::health::v1::HealthCheckRequest;
using grpc::health::v1::HealthCheckResponse;

grpc::Status Check(grpc::ServerContext*, const HealthCheckRequest* request,
                   HealthCheckResponse* response) {
  if (!request->service().empty() && request->service() != "plugin") {
    return {grpc::StatusCode::NOT_FOUND, "no such service"};
  }
  response->set_status(HealthCheckResponse::SERVING);
  return grpc::Status::OK;
}

}  // namespace

void RegisterHealth(Calls& calls) {
  calls.Answer(calls.Add<Health::AsyncService>(), &Health::AsyncService::RequestCheck, Check);
}

}  // namespace goplugin
