#include "sdk/transport/serve.h"

#include <iostream>
#include <memory>
#include <span>
#include <string_view>

#include "absl/strings/str_cat.h"
#include "goplugin/serve.h"
#include "openbao/logical.grpc.pb.h"
#include "openbao/multiplexing.grpc.pb.h"
#include "sdk/transport/backend_service.h"

namespace openbao {
namespace {

// What OpenBao starts a backend plugin with (openbao sdk/plugin/serve.go).
constexpr char kCookieKey[] = "VAULT_BACKEND_PLUGIN";
constexpr char kCookieValue[] = "6669da05-b1c8-4f49-97d9-c8e5bed98e20";
constexpr int kProtocolVersion = 5;

void RegisterVersion(goplugin::Calls& calls, const std::string& version) {
  using Service = logical::PluginVersion::AsyncService;
  calls.Answer(
      calls.Add<Service>(), &Service::RequestVersion,
      [version](grpc::ServerContext*, const logical::Empty*, logical::VersionReply* reply) {
        reply->set_plugin_version(version);
        return grpc::Status::OK;
      });
}

// One process serves every mount: a mount more costs it some KiB, and a connection only while it is
// used.
void RegisterMultiplexing(goplugin::Calls& calls) {
  using Service = pluginutil::multiplexing::PluginMultiplexing::AsyncService;
  calls.Answer(calls.Add<Service>(), &Service::RequestMultiplexingSupport,
               [](grpc::ServerContext*, const pluginutil::multiplexing::MultiplexingSupportRequest*,
                  pluginutil::multiplexing::MultiplexingSupportResponse* reply) {
                 reply->set_supported(true);
                 return grpc::Status::OK;
               });
}

std::string HowToRun(const BackendPlugin& plugin) {
  return absl::StrCat(
      "A secrets engine that OpenBao starts itself. Put it into the server's plugin_directory, "
      "then:\n\n"
      "  bao plugin register -sha256=$(sha256sum ",
      plugin.name,
      " | cut -d' ' -f1) \\\n"
      "      -version=",
      plugin.version, " -command=", plugin.name, " secret ", plugin.type, "\n  bao secrets enable ",
      plugin.type, "\n");
}

}  // namespace

int ServeBackend(const BackendPlugin& plugin, int argc, char** argv) {
  const std::string how_to_run = HowToRun(plugin);
  for (std::string_view argument : std::span(argv, static_cast<std::size_t>(argc)).subspan(1)) {
    if (argument == "--version") {
      std::cout << plugin.name << " " << plugin.version << "\n";
      return 0;
    }
    if (argument == "--help" || argument == "-h") {
      std::cout << plugin.name << " " << plugin.version << "\n\n" << how_to_run;
      return 0;
    }
  }

  std::unique_ptr<BackendService> backend;

  goplugin::ServeConfig config;
  config.cookie_key = kCookieKey;
  config.cookie_value = kCookieValue;
  config.protocol_version = kProtocolVersion;
  config.program_name = plugin.name;
  config.program_version = plugin.version;
  config.how_to_run = how_to_run;
  config.register_services = [&](grpc::ServerBuilder&, goplugin::Calls& calls,
                                 goplugin::Broker& broker, base::Logger& logger) {
    backend = std::make_unique<BackendService>(
        plugin.factory,
        [&broker](std::uint32_t id) { return broker.Locate(id, goplugin::kMaxDialWait); }, logger);
    RegisterVersion(calls, plugin.version);
    RegisterMultiplexing(calls);
    backend->Register(calls);
  };
  return goplugin::Serve(config);
}

}  // namespace openbao
