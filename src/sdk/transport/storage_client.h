#ifndef SDK_TRANSPORT_STORAGE_CLIENT_H_
#define SDK_TRANSPORT_STORAGE_CLIENT_H_

#include <grpcpp/server_context.h>

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "openbao/backend.grpc.pb.h"
#include "sdk/logical/backend.h"
#include "sdk/logical/storage.h"
#include "sdk/transport/host_connection.h"

namespace openbao {

// What the clients of one mount share: the connection to the host, and whether its storage has
// transactions, which is asked once (an RPC costs as much as a read). Thread-safe.
class StorageHost {
 public:
  // `connection` must outlive this object.
  explicit StorageHost(HostConnection& connection) : connection_(connection) {}

  HostConnection& connection() { return connection_; }
  absl::StatusOr<bool> IsTransactional();

 private:
  HostConnection& connection_;
  enum class Transactional { kUnknown, kNo, kYes };
  std::atomic<Transactional> transactional_ = Transactional::kUnknown;
};

// The storage as one request sees it. Reads end with the request (its deadline, its caller's
// going); writes, once sent, wait for their outcome for up to a minute whatever the caller
// does, since a write abandoned half way has an unknown outcome. `request` may be nullptr and
// otherwise must outlive this object, as must `host`.
class StorageClient final : public TransactionalStorage {
 public:
  StorageClient(StorageHost& host, const grpc::ServerContext* request)
      : host_(host), request_(request) {}

  absl::StatusOr<std::optional<base::SecretBytes>> Get(std::string_view key) override;
  absl::Status Put(std::string_view key, const base::SecretBytes& value) override;
  absl::Status Delete(std::string_view key) override;
  absl::StatusOr<std::vector<std::string>> List(std::string_view prefix) override;
  absl::StatusOr<std::vector<std::string>> ListPage(std::string_view prefix, std::string_view after,
                                                    int limit) override;
  absl::StatusOr<bool> IsTransactional() override { return host_.IsTransactional(); }
  absl::StatusOr<std::unique_ptr<Transaction>> BeginTx() override;
  absl::StatusOr<std::unique_ptr<Transaction>> BeginReadOnlyTx() override;

 private:
  StorageHost& host_;
  const grpc::ServerContext* request_;
};

// The host's system view over RPC. Thread-safe.
class SystemViewClient final : public SystemView {
 public:
  // `connection` must outlive this object.
  explicit SystemViewClient(HostConnection& connection) : connection_(connection) {}
  absl::StatusOr<bool> PerformanceStandby() override;

 private:
  HostConnection& connection_;
};

}  // namespace openbao

#endif  // SDK_TRANSPORT_STORAGE_CLIENT_H_
