#include "goplugin/controller.h"

#include "goplugin/controller.grpc.pb.h"

namespace goplugin {

void ControllerService::Register(Calls& calls) {
  using Service = plugin::GRPCController::AsyncService;
  calls.Answer(calls.Add<Service>(), &Service::RequestShutdown,
               [this](grpc::ServerContext*, const plugin::Empty*, plugin::Empty*) {
                 // The server's shutdown lets this call finish.
                 leaving_->Leave(LeaveReason::kShutdown);
                 return grpc::Status::OK;
               });
}

}  // namespace goplugin
