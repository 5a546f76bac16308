#include "sdk/transport/backend_service.h"

#include <grpcpp/channel.h>
#include <grpcpp/server_context.h>

#include <exception>
#include <functional>
#include <typeinfo>
#include <utility>

#include "absl/strings/strip.h"
#include "base/status_macros.h"
#include "base/text.h"
#include "base/turn.h"
#include "openbao/backend.grpc.pb.h"
#include "sdk/transport/errors.h"
#include "sdk/transport/storage_client.h"

namespace openbao {
namespace {

constexpr std::uint32_t kSecretsEngine = 1;

std::string MountId(const grpc::ServerContext& context) {
  const auto& metadata = context.client_metadata();
  const auto at = metadata.find("multiplex_id");
  return at == metadata.end() ? std::string() : std::string(at->second.data(), at->second.size());
}

class CallContext final : public Context {
 public:
  explicit CallContext(const grpc::ServerContext& context) : context_(context) {}
  bool Cancelled() const override { return context_.IsCancelled(); }

 private:
  const grpc::ServerContext& context_;
};

bool EndsInSlash(Operation operation) {
  return operation == Operation::kList || operation == Operation::kScan ||
         operation == Operation::kHelp;
}

absl::StatusOr<Request> ToRequest(const pb::Request& wire) {
  Request request;
  request.id = wire.id();
  request.operation = ParseOperation(wire.operation());
  request.path = wire.path();
  // LIST arrives with a slash at the end. Anywhere else "path/" is another path than "path", to the
  // host's policies too: answering it as the same would get past a rule on the exact path.
  if (EndsInSlash(request.operation)) {
    request.path = std::string(absl::StripSuffix(wire.path(), "/"));
  }
  request.mount_point = wire.mount_point();
  request.entity_id = wire.entity_id();
  request.display_name = wire.display_name();
  request.client_token_accessor = wire.client_token_accessor();
  request.remote_address = wire.connection().remote_addr();
  // "resolve-path" comes before each request with the same body: only the request itself answers
  // with what is wrong in it.
  if (request.operation == Operation::kOther || wire.data().empty()) return request;
  base::PassTurnOnFor(wire.data().size());
  absl::StatusOr<base::Json> data = base::ParseJson(wire.data());
  if (!data.ok()) {
    return absl::InvalidArgumentError(base::Cat("the request's body: ", data.status().message()));
  }
  if (data->is_null()) return request;
  if (!data->is_object())
    return absl::InvalidArgumentError("the request's body: expected a JSON object");
  request.data = *std::move(data);
  return request;
}

absl::Status SetResponse(const Response& response, pb::Response& wire) {
  ASSIGN_OR_RETURN(const base::SecretBytes data, base::DumpJson(response.data));
  wire.set_data(data.view().data(), data.size());
  for (const std::string& warning : response.warnings) wire.add_warnings(warning);
  return absl::OkStatus();
}

// A handler's exception is a defect; it must not take the other mounts of this process with it, and
// its text is not ours to show.
absl::StatusOr<std::optional<Response>> Handle(Backend& backend, const Request& request,
                                               base::Logger& logger) {
  try {
    return backend.HandleRequest(request);
  } catch (const std::exception& error) {
    logger.Error("a handler threw an exception; this is a defect, please report it",
                 {{"exception", typeid(error).name()},
                  {"operation", std::string(OperationName(request.operation))},
                  {"mount", request.mount_point}});
    return absl::InternalError(
        "the plugin failed on this request; this is a defect, please report it");
  }
}

grpc::Status NoInstance() {
  return {grpc::StatusCode::FAILED_PRECONDITION, "no backend was set up for this mount"};
}

}  // namespace

struct BackendService::Instance {
  Instance(goplugin::Connect connect, ConnectionPool& connections)
      : connection(std::move(connect), connections), storage(connection), system(connection) {}

