#include "goplugin/controller.h"

namespace goplugin {

grpc::Status ControllerService::Shutdown(grpc::ServerContext* /*context*/,
                                         const plugin::Empty* /*request*/,
                                         plugin::Empty* /*response*/) {
  // The server's shutdown lets this call finish.
  leaving_->Leave(LeaveReason::kShutdown);
  return grpc::Status::OK;
}

}  // namespace goplugin
