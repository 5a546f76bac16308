#ifndef GOPLUGIN_CONTROLLER_H_
#define GOPLUGIN_CONTROLLER_H_

#include <grpcpp/grpcpp.h>

#include "goplugin/controller.grpc.pb.h"
#include "goplugin/leaving.h"

namespace goplugin {

// Lets the host ask us to leave. It is answered at once, since the host counts its 2 s of patience
// only from the answer. Thread-safe.
class ControllerService final : public plugin::GRPCController::Service {
 public:
  // `leaving` must outlive it.
  explicit ControllerService(Leaving* leaving) : leaving_(leaving) {}

  grpc::Status Shutdown(grpc::ServerContext* context, const plugin::Empty* request,
                        plugin::Empty* response) override;

 private:
  Leaving* const leaving_;
};

}  // namespace goplugin

#endif  // GOPLUGIN_CONTROLLER_H_
