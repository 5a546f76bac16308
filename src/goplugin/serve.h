// A go-plugin plugin process: handshake, mutual TLS, go-plugin's own services, and leaving in time.
#ifndef GOPLUGIN_SERVE_H_
#define GOPLUGIN_SERVE_H_

#include <grpcpp/grpcpp.h>

#include <functional>
#include <string>

#include "absl/time/time.h"
#include "base/logger.h"
#include "goplugin/broker.h"
#include "goplugin/calls.h"

namespace goplugin {

struct ServeConfig {
  // The variable by which the host says that it, and no person, starts this program, and its value.
  std::string cookie_key;
  std::string cookie_value;
  // The version of the plugin's services that we serve.
  int protocol_version = 0;

  // For people: who this is, and what to do with a plugin that was run by hand.
  std::string program_name;
  std::string program_version;
  std::string how_to_run;

  // Says what the plugin answers: to `calls`, or as synchronous services to `builder`, which start
  // threads of their own. Called once, before the server starts. Services must outlive Serve(); the
  // broker and the logger live until Serve() returns and may be used by handlers only.
  std::function<void(grpc::ServerBuilder& builder, Calls& calls, Broker& broker,
                     base::Logger& logger)>
      register_services;

  base::LogLevel min_log_level = base::LogLevel::kDebug;
  // How long calls under way may go on when we leave. The host kills 2 s after it asked us to
  // leave.
  absl::Duration leave_timeout = absl::Seconds(1);
};

// Serves until the host asks to leave, is gone, or SIGTERM comes. Call it from main, before any
// other thread is started: it changes the process (signals, limits, stdout). Returns the exit code.
int Serve(const ServeConfig& config);

}  // namespace goplugin

#endif  // GOPLUGIN_SERVE_H_
