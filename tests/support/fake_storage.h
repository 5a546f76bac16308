// A mount's storage in memory, with faults to order: the storage calls of a test are counted, and a
// call can fail, lose its reply, or stand for the death of the process, before its effect or after
// it.
#ifndef TESTS_SUPPORT_FAKE_STORAGE_H_
#define TESTS_SUPPORT_FAKE_STORAGE_H_

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "sdk/logical/storage.h"
#include "support/fault.h"
#include "support/tx_store.h"

namespace testing_support {

// Thrown out of a storage call for a crash: the test drops the engine and builds a new one.
struct Crash {};

// Thread-safe. Its content outlives any engine over it.
class FakeStorage final : public openbao::TransactionalStorage {
 public:
  FakeStorage() { store_.set_transactional(false); }

  struct Call {
    int number;  // from 1
    std::string name;
    std::string key;
  };
  // Asked before each call.
  using Plan = std::function<Fault(const Call&)>;

  void set_plan(Plan plan) {
    absl::MutexLock lock(&mutex_);
    plan_ = std::move(plan);
    calls_.clear();
  }
  std::vector<Call> calls() {
    absl::MutexLock lock(&mutex_);
    return calls_;
  }
  TxStore::Content content() { return store_.content(); }
  void Set(std::string_view key, std::string_view value) { store_.Set(key, value); }
  void Erase(std::string_view key) { store_.Erase(key); }
  // Transactions, which it has none of by default, and their counts.
  TxStore& store() { return store_; }

  absl::StatusOr<std::optional<base::SecretBytes>> Get(std::string_view key) override;
  absl::Status Put(std::string_view key, const base::SecretBytes& value) override;
  absl::Status Delete(std::string_view key) override;
  absl::StatusOr<std::vector<std::string>> List(std::string_view prefix) override;
  absl::StatusOr<std::vector<std::string>> ListPage(std::string_view prefix, std::string_view after,
                                                    int limit) override;
  absl::StatusOr<bool> IsTransactional() override { return store_.transactional(); }
  absl::StatusOr<std::unique_ptr<openbao::Transaction>> BeginTx() override { return Begin(false); }
  absl::StatusOr<std::unique_ptr<openbao::Transaction>> BeginReadOnlyTx() override {
    return Begin(true);
  }

 private:
  class FakeTransaction;

  // Runs `effect`, which returns the server's error text, under the plan's fault.
  absl::Status Run(std::string_view name, std::string_view key,
                   const std::function<std::string()>& effect);
  absl::StatusOr<std::unique_ptr<openbao::Transaction>> Begin(bool read_only);
  absl::StatusOr<std::optional<base::SecretBytes>> GetIn(std::string_view txn,
                                                         std::string_view key);
  absl::Status PutIn(std::string_view txn, std::string_view key, const base::SecretBytes& value);
  absl::Status DeleteIn(std::string_view txn, std::string_view key);
  absl::StatusOr<std::vector<std::string>> ListIn(std::string_view txn, std::string_view prefix,
                                                  std::string_view after, int limit);

  absl::Mutex mutex_;
  Plan plan_ ABSL_GUARDED_BY(mutex_);
  std::vector<Call> calls_ ABSL_GUARDED_BY(mutex_);
  TxStore store_;
};

}  // namespace testing_support

#endif  // TESTS_SUPPORT_FAKE_STORAGE_H_
