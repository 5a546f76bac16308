#include "sdk/transport/storage_client.h"

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>

#include <chrono>
#include <utility>

#include "absl/strings/match.h"
#include "base/status_macros.h"
#include "base/text.h"
#include "goplugin/queue_threads.h"
#include "sdk/logical/errors.h"

namespace openbao {
namespace {

constexpr std::chrono::seconds kReadTimeout(30);
constexpr std::chrono::seconds kWriteTimeout(60);

// openbao sdk/helper/consts/replication.go: ReplicationPerformanceStandby.
constexpr std::int32_t kPerformanceStandby = 1 << 14;

void Wipe(std::string& text) { OPENSSL_cleanse(text.data(), text.size()); }

std::unique_ptr<grpc::ClientContext> ReadContext(const grpc::ServerContext* request) {
  auto context = request == nullptr ? std::make_unique<grpc::ClientContext>()
                                    : grpc::ClientContext::FromServerContext(*request);
  const auto latest = std::chrono::system_clock::now() + kReadTimeout;
  if (context->deadline() > latest) context->set_deadline(latest);
  return context;
}

std::unique_ptr<grpc::ClientContext> WriteContext() {
  auto context = std::make_unique<grpc::ClientContext>();
  context->set_deadline(std::chrono::system_clock::now() + kWriteTimeout);
  return context;
}

// `err` is the text in the reply, empty for success. Errors arrive as texts only, so texts are
// matched.
absl::Status Outcome(std::string_view call, const grpc::Status& transport, const std::string& err) {
  if (!transport.ok()) {
    return absl::UnavailableError(base::Cat("storage ", call,
                                            ": no answer from the server (gRPC code ",
                                            static_cast<int>(transport.error_code()), ")"));
  }
  if (err.empty()) return absl::OkStatus();
  if (absl::StrContains(err, ReadOnlyStorage().message())) return ReadOnlyStorage();
  if (absl::StrContains(err, "transaction commit failed")) {
    return absl::AbortedError(base::Cat("storage ", call, ": another change won; try again"));
  }
  if (absl::StrContains(err, "value being too large")) {
    return absl::ResourceExhaustedError(base::Cat("storage ", call, ": ", err));
  }
  return absl::InternalError(base::Cat("storage ", call, " failed: ", err));
}

using Stub = pb::Storage::StubInterface;

// The five calls, inside the transaction `txn` or outside any.
class Calls {
 public:
  Calls(StorageHost& host, const grpc::ServerContext* request)
      : Calls(host.connection().Use(), request, "") {}
  Calls(std::shared_ptr<HostConnection::Stubs> stubs, const grpc::ServerContext* request,
        std::string txn)
      : stubs_(std::move(stubs)), request_(request), txn_(std::move(txn)) {}

  absl::StatusOr<std::optional<base::SecretBytes>> Get(std::string_view key) {
    pb::StorageGetArgs args;
    args.set_key(key.data(), key.size());
    args.set_txn(txn_);
    pb::StorageGetReply reply;
    const grpc::Status status =
        Call(&Stub::Get, &Stub::AsyncGet, *ReadContext(request_), args, reply);
    RETURN_IF_ERROR(Outcome("read", status, reply.err()));
    if (!reply.has_entry()) return std::nullopt;
    std::string& value = *reply.mutable_entry()->mutable_value();
    base::SecretBytes copy{std::string_view(value)};
    Wipe(value);
    return copy;
  }

  absl::Status Put(std::string_view key, const base::SecretBytes& value) {
    pb::StoragePutArgs args;
    args.mutable_entry()->set_key(key.data(), key.size());
    args.mutable_entry()->set_value(value.view().data(), value.size());
    args.set_txn(txn_);
    pb::StoragePutReply reply;
    const grpc::Status status = Call(&Stub::Put, &Stub::AsyncPut, *WriteContext(), args, reply);
    Wipe(*args.mutable_entry()->mutable_value());
    return Outcome("write", status, reply.err());
  }

