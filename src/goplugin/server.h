#ifndef GOPLUGIN_SERVER_H_
#define GOPLUGIN_SERVER_H_

#include <grpcpp/grpcpp.h>

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "base/logger.h"
#include "goplugin/automtls.h"
#include "goplugin/broker_service.h"
#include "goplugin/calls.h"
#include "goplugin/controller.h"
#include "goplugin/handshake.h"
#include "goplugin/leaving.h"
#include "goplugin/listener.h"
#include "goplugin/serve.h"
#include "goplugin/stdio.h"

namespace goplugin {

// A plugin's gRPC server with go-plugin's services and the plugin's own. Owns all of it except the
// plugin's services. What Serve() does, without what it does to the process. Not thread-safe.
class Server {
 public:
  // Serves when it returns. `leaving` and `logger` must outlive the server.
  static absl::StatusOr<std::unique_ptr<Server>> Start(const ServeConfig& config,
                                                       const HandshakeRequest& request,
                                                       base::Clock* clock, Leaving* leaving,
                                                       base::Logger* logger);
  // Stops without patience for calls under way.
  ~Server();

  // What the host is waiting for on our stdout.
  const std::string& handshake_line() const { return handshake_line_; }
  // Whether the host has come; from then on we notice when it is gone.
  bool host_seen() const { return broker_.host_seen(); }

  // Removes the socket, ends go-plugin's streams, and waits until the calls under way are done;
  // after `patience` they are cancelled and waited for. Idempotent.
  void Stop(absl::Duration patience);

 private:
  Server(MutualTls tls, std::unique_ptr<Listener> listener, Leaving* leaving, base::Logger* logger);
  absl::Status Build(const ServeConfig& config, base::Logger* logger);

  const MutualTls tls_;
  const std::unique_ptr<Listener> listener_;
  std::string handshake_line_;
  BrokerService broker_;
  ControllerService controller_;
  StdioService stdio_;
  std::unique_ptr<Calls> calls_;
  std::unique_ptr<grpc::experimental::ExternalConnectionAcceptor> acceptor_;
  std::unique_ptr<grpc::Server> server_;
};

}  // namespace goplugin

#endif  // GOPLUGIN_SERVER_H_
