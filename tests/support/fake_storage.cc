#include "support/fake_storage.h"

#include <utility>

#include "absl/strings/match.h"
#include "base/status_macros.h"
#include "sdk/logical/errors.h"

namespace testing_support {
namespace {

constexpr char kGarbageText[] = "\x7b\"keys\":[\"?\"],\"k\":\"g\xc3\xa4rbage\"\x7d";

// As sdk/transport makes statuses of the server's texts.
absl::Status FromText(const std::string& text) {
  if (text.empty()) return absl::OkStatus();
  if (absl::StrContains(text, "readonly")) return openbao::ReadOnlyStorage();
  if (absl::StrContains(text, "transaction commit failed")) return absl::AbortedError(text);
  return absl::InternalError(text);
}

}  // namespace

// Rolled back when it goes, and of no use after its end, as the real one.
class FakeStorage::FakeTransaction final : public openbao::Transaction {
 public:
  FakeTransaction(FakeStorage& storage, std::string txn)
      : storage_(storage), txn_(std::move(txn)) {}
  ~FakeTransaction() override {
    // No faults here: a plan's crash must not leave a destructor.
    if (open_) storage_.store_.Rollback(txn_);
  }

  absl::StatusOr<std::optional<base::SecretBytes>> Get(std::string_view key) override {
    RETURN_IF_ERROR(Open());
    return storage_.GetIn(txn_, key);
  }
  absl::Status Put(std::string_view key, const base::SecretBytes& value) override {
    RETURN_IF_ERROR(Open());
    return storage_.PutIn(txn_, key, value);
  }
  absl::Status Delete(std::string_view key) override {
    RETURN_IF_ERROR(Open());
    return storage_.DeleteIn(txn_, key);
  }
  absl::StatusOr<std::vector<std::string>> List(std::string_view prefix) override {
    RETURN_IF_ERROR(Open());
    return storage_.ListIn(txn_, prefix, "", 0);
  }
  absl::StatusOr<std::vector<std::string>> ListPage(std::string_view prefix, std::string_view after,
                                                    int limit) override {
    RETURN_IF_ERROR(Open());
    return storage_.ListIn(txn_, prefix, after, limit);
  }
  absl::Status Commit() override {
    RETURN_IF_ERROR(Open());
    open_ = false;
    return storage_.Run("commit", "", [&] { return storage_.store_.Commit(txn_); });
  }
  absl::Status Rollback() override {
    RETURN_IF_ERROR(Open());
    open_ = false;
    return storage_.Run("rollback", "", [&] { return storage_.store_.Rollback(txn_); });
  }

 private:
  absl::Status Open() const {
    return open_ ? absl::OkStatus() : absl::InternalError("the storage transaction has ended");
  }

  FakeStorage& storage_;
  const std::string txn_;
  bool open_ = true;
};

absl::Status FakeStorage::Run(std::string_view name, std::string_view key,
                              const std::function<std::string()>& effect) {
  absl::MutexLock lock(&mutex_);
  calls_.push_back({static_cast<int>(calls_.size()) + 1, std::string(name), std::string(key)});
  const Fault fault = plan_ ? plan_(calls_.back()) : Fault::kNone;
  absl::Status done;
  if (TakesEffect(fault)) done = FromText(effect());
  switch (fault) {
    case Fault::kNone:
      return done;
    case Fault::kErrorBefore:
    case Fault::kErrorAfter:
      return absl::InternalError("storage failed");
    case Fault::kLostBefore:
    case Fault::kLostAfter:
    case Fault::kTimeoutBefore:
    case Fault::kTimeoutAfter:
      return absl::UnavailableError("no answer");
    case Fault::kGarbage:
      return absl::InternalError(kGarbageText);
    case Fault::kReadOnly:
      return openbao::ReadOnlyStorage();
    case Fault::kCrashBefore:
    case Fault::kCrashAfter:
      break;
  }
  throw Crash{};
}

absl::StatusOr<std::optional<base::SecretBytes>> FakeStorage::GetIn(std::string_view txn,
                                                                    std::string_view key) {
  std::optional<base::SecretBytes> value;
  RETURN_IF_ERROR(Run("get", key, [&] {
    if (const auto stored = store_.Get(txn, key); stored.has_value()) {
      value.emplace(std::string_view(*stored));
    }
    return "";
  }));
  return value;
}

absl::Status FakeStorage::PutIn(std::string_view txn, std::string_view key,
                                const base::SecretBytes& value) {
  return Run("put", key, [&] { return store_.Put(txn, key, value.view()); });
}

absl::Status FakeStorage::DeleteIn(std::string_view txn, std::string_view key) {
  return Run("delete", key, [&] { return store_.Delete(txn, key); });
}

absl::StatusOr<std::vector<std::string>> FakeStorage::ListIn(std::string_view txn,
                                                             std::string_view prefix,
                                                             std::string_view after, int limit) {
  std::vector<std::string> names;
  RETURN_IF_ERROR(Run("list", prefix, [&] {
    names = store_.List(txn, prefix, after, limit);
    return "";
  }));
  return names;
}

absl::StatusOr<std::unique_ptr<openbao::Transaction>> FakeStorage::Begin(bool read_only) {
  std::string txn;
  RETURN_IF_ERROR(Run("begin", "", [&] { return store_.Begin(read_only, txn); }));
  return std::make_unique<FakeTransaction>(*this, txn);
}

absl::StatusOr<std::optional<base::SecretBytes>> FakeStorage::Get(std::string_view key) {
  return GetIn("", key);
}

absl::Status FakeStorage::Put(std::string_view key, const base::SecretBytes& value) {
  return PutIn("", key, value);
}

absl::Status FakeStorage::Delete(std::string_view key) { return DeleteIn("", key); }

absl::StatusOr<std::vector<std::string>> FakeStorage::List(std::string_view prefix) {
  return ListIn("", prefix, "", 0);
}

absl::StatusOr<std::vector<std::string>> FakeStorage::ListPage(std::string_view prefix,
                                                               std::string_view after, int limit) {
  return ListIn("", prefix, after, limit);
}

}  // namespace testing_support
