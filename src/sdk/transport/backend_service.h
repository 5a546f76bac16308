#ifndef SDK_TRANSPORT_BACKEND_SERVICE_H_
#define SDK_TRANSPORT_BACKEND_SERVICE_H_

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "absl/synchronization/mutex.h"
#include "base/logger.h"
#include "goplugin/calls.h"
#include "openbao/backend.pb.h"
#include "sdk/logical/backend.h"
#include "sdk/transport/host_connection.h"

namespace openbao {

// The host's calls, one backend instance a mount: each call names its mount in the metadata
// ("multiplex_id"), and instances share nothing but a bound on their connections to the host. Owns
// the instances and the connections.
// An instance removed while it serves a call lives until that call ends. Thread-safe.
class BackendService {
 public:
  // The way to the server that the host runs for a mount under this broker id.
  using Locate = std::function<absl::StatusOr<goplugin::Connect>(std::uint32_t broker_id)>;

  // `logger` is good while calls are served, not in a backend's destructor.
  BackendService(BackendFactory factory, Locate locate, base::Logger& logger);
  ~BackendService();

  // It must outlive the server.
  void Register(goplugin::Calls& calls);

 private:
  struct Instance;

  grpc::Status Setup(grpc::ServerContext*, const pb::SetupArgs*, pb::SetupReply*);
  grpc::Status Initialize(grpc::ServerContext*, const pb::InitializeArgs*, pb::InitializeReply*);
  grpc::Status HandleRequest(grpc::ServerContext*, const pb::HandleRequestArgs*,
                             pb::HandleRequestReply*);
  grpc::Status HandleExistenceCheck(grpc::ServerContext*, const pb::HandleExistenceCheckArgs*,
                                    pb::HandleExistenceCheckReply*);
  grpc::Status SpecialPaths(grpc::ServerContext*, const pb::Empty*, pb::SpecialPathsReply*);
  grpc::Status InvalidateKey(grpc::ServerContext*, const pb::InvalidateKeyArgs*, pb::Empty*);
  grpc::Status Cleanup(grpc::ServerContext*, const pb::Empty*, pb::Empty*);
  grpc::Status Type(grpc::ServerContext*, const pb::Empty*, pb::TypeReply*);

  std::shared_ptr<Instance> Find(const grpc::ServerContext& context);

  const BackendFactory factory_;
  const Locate locate_;
  base::Logger& logger_;
  ConnectionPool connections_{kMostConnections};
  absl::Mutex mutex_;
  std::map<std::string, std::shared_ptr<Instance>, std::less<>> instances_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace openbao

#endif  // SDK_TRANSPORT_BACKEND_SERVICE_H_