  absl::Status Delete(std::string_view key) {
    pb::StorageDeleteArgs args;
    args.set_key(key.data(), key.size());
    args.set_txn(txn_);
    pb::StorageDeleteReply reply;
    const grpc::Status status =
        Call(&Stub::Delete, &Stub::AsyncDelete, *WriteContext(), args, reply);
    return Outcome("delete", status, reply.err());
  }

  absl::StatusOr<std::vector<std::string>> List(std::string_view prefix) {
    pb::StorageListArgs args;
    args.set_prefix(prefix.data(), prefix.size());
    args.set_txn(txn_);
    pb::StorageListReply reply;
    const grpc::Status status =
        Call(&Stub::List, &Stub::AsyncList, *ReadContext(request_), args, reply);
    RETURN_IF_ERROR(Outcome("list", status, reply.err()));
    return std::vector<std::string>(reply.keys().begin(), reply.keys().end());
  }

  absl::StatusOr<std::vector<std::string>> ListPage(std::string_view prefix, std::string_view after,
                                                    int limit) {
    pb::StorageListPageArgs args;
    args.set_prefix(prefix.data(), prefix.size());
    args.set_after(after.data(), after.size());
    args.set_limit(limit);
    args.set_txn(txn_);
    pb::StorageListReply reply;
    const grpc::Status status =
        Call(&Stub::ListPage, &Stub::AsyncListPage, *ReadContext(request_), args, reply);
    if (status.error_code() == grpc::StatusCode::UNIMPLEMENTED)
      return PageOfList(prefix, after, limit);
    RETURN_IF_ERROR(Outcome("list", status, reply.err()));
    return std::vector<std::string>(reply.keys().begin(), reply.keys().end());
  }

  template <class... Arguments>
  grpc::Status Call(Arguments&&... arguments) {
    return goplugin::CallAndWait(*stubs_->storage, std::forward<Arguments>(arguments)...);
  }

 private:
  // HashiCorp Vault's storage has no pages.
  absl::StatusOr<std::vector<std::string>> PageOfList(std::string_view prefix,
                                                      std::string_view after, int limit) {
    ASSIGN_OR_RETURN(std::vector<std::string> names, List(prefix));
    std::vector<std::string> page;
    for (std::string& name : names) {
      if (limit > 0 && std::cmp_greater_equal(page.size(), limit)) break;
      if (name > after) page.push_back(std::move(name));
    }
    return page;
  }

  const std::shared_ptr<HostConnection::Stubs> stubs_;
  const grpc::ServerContext* request_;
  const std::string txn_;
};

// Keeps its connection to its end.
class TransactionClient final : public Transaction {
 public:
  TransactionClient(std::shared_ptr<HostConnection::Stubs> stubs,
                    const grpc::ServerContext* request, const std::string& txn)
      : calls_(std::move(stubs), request, txn), txn_(txn) {}
  TransactionClient(const TransactionClient&) = delete;
  TransactionClient& operator=(const TransactionClient&) = delete;
  ~TransactionClient() override {
    if (open_) Rollback().IgnoreError();
  }

  absl::StatusOr<std::optional<base::SecretBytes>> Get(std::string_view key) override {
    RETURN_IF_ERROR(Open());
    return calls_.Get(key);
  }
  absl::Status Put(std::string_view key, const base::SecretBytes& value) override {
    RETURN_IF_ERROR(Open());
    return calls_.Put(key, value);
  }
  absl::Status Delete(std::string_view key) override {
    RETURN_IF_ERROR(Open());
    return calls_.Delete(key);
  }
  absl::StatusOr<std::vector<std::string>> List(std::string_view prefix) override {
    RETURN_IF_ERROR(Open());
    return calls_.List(prefix);
  }
  absl::StatusOr<std::vector<std::string>> ListPage(std::string_view prefix, std::string_view after,
                                                    int limit) override {
    RETURN_IF_ERROR(Open());
    return calls_.ListPage(prefix, after, limit);
  }

  absl::Status Commit() override {
    RETURN_IF_ERROR(Open());
    open_ = false;
    pb::StorageCommitTxArgs args;
    args.set_txn(txn_);
    pb::StorageCommitTxReply reply;
    const grpc::Status status =
        calls_.Call(&Stub::Commit, &Stub::AsyncCommit, *WriteContext(), args, reply);
    return Outcome("commit", status, reply.err());
  }

