// The storage and the system view that the server gives to one plugin process.
#ifndef TESTS_HOST_STORAGE_SERVER_H_
#define TESTS_HOST_STORAGE_SERVER_H_

#include <grpcpp/grpcpp.h>

#include <atomic>
#include <functional>
#include <string>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "openbao/backend.grpc.pb.h"
#include "support/fault.h"
#include "support/tx_store.h"

namespace testing_support {

struct StorageCall {
  int number = 0;         // from 1, counted since the plan was set
  std::string name = {};  // "get", "put", "delete", "list", "begin", "commit", "rollback"
  std::string key = {};   // or the prefix
  std::string txn = {};
  int process = 0;  // which of the host's plugin processes it comes from, from 1
};

// What becomes of a call. `then` runs after the effect, before the answer.
struct Verdict {
  Verdict() = default;
  Verdict(Fault made) : fault(made) {}  // NOLINT(google-explicit-constructor): most need no more
  Fault fault = Fault::kNone;
  std::function<void()> then = {};
};

// Decides on each call, and may wait as long as it likes. Called by many threads at once.
using StoragePlan = std::function<Verdict(const StorageCall&)>;

// What outlives a plugin process: the stored content, and the plan. Thread-safe.
class StorageHub {
 public:
  TxStore& store() { return store_; }
  void set_plan(StoragePlan plan);
  std::vector<StorageCall> calls();
  void set_replication_state(int state) { replication_state_ = state; }
  int replication_state() const { return replication_state_; }

  // Counts the call and asks the plan.
  Verdict Judge(StorageCall call);

 private:
  TxStore store_;
  std::atomic<int> replication_state_ = 0;
  absl::Mutex mutex_;
  StoragePlan plan_ ABSL_GUARDED_BY(mutex_);
  std::vector<StorageCall> calls_ ABSL_GUARDED_BY(mutex_);
};

// pb.Storage over a hub, for one plugin process; `kill` ends that process. A call whose process is
// dead goes on to its effect, as one does that the server has already handed to raft.
class StorageServer final : public pb::Storage::Service {
 public:
  StorageServer(StorageHub& hub, int process, std::function<void()> kill)
      : hub_(hub), process_(process), kill_(std::move(kill)) {}

  // Calls that have not returned.
  int busy() const { return busy_; }

  grpc::Status List(grpc::ServerContext*, const pb::StorageListArgs* args,
                    pb::StorageListReply* reply) override;
  grpc::Status ListPage(grpc::ServerContext*, const pb::StorageListPageArgs* args,
                        pb::StorageListReply* reply) override;
  grpc::Status Get(grpc::ServerContext*, const pb::StorageGetArgs* args,
                   pb::StorageGetReply* reply) override;
  grpc::Status Put(grpc::ServerContext*, const pb::StoragePutArgs* args,
                   pb::StoragePutReply* reply) override;
  grpc::Status Delete(grpc::ServerContext*, const pb::StorageDeleteArgs* args,
                      pb::StorageDeleteReply* reply) override;
  grpc::Status IsTransactional(grpc::ServerContext*, const pb::Empty*,
                               pb::StorageIsTransactionalReply* reply) override;
  grpc::Status BeginReadOnlyTx(grpc::ServerContext*, const pb::Empty*,
                               pb::StorageBeginTxReply* reply) override;
  grpc::Status BeginTx(grpc::ServerContext*, const pb::Empty*,
                       pb::StorageBeginTxReply* reply) override;
  grpc::Status Commit(grpc::ServerContext*, const pb::StorageCommitTxArgs* args,
                      pb::StorageCommitTxReply* reply) override;
  grpc::Status Rollback(grpc::ServerContext*, const pb::StorageRollbackTxArgs* args,
                        pb::StorageRollbackTxReply* reply) override;

 private:
  // Runs `effect` (which fills the reply and returns the error text) as the plan says; `garble`
  // makes the reply nonsense.
  template <class Reply>
  grpc::Status Run(StorageCall call, Reply* reply, const std::function<std::string()>& effect,
                   const std::function<void()>& garble);

  StorageHub& hub_;
  const int process_;
  const std::function<void()> kill_;
  std::atomic<int> busy_ = 0;
};

class SystemServer final : public pb::SystemView::Service {
 public:
  explicit SystemServer(StorageHub& hub) : hub_(hub) {}
  grpc::Status ReplicationState(grpc::ServerContext*, const pb::Empty*,
                                pb::ReplicationStateReply* reply) override {
    reply->set_state(hub_.replication_state());
    return grpc::Status::OK;
  }

 private:
  StorageHub& hub_;
};

}  // namespace testing_support

#endif  // TESTS_HOST_STORAGE_SERVER_H_
