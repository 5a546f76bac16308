// The host's side of a mount: the storage and the system view that it serves to a plugin, over real
// gRPC in this process, with answers to order and a record of what was called.
#ifndef TESTS_UNIT_SDK_SCRIPTED_HOST_H_
#define TESTS_UNIT_SDK_SCRIPTED_HOST_H_

#include <grpcpp/grpcpp.h>

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "goplugin/broker.h"
#include "goplugin/calls.h"
#include "openbao/backend.grpc.pb.h"

namespace testing_support {

// How a channel reaches its server. Only one over a socket may be used once its server has stopped:
// gRPC 1.51 then crashes on one within the process.
enum class Reach { kInProcess, kSocket };

// A gRPC server in this process, and a channel to it. Neither limits the size of a message.
class LocalServer {
 public:
  explicit LocalServer(const std::vector<grpc::Service*>& services,
                       Reach reach = Reach::kInProcess);
  // Answers what is registered by `answer`. Over a socket.
  explicit LocalServer(const std::function<void(goplugin::Calls&)>& answer);
  ~LocalServer();

  std::shared_ptr<grpc::Channel> channel() { return channel_; }
  // Another one. Over a socket only.
  std::shared_ptr<grpc::Channel> Connect();
  // Every later call fails as it does when the other side has gone. Over a socket only.
  void Stop();

 private:
  LocalServer(const std::vector<grpc::Service*>& services, Reach reach,
              const std::function<void(goplugin::Calls&)>& answer);

  std::string address_;
  std::unique_ptr<goplugin::Calls> calls_;
  std::unique_ptr<grpc::Server> server_;
  std::shared_ptr<grpc::Channel> channel_;
};

// What the host does with one call.
struct Answer {
  // The text in the reply; nothing is done if there is one.
  std::string err = {};
  // Anything but OK is a transport failure; nothing is done then.
  grpc::StatusCode code = grpc::StatusCode::OK;
  // Runs first, with no lock held.
  std::function<void(grpc::ServerContext&)> before = {};
};

// Thread-safe. Calls are recorded as "Name KEY", with " in TXN" for those that name a transaction.
class ScriptedHost {
 public:
  explicit ScriptedHost(Reach reach = Reach::kInProcess);

  // Always the same channel. This object must outlive what is returned.
  goplugin::Connect connect() {
    return [this] { return server_.channel(); };
  }
  std::shared_ptr<grpc::Channel> Connect() { return server_.Connect(); }
  void Stop() { server_.Stop(); }

  // The next call named `name` ("Get", "Commit", …) that has no answer ordered yet is answered so.
  void Once(const std::string& name, Answer answer);
  // Every call of that name for which nothing is ordered by Once is answered so.
  void Always(const std::string& name, Answer answer);

  std::vector<std::string> calls();
  int Count(std::string_view name);
  // What is stored; a transaction writes straight to it.
  std::map<std::string, std::string> content();
  void Set(const std::string& key, const std::string& value);

  void set_transactional(bool transactional);
  void set_replication_state(std::int32_t state);
  // BeginTx then answers with an empty id.
  void set_no_ids();

 private:
  class StorageService final : public pb::Storage::Service {
   public:
    explicit StorageService(ScriptedHost& host) : host_(host) {}
    grpc::Status List(grpc::ServerContext* context, const pb::StorageListArgs* args,
                      pb::StorageListReply* reply) override;
    grpc::Status ListPage(grpc::ServerContext* context, const pb::StorageListPageArgs* args,
                          pb::StorageListReply* reply) override;
    grpc::Status Get(grpc::ServerContext* context, const pb::StorageGetArgs* args,
                     pb::StorageGetReply* reply) override;
    grpc::Status Put(grpc::ServerContext* context, const pb::StoragePutArgs* args,
                     pb::StoragePutReply* reply) override;
    grpc::Status Delete(grpc::ServerContext* context, const pb::StorageDeleteArgs* args,
                        pb::StorageDeleteReply* reply) override;
    grpc::Status IsTransactional(grpc::ServerContext* context, const pb::Empty*,
                                 pb::StorageIsTransactionalReply* reply) override;
    grpc::Status BeginReadOnlyTx(grpc::ServerContext* context, const pb::Empty*,
                                 pb::StorageBeginTxReply* reply) override;
    grpc::Status BeginTx(grpc::ServerContext* context, const pb::Empty*,
                         pb::StorageBeginTxReply* reply) override;
    grpc::Status Commit(grpc::ServerContext* context, const pb::StorageCommitTxArgs* args,
                        pb::StorageCommitTxReply* reply) override;
    grpc::Status Rollback(grpc::ServerContext* context, const pb::StorageRollbackTxArgs* args,
                          pb::StorageRollbackTxReply* reply) override;

   private:
    ScriptedHost& host_;
  };

  class SystemService final : public pb::SystemView::Service {
   public:
    explicit SystemService(ScriptedHost& host) : host_(host) {}
    grpc::Status ReplicationState(grpc::ServerContext* context, const pb::Empty*,
                                  pb::ReplicationStateReply* reply) override;

   private:
    ScriptedHost& host_;
  };

  // Records the call and finds its answer; runs the answer's `before`.
  Answer Take(grpc::ServerContext& context, const std::string& name, const std::string& key,
              const std::string& txn);
  std::vector<std::string> Names(const std::string& prefix, const std::string& after, int limit);
  std::string NewId();

  absl::Mutex mutex_;
  std::map<std::string, std::deque<Answer>> once_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, Answer> always_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::string> calls_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, std::string> content_ ABSL_GUARDED_BY(mutex_);
  bool transactional_ ABSL_GUARDED_BY(mutex_) = true;
  std::int32_t replication_state_ ABSL_GUARDED_BY(mutex_) = 0;
  bool no_ids_ ABSL_GUARDED_BY(mutex_) = false;
  int transactions_ ABSL_GUARDED_BY(mutex_) = 0;

  StorageService storage_{*this};
  SystemService system_{*this};
  // Last: it must be gone before what it serves.
  LocalServer server_;
};

}  // namespace testing_support

#endif  // TESTS_UNIT_SDK_SCRIPTED_HOST_H_