  absl::Status Rollback() override {
    RETURN_IF_ERROR(Open());
    open_ = false;
    pb::StorageRollbackTxArgs args;
    args.set_txn(txn_);
    pb::StorageRollbackTxReply reply;
    const grpc::Status status =
        calls_.Call(&Stub::Rollback, &Stub::AsyncRollback, *WriteContext(), args, reply);
    return Outcome("rollback", status, reply.err());
  }

 private:
  // The host takes a call with an id that has ended as one outside any transaction.
  absl::Status Open() const {
    return open_ ? absl::OkStatus() : absl::InternalError("the storage transaction has ended");
  }

  Calls calls_;
  const std::string txn_;
  bool open_ = true;
};

absl::StatusOr<std::unique_ptr<Transaction>> Begin(StorageHost& host,
                                                   const grpc::ServerContext* request,
                                                   auto blocking, auto start) {
  pb::StorageBeginTxReply reply;
  std::shared_ptr<HostConnection::Stubs> stubs = host.connection().Use();
  const grpc::Status status =
      goplugin::CallAndWait(*stubs->storage, blocking, start, *WriteContext(), pb::Empty(), reply);
  RETURN_IF_ERROR(Outcome("begin", status, reply.err()));
  // With an empty id every call would go past the transaction.
  if (reply.txn().empty()) return absl::InternalError("storage begin failed: no transaction id");
  return std::make_unique<TransactionClient>(std::move(stubs), request, reply.txn());
}

}  // namespace

absl::StatusOr<bool> StorageHost::IsTransactional() {
  Transactional known = transactional_.load();
  if (known == Transactional::kUnknown) {
    pb::StorageIsTransactionalReply reply;
    const grpc::Status status = goplugin::CallAndWait(
        *connection_.Use()->storage, &Stub::IsTransactional, &Stub::AsyncIsTransactional,
        *ReadContext(nullptr), pb::Empty(), reply);
    // HashiCorp Vault knows no such call.
    if (!status.ok() && status.error_code() != grpc::StatusCode::UNIMPLEMENTED) {
      return Outcome("probe", status, "");
    }
    known = status.ok() && reply.transactional() ? Transactional::kYes : Transactional::kNo;
    transactional_.store(known);
  }
  return known == Transactional::kYes;
}

absl::StatusOr<std::optional<base::SecretBytes>> StorageClient::Get(std::string_view key) {
  return Calls(host_, request_).Get(key);
}

absl::Status StorageClient::Put(std::string_view key, const base::SecretBytes& value) {
  return Calls(host_, request_).Put(key, value);
}

absl::Status StorageClient::Delete(std::string_view key) {
  return Calls(host_, request_).Delete(key);
}

absl::StatusOr<std::vector<std::string>> StorageClient::List(std::string_view prefix) {
  return Calls(host_, request_).List(prefix);
}

absl::StatusOr<std::vector<std::string>> StorageClient::ListPage(std::string_view prefix,
                                                                 std::string_view after,
                                                                 int limit) {
  return Calls(host_, request_).ListPage(prefix, after, limit);
}

absl::StatusOr<std::unique_ptr<Transaction>> StorageClient::BeginTx() {
  return Begin(host_, request_, &Stub::BeginTx, &Stub::AsyncBeginTx);
}

absl::StatusOr<std::unique_ptr<Transaction>> StorageClient::BeginReadOnlyTx() {
  return Begin(host_, request_, &Stub::BeginReadOnlyTx, &Stub::AsyncBeginReadOnlyTx);
}

absl::StatusOr<bool> SystemViewClient::PerformanceStandby() {
  pb::ReplicationStateReply reply;
  const grpc::Status status = goplugin::CallAndWait(
      *connection_.Use()->system, &pb::SystemView::StubInterface::ReplicationState,
      &pb::SystemView::StubInterface::AsyncReplicationState, *ReadContext(nullptr), pb::Empty(),
      reply);
  RETURN_IF_ERROR(Outcome("replication state", status, ""));
  return (reply.state() & kPerformanceStandby) != 0;
}

}  // namespace openbao
