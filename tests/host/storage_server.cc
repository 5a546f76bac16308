#include "host/storage_server.h"

#include <utility>

namespace testing_support {
namespace {

constexpr char kGarbageText[] = "\x7b\"err\":[\"?\"],\"k\":\"g\xc3\xa4rbage\"\x7d";
// Not UTF-8, which a string on the wire must be: the reply can't be read at all.
constexpr char kBrokenText[] = "\xff\xfe\x80";

grpc::Status Lost() { return {grpc::StatusCode::UNAVAILABLE, "the connection broke"}; }

}  // namespace

void StorageHub::set_plan(StoragePlan plan) {
  absl::MutexLock lock(&mutex_);
  plan_ = std::move(plan);
  calls_.clear();
}

std::vector<StorageCall> StorageHub::calls() {
  absl::MutexLock lock(&mutex_);
  return calls_;
}

Verdict StorageHub::Judge(StorageCall call) {
  StoragePlan plan;
  {
    absl::MutexLock lock(&mutex_);
    call.number = static_cast<int>(calls_.size()) + 1;
    calls_.push_back(call);
    plan = plan_;
  }
  return plan ? plan(call) : Verdict();
}

template <class Reply>
grpc::Status StorageServer::Run(StorageCall call, Reply* reply,
                                const std::function<std::string()>& effect,
                                const std::function<void()>& garble) {
  ++busy_;
  call.process = process_;
  const Verdict verdict = hub_.Judge(std::move(call));
  if (TakesEffect(verdict.fault)) reply->set_err(effect());
  if (verdict.then) verdict.then();
  --busy_;
  switch (verdict.fault) {
    case Fault::kNone:
      return grpc::Status::OK;
    case Fault::kErrorBefore:
    case Fault::kErrorAfter:
      reply->Clear();
      reply->set_err("storage failed");
      return grpc::Status::OK;
    case Fault::kGarbage:
      reply->Clear();
      garble();
      return grpc::Status::OK;
    case Fault::kReadOnly:
      reply->set_err("cannot write to readonly storage");
      return grpc::Status::OK;
    case Fault::kTimeoutBefore:
    case Fault::kTimeoutAfter:
      return {grpc::StatusCode::DEADLINE_EXCEEDED, "the call's time is up"};
    case Fault::kLostBefore:
    case Fault::kLostAfter:
      return Lost();
    case Fault::kCrashBefore:
    case Fault::kCrashAfter:
      break;
  }
  kill_();
  return Lost();
}

grpc::Status StorageServer::List(grpc::ServerContext*, const pb::StorageListArgs* args,
                                 pb::StorageListReply* reply) {
  return Run(
      {.name = "list", .key = args->prefix(), .txn = args->txn()}, reply,
      [&] {
        for (std::string& name : hub_.store().List(args->txn(), args->prefix())) {
          reply->add_keys(std::move(name));
        }
        return "";
      },
      [&] { reply->add_keys(kGarbageText); });
}

grpc::Status StorageServer::ListPage(grpc::ServerContext*, const pb::StorageListPageArgs* args,
                                     pb::StorageListReply* reply) {
  return Run(
      {.name = "list", .key = args->prefix(), .txn = args->txn()}, reply,
      [&] {
        for (std::string& name :
             hub_.store().List(args->txn(), args->prefix(), args->after(), args->limit())) {
          reply->add_keys(std::move(name));
        }
        return "";
      },
      [&] { reply->add_keys(kGarbageText); });
}

grpc::Status StorageServer::Get(grpc::ServerContext*, const pb::StorageGetArgs* args,
                                pb::StorageGetReply* reply) {
  return Run(
      {.name = "get", .key = args->key(), .txn = args->txn()}, reply,
      [&] {
        if (auto value = hub_.store().Get(args->txn(), args->key()); value.has_value()) {
          reply->mutable_entry()->set_key(args->key());
          reply->mutable_entry()->set_value(*std::move(value));
        }
        return "";
      },
      [&] { reply->mutable_entry()->set_value(kGarbageText); });
}

grpc::Status StorageServer::Put(grpc::ServerContext*, const pb::StoragePutArgs* args,
                                pb::StoragePutReply* reply) {
  return Run(
      {.name = "put", .key = args->entry().key(), .txn = args->txn()}, reply,
      [&] { return hub_.store().Put(args->txn(), args->entry().key(), args->entry().value()); },
      [&] { reply->set_err(kBrokenText); });
}

grpc::Status StorageServer::Delete(grpc::ServerContext*, const pb::StorageDeleteArgs* args,
                                   pb::StorageDeleteReply* reply) {
  return Run(
      {.name = "delete", .key = args->key(), .txn = args->txn()}, reply,
      [&] { return hub_.store().Delete(args->txn(), args->key()); },
      [&] { reply->set_err(kGarbageText); });
}

grpc::Status StorageServer::IsTransactional(grpc::ServerContext*, const pb::Empty*,
                                            pb::StorageIsTransactionalReply* reply) {
  reply->set_transactional(hub_.store().transactional());
  return grpc::Status::OK;
}

grpc::Status StorageServer::BeginReadOnlyTx(grpc::ServerContext*, const pb::Empty*,
                                            pb::StorageBeginTxReply* reply) {
  return Run(
      {.name = "begin"}, reply, [&] { return hub_.store().Begin(true, *reply->mutable_txn()); },
      [&] { reply->set_err(kGarbageText); });
}

grpc::Status StorageServer::BeginTx(grpc::ServerContext*, const pb::Empty*,
                                    pb::StorageBeginTxReply* reply) {
  return Run(
      {.name = "begin"}, reply, [&] { return hub_.store().Begin(false, *reply->mutable_txn()); },
      [&] { reply->set_err(kGarbageText); });
}

grpc::Status StorageServer::Commit(grpc::ServerContext*, const pb::StorageCommitTxArgs* args,
                                   pb::StorageCommitTxReply* reply) {
  return Run(
      {.name = "commit", .txn = args->txn()}, reply,
      [&] { return hub_.store().Commit(args->txn()); }, [&] { reply->set_err(kGarbageText); });
}

grpc::Status StorageServer::Rollback(grpc::ServerContext*, const pb::StorageRollbackTxArgs* args,
                                     pb::StorageRollbackTxReply* reply) {
  return Run(
      {.name = "rollback", .txn = args->txn()}, reply,
      [&] { return hub_.store().Rollback(args->txn()); }, [&] { reply->set_err(kGarbageText); });
}

}  // namespace testing_support
