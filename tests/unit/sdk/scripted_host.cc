#include "unit/sdk/scripted_host.h"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/text.h"

namespace testing_support {
namespace {

template <class Reply>
grpc::Status Give(const Answer& answer, Reply* reply) {
  if (answer.code != grpc::StatusCode::OK) return {answer.code, "the host's transport text"};
  reply->set_err(answer.err);
  return grpc::Status::OK;
}

bool Succeeds(const Answer& answer) {
  return answer.code == grpc::StatusCode::OK && answer.err.empty();
}

}  // namespace

namespace {

grpc::ChannelArguments Arguments() {
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(-1);
  arguments.SetMaxSendMessageSize(-1);
  return arguments;
}

}  // namespace

LocalServer::LocalServer(const std::vector<grpc::Service*>& services, Reach reach)
    : LocalServer(services, reach, {}) {}

LocalServer::LocalServer(const std::function<void(goplugin::Calls&)>& answer)
    : LocalServer({}, Reach::kSocket, answer) {}

LocalServer::LocalServer(const std::vector<grpc::Service*>& services, Reach reach,
                         const std::function<void(goplugin::Calls&)>& answer) {
  static std::atomic<int> servers = 0;
  address_ = absl::StrCat("unix-abstract:openbao-sdk-test-", getpid(), "-", ++servers);
  grpc::ServerBuilder builder;
  if (reach == Reach::kSocket) {
    builder.AddListeningPort(address_, grpc::InsecureServerCredentials());
  }
  builder.SetMaxReceiveMessageSize(-1);
  for (grpc::Service* service : services) builder.RegisterService(service);
  if (answer) {
    calls_ = std::make_unique<goplugin::Calls>(builder);
    answer(*calls_);
  }
  server_ = builder.BuildAndStart();
  if (answer && !calls_->Start()) std::abort();
  channel_ = reach == Reach::kInProcess ? server_->InProcessChannel(Arguments()) : Connect();
}

std::shared_ptr<grpc::Channel> LocalServer::Connect() {
  return grpc::CreateCustomChannel(address_, grpc::InsecureChannelCredentials(), Arguments());
}

LocalServer::~LocalServer() { Stop(); }

void LocalServer::Stop() {
  server_->Shutdown(std::chrono::system_clock::now());
  if (calls_ != nullptr) calls_->Stop();
}

ScriptedHost::ScriptedHost(Reach reach) : server_({&storage_, &system_}, reach) {}

void ScriptedHost::Once(const std::string& name, Answer answer) {
  absl::MutexLock lock(&mutex_);
  once_[name].push_back(std::move(answer));
}

void ScriptedHost::Always(const std::string& name, Answer answer) {
  absl::MutexLock lock(&mutex_);
  always_[name] = std::move(answer);
}

std::vector<std::string> ScriptedHost::calls() {
  absl::MutexLock lock(&mutex_);
  return calls_;
}

int ScriptedHost::Count(std::string_view name) {
  absl::MutexLock lock(&mutex_);
  return static_cast<int>(std::ranges::count_if(calls_, [&](const std::string& call) {
    return call == name || absl::StartsWith(call, base::Cat(name, " "));
  }));
}

std::map<std::string, std::string> ScriptedHost::content() {
  absl::MutexLock lock(&mutex_);
  return content_;
}

void ScriptedHost::Set(const std::string& key, const std::string& value) {
  absl::MutexLock lock(&mutex_);
  content_[key] = value;
}

void ScriptedHost::set_transactional(bool transactional) {
  absl::MutexLock lock(&mutex_);
  transactional_ = transactional;
}

void ScriptedHost::set_replication_state(std::int32_t state) {
  absl::MutexLock lock(&mutex_);
  replication_state_ = state;
}

void ScriptedHost::set_no_ids() {
  absl::MutexLock lock(&mutex_);
  no_ids_ = true;
}

Answer ScriptedHost::Take(grpc::ServerContext& context, const std::string& name,
                          const std::string& key, const std::string& txn) {
  Answer answer;
  {
    absl::MutexLock lock(&mutex_);
    calls_.push_back(
        absl::StrCat(name, key.empty() ? "" : " ", key, txn.empty() ? "" : " in ", txn));
    if (const auto once = once_.find(name); once != once_.end() && !once->second.empty()) {
      answer = std::move(once->second.front());
      once->second.pop_front();
    } else if (const auto always = always_.find(name); always != always_.end()) {
      answer = always->second;
    }
  }
  if (answer.before) answer.before(context);
  return answer;
}

std::vector<std::string> ScriptedHost::Names(const std::string& prefix, const std::string& after,
                                             int limit) {
  absl::MutexLock lock(&mutex_);
  std::vector<std::string> names;
  for (const auto& [key, value] : content_) {
    if (!absl::StartsWith(key, prefix)) continue;
    std::string name = key.substr(prefix.size());
    if (name <= after) continue;
    if (limit > 0 && std::cmp_equal(names.size(), limit)) break;
    names.push_back(std::move(name));
  }
  return names;
}

std::string ScriptedHost::NewId() {
  absl::MutexLock lock(&mutex_);
  return no_ids_ ? "" : absl::StrCat("t", ++transactions_);
}

grpc::Status ScriptedHost::StorageService::List(grpc::ServerContext* context,
                                                const pb::StorageListArgs* args,
                                                pb::StorageListReply* reply) {
  const Answer answer = host_.Take(*context, "List", args->prefix(), args->txn());
  if (Succeeds(answer)) {
    for (const std::string& name : host_.Names(args->prefix(), "", 0)) reply->add_keys(name);
  }
  return Give(answer, reply);
}

grpc::Status ScriptedHost::StorageService::ListPage(grpc::ServerContext* context,
                                                    const pb::StorageListPageArgs* args,
                                                    pb::StorageListReply* reply) {
  const Answer answer =
      host_.Take(*context, "ListPage",
                 absl::StrCat(args->prefix(), "|", args->after(), "|", args->limit()), args->txn());
  if (Succeeds(answer)) {
    for (const std::string& name : host_.Names(args->prefix(), args->after(), args->limit())) {
      reply->add_keys(name);
    }
  }
  return Give(answer, reply);
}

grpc::Status ScriptedHost::StorageService::Get(grpc::ServerContext* context,
                                               const pb::StorageGetArgs* args,
                                               pb::StorageGetReply* reply) {
  const Answer answer = host_.Take(*context, "Get", args->key(), args->txn());
  if (Succeeds(answer)) {
    absl::MutexLock lock(&host_.mutex_);
    if (const auto at = host_.content_.find(args->key()); at != host_.content_.end()) {
      reply->mutable_entry()->set_key(at->first);
      reply->mutable_entry()->set_value(at->second);
    }
  }
  return Give(answer, reply);
}

grpc::Status ScriptedHost::StorageService::Put(grpc::ServerContext* context,
                                               const pb::StoragePutArgs* args,
                                               pb::StoragePutReply* reply) {
  const Answer answer = host_.Take(*context, "Put", args->entry().key(), args->txn());
  if (Succeeds(answer)) host_.Set(args->entry().key(), args->entry().value());
  return Give(answer, reply);
}

grpc::Status ScriptedHost::StorageService::Delete(grpc::ServerContext* context,
                                                  const pb::StorageDeleteArgs* args,
                                                  pb::StorageDeleteReply* reply) {
  const Answer answer = host_.Take(*context, "Delete", args->key(), args->txn());
  if (Succeeds(answer)) {
    absl::MutexLock lock(&host_.mutex_);
    host_.content_.erase(args->key());
  }
  return Give(answer, reply);
}

grpc::Status ScriptedHost::StorageService::IsTransactional(grpc::ServerContext* context,
                                                           const pb::Empty*,
                                                           pb::StorageIsTransactionalReply* reply) {
  const Answer answer = host_.Take(*context, "IsTransactional", "", "");
  if (answer.code != grpc::StatusCode::OK) return {answer.code, "the host's transport text"};
  absl::MutexLock lock(&host_.mutex_);
  reply->set_transactional(host_.transactional_);
  return grpc::Status::OK;
}

grpc::Status ScriptedHost::StorageService::BeginReadOnlyTx(grpc::ServerContext* context,
                                                           const pb::Empty*,
                                                           pb::StorageBeginTxReply* reply) {
  const Answer answer = host_.Take(*context, "BeginReadOnlyTx", "", "");
  if (Succeeds(answer)) reply->set_txn(host_.NewId());
  return Give(answer, reply);
}

grpc::Status ScriptedHost::StorageService::BeginTx(grpc::ServerContext* context, const pb::Empty*,
                                                   pb::StorageBeginTxReply* reply) {
  const Answer answer = host_.Take(*context, "BeginTx", "", "");
  if (Succeeds(answer)) reply->set_txn(host_.NewId());
  return Give(answer, reply);
}

grpc::Status ScriptedHost::StorageService::Commit(grpc::ServerContext* context,
                                                  const pb::StorageCommitTxArgs* args,
                                                  pb::StorageCommitTxReply* reply) {
  return Give(host_.Take(*context, "Commit", "", args->txn()), reply);
}

grpc::Status ScriptedHost::StorageService::Rollback(grpc::ServerContext* context,
                                                    const pb::StorageRollbackTxArgs* args,
                                                    pb::StorageRollbackTxReply* reply) {
  return Give(host_.Take(*context, "Rollback", "", args->txn()), reply);
}

grpc::Status ScriptedHost::SystemService::ReplicationState(grpc::ServerContext* context,
                                                           const pb::Empty*,
                                                           pb::ReplicationStateReply* reply) {
  const Answer answer = host_.Take(*context, "ReplicationState", "", "");
  if (answer.code != grpc::StatusCode::OK) return {answer.code, "the host's transport text"};
  absl::MutexLock lock(&host_.mutex_);
  reply->set_state(host_.replication_state_);
  return grpc::Status::OK;
}

}  // namespace testing_support