  HostConnection connection;
  StorageHost storage;
  SystemViewClient system;
  std::unique_ptr<Backend> backend;
};

BackendService::BackendService(BackendFactory factory, Locate locate, base::Logger& logger)
    : factory_(std::move(factory)), locate_(std::move(locate)), logger_(logger) {}

BackendService::~BackendService() = default;

void BackendService::Register(goplugin::Calls& calls) {
  using Service = pb::Backend::AsyncService;
  Service& service = calls.Add<Service>();
  const auto answer = [&](auto request, auto method) {
    calls.Answer(service, request, std::bind_front(method, this));
  };
  answer(&Service::RequestSetup, &BackendService::Setup);
  answer(&Service::RequestInitialize, &BackendService::Initialize);
  answer(&Service::RequestHandleRequest, &BackendService::HandleRequest);
  answer(&Service::RequestHandleExistenceCheck, &BackendService::HandleExistenceCheck);
  answer(&Service::RequestSpecialPaths, &BackendService::SpecialPaths);
  answer(&Service::RequestInvalidateKey, &BackendService::InvalidateKey);
  answer(&Service::RequestCleanup, &BackendService::Cleanup);
  answer(&Service::RequestType, &BackendService::Type);
}

std::shared_ptr<BackendService::Instance> BackendService::Find(const grpc::ServerContext& context) {
  absl::MutexLock lock(&mutex_);
  const auto at = instances_.find(MountId(context));
  return at == instances_.end() ? nullptr : at->second;
}

grpc::Status BackendService::Setup(grpc::ServerContext* context, const pb::SetupArgs* args,
                                   pb::SetupReply* reply) {
  absl::StatusOr<goplugin::Connect> connect = locate_(args->broker_id());
  if (!connect.ok()) {
    logger_.Error("cannot reach the server for a new mount",
                  {{"error", std::string(connect.status().message())}});
    return {grpc::StatusCode::UNAVAILABLE, std::string(connect.status().message())};
  }
  // It connects when it is first used: a TLS handshake costs both processes more than all else that
  // setting a mount up takes, and a server that unseals sets all its mounts up one after the other.
  auto instance = std::make_shared<Instance>(*std::move(connect), connections_);
  BackendConfig config;
  config.logger = &logger_;
  config.system = &instance->system;
  config.options.insert(args->config().begin(), args->config().end());
  config.uuid = args->backenduuid();
  absl::StatusOr<std::unique_ptr<Backend>> backend = factory_(config);
  if (!backend.ok()) {
    reply->set_err(std::string(backend.status().message()));
    return grpc::Status::OK;
  }
  instance->backend = *std::move(backend);
  // `instance` is declared before the lock, so what this replaces is destroyed after it.
  absl::MutexLock lock(&mutex_);
  instances_[MountId(*context)].swap(instance);
  return grpc::Status::OK;
}

grpc::Status BackendService::Initialize(grpc::ServerContext* context, const pb::InitializeArgs*,
                                        pb::InitializeReply* reply) {
  const auto instance = Find(*context);
  if (instance == nullptr) return NoInstance();
  StorageClient storage(instance->storage, context);
  if (const absl::Status status = instance->backend->Initialize(storage); !status.ok()) {
    reply->mutable_err()->set_err_type(static_cast<std::uint32_t>(ErrorType::kUnknown));
    reply->mutable_err()->set_err_msg(std::string(status.message()));
  }
  return grpc::Status::OK;
}

grpc::Status BackendService::HandleRequest(grpc::ServerContext* context,
                                           const pb::HandleRequestArgs* args,
                                           pb::HandleRequestReply* reply) {
  const auto instance = Find(*context);
  if (instance == nullptr) return NoInstance();
  absl::StatusOr<Request> request = ToRequest(args->request());
  if (!request.ok()) {
    SetError(request.status(), *reply);
    return grpc::Status::OK;
  }
  const CallContext call(*context);
  StorageClient storage(instance->storage, context);
  request->context = &call;
  request->storage = &storage;
  const absl::StatusOr<std::optional<Response>> response =
      Handle(*instance->backend, *request, logger_);
  absl::Status status = response.status();
  if (status.ok() && response->has_value())
    status = SetResponse(**response, *reply->mutable_response());
  if (!status.ok()) {
    reply->clear_response();
    SetError(status, *reply);
  }
  return grpc::Status::OK;
}

grpc::Status BackendService::HandleExistenceCheck(grpc::ServerContext*,
                                                  const pb::HandleExistenceCheckArgs*,
                                                  pb::HandleExistenceCheckReply* reply) {
  // Without a check every write is an update, which needs no storage to tell and one capability to
  // allow.
  reply->set_check_found(false);
  return grpc::Status::OK;
}

grpc::Status BackendService::SpecialPaths(grpc::ServerContext* context, const pb::Empty*,
                                          pb::SpecialPathsReply* reply) {
  const auto instance = Find(*context);
  if (instance == nullptr) return NoInstance();
  const openbao::SpecialPaths special = instance->backend->Special();
  pb::Paths& paths = *reply->mutable_paths();
  paths.mutable_root()->Assign(special.root.begin(), special.root.end());
  paths.mutable_unauthenticated()->Assign(special.unauthenticated.begin(),
                                          special.unauthenticated.end());
  paths.mutable_local_storage()->Assign(special.local_storage.begin(), special.local_storage.end());
  paths.mutable_seal_wrap_storage()->Assign(special.seal_wrap_storage.begin(),
                                            special.seal_wrap_storage.end());
  return grpc::Status::OK;
}

grpc::Status BackendService::InvalidateKey(grpc::ServerContext* context,
                                           const pb::InvalidateKeyArgs* args, pb::Empty*) {
  const auto instance = Find(*context);
  if (instance == nullptr) return NoInstance();
  instance->backend->InvalidateKey(args->key());
  return grpc::Status::OK;
}

grpc::Status BackendService::Cleanup(grpc::ServerContext* context, const pb::Empty*, pb::Empty*) {
  // Declared before the lock, so destroyed after it: a backend that is slow to go holds up no
  // other.
  std::shared_ptr<Instance> removed;
  absl::MutexLock lock(&mutex_);
  if (const auto at = instances_.find(MountId(*context)); at != instances_.end()) {
    removed = std::move(at->second);
    instances_.erase(at);
  }
  return grpc::Status::OK;
}

grpc::Status BackendService::Type(grpc::ServerContext*, const pb::Empty*, pb::TypeReply* reply) {
  reply->set_type(kSecretsEngine);
  return grpc::Status::OK;
}

}  // namespace openbao
