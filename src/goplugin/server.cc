#include "goplugin/server.h"

#include <utility>

#include "base/status_macros.h"
#include "goplugin/flow_control.h"
#include "goplugin/health.h"

namespace goplugin {
namespace {

// A connection that hasn't finished its TLS handshake by then is closed.
constexpr int kHandshakeTimeoutMs = 5000;

}  // namespace

absl::StatusOr<std::unique_ptr<Server>> Server::Start(const ServeConfig& config,
                                                      const HandshakeRequest& request,
                                                      base::Clock* clock, Leaving* leaving,
                                                      base::Logger* logger) {
  RETURN_IF_ERROR(CheckProtocolVersion(request, config.protocol_version));
  ASSIGN_OR_RETURN(Identity identity, MakeIdentity(clock->Now()));
  ASSIGN_OR_RETURN(MutualTls tls, MakeMutualTls(std::move(identity), request.host_certificate_pem));
  ASSIGN_OR_RETURN(std::unique_ptr<Listener> listener,
                   Listener::Open(request.socket_directory, logger));
  std::unique_ptr<Server> server(new Server(std::move(tls), std::move(listener), leaving, logger));
  RETURN_IF_ERROR(server->Build(config, logger));
  server->handshake_line_ = HandshakeLine(request, config.protocol_version,
                                          server->listener_->path(), server->tls_.certificate_der);
  return server;
}

Server::Server(MutualTls tls, std::unique_ptr<Listener> listener, Leaving* leaving,
               base::Logger* logger)
    : tls_(std::move(tls)),
      listener_(std::move(listener)),
      broker_(tls_.channel, leaving, logger),
      controller_(leaving) {}

Server::~Server() { Stop(absl::ZeroDuration()); }

absl::Status Server::Build(const ServeConfig& config, base::Logger* logger) {
  using grpc::ServerBuilder;
  using External = ServerBuilder::experimental_type::ExternalConnectionType;
  ServerBuilder builder;
  builder.SetMaxReceiveMessageSize(-1);
  builder.SetMaxSendMessageSize(-1);
  builder.AddChannelArgument(GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS, kHandshakeTimeoutMs);
  for (const auto& [name, value] : kFlowControl) builder.AddChannelArgument(name, value);
  calls_ = std::make_unique<Calls>(builder);
  broker_.Register(*calls_);
  controller_.Register(*calls_);
  RegisterHealth(*calls_);
  stdio_.Register(*calls_);
  if (config.register_services) config.register_services(builder, *calls_, broker_, *logger);
  acceptor_ = builder.experimental().AddExternalConnectionAcceptor(External::FROM_FD, tls_.server);
  server_ = builder.BuildAndStart();
  if (server_ == nullptr || !calls_->Start()) {
    return absl::InternalError("the gRPC server could not be started");
  }
  listener_->Start([this](Fd connection) {
    grpc::experimental::ExternalConnectionAcceptor::NewConnectionParameters parameters;
    parameters.fd = connection.Release();
    acceptor_->HandleNewConnection(&parameters);
  });
  return absl::OkStatus();
}

void Server::Stop(absl::Duration patience) {
  listener_->Close();
  broker_.Stop();
  stdio_.Stop();
  if (server_ == nullptr) return;
  server_->Shutdown(absl::ToChronoTime(absl::Now() + patience));
  calls_->Stop();
  server_.reset();
}

}  // namespace goplugin
