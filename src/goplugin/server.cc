#include "goplugin/server.h"

#include <utility>

#include "base/status_macros.h"
#include "goplugin/flow_control.h"

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
  builder.SetSyncServerOption(ServerBuilder::SyncServerOption::NUM_CQS, 1);
  builder.SetSyncServerOption(ServerBuilder::SyncServerOption::MIN_POLLERS, config.min_pollers);
  builder.SetSyncServerOption(ServerBuilder::SyncServerOption::MAX_POLLERS, config.max_pollers);
  builder.AddChannelArgument(GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS, kHandshakeTimeoutMs);
  for (const auto& [name, value] : kFlowControl) builder.AddChannelArgument(name, value);
  builder.RegisterService(&broker_);
  builder.RegisterService(&controller_);
  builder.RegisterService(&health_);
  builder.RegisterService(&stdio_);
  if (config.register_services) config.register_services(builder, broker_, *logger);
  acceptor_ = builder.experimental().AddExternalConnectionAcceptor(External::FROM_FD, tls_.server);
  server_ = builder.BuildAndStart();
  if (server_ == nullptr) return absl::InternalError("the gRPC server could not be started");
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
  server_.reset();
}

}  // namespace goplugin
