// A plugin with nothing but the test service; serve_test.cc runs it.
#include <cstdio>
#include <memory>

#include "goplugin/serve.h"
#include "unit/goplugin/test_service.h"

int main() {
  std::unique_ptr<goplugin::TestService> service;
  goplugin::ServeConfig config;
  config.cookie_key = "TEST_COOKIE";
  config.cookie_value = "crumb";
  config.protocol_version = 5;
  config.program_name = "test-plugin";
  config.program_version = "v1.2.3";
  config.how_to_run = "To register it, ask a test.";
  config.leave_timeout = absl::Milliseconds(300);
  // On gRPC's own threads, which is allowed too.
  config.register_services = [&](grpc::ServerBuilder& builder, goplugin::Calls&,
                                 goplugin::Broker& broker, base::Logger& logger) {
    service = std::make_unique<goplugin::TestService>(&broker, &logger);
    builder.RegisterService(service.get());
  };
  const int code = goplugin::Serve(config);
  // The host must not see this.
  std::puts("late");
  return code;
}
