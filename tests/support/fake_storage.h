// A mount's storage in memory, with faults to order: the storage calls of a test are counted, and a
// call can fail, lose its reply, or stand for the death of the process, before its effect or after
// it.
#ifndef TESTS_SUPPORT_FAKE_STORAGE_H_
#define TESTS_SUPPORT_FAKE_STORAGE_H_

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "sdk/logical/storage.h"

namespace testing_support {

enum class Fault {
  kNone,
  kErrorBefore,  // the server answers with an error; nothing happened
  kErrorAfter,   // … but the call had its effect
  kLostBefore,   // no answer; nothing happened
  kLostAfter,    // … but the call had its effect
  kCrashBefore,  // the process dies; nothing happened
  kCrashAfter,   // … the call had its effect
  kReadOnly,     // a standby's refusal
};

// Thrown out of a storage call for a crash: the test drops the engine and builds a new one.
struct Crash {};

// Thread-safe. Its content outlives any engine over it.
class FakeStorage final : public openbao::TransactionalStorage {
 public:
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
  std::map<std::string, std::string, std::less<>> content() {
    absl::MutexLock lock(&mutex_);
    return content_;
  }
  void Set(std::string_view key, std::string_view value) {
    absl::MutexLock lock(&mutex_);
    content_.insert_or_assign(std::string(key), std::string(value));
  }
  void Erase(std::string_view key) {
    absl::MutexLock lock(&mutex_);
    content_.erase(std::string(key));
  }

  absl::StatusOr<std::optional<base::SecretBytes>> Get(std::string_view key) override;
  absl::Status Put(std::string_view key, const base::SecretBytes& value) override;
  absl::Status Delete(std::string_view key) override;
  absl::StatusOr<std::vector<std::string>> List(std::string_view prefix) override;
  absl::StatusOr<std::vector<std::string>> ListPage(std::string_view prefix, std::string_view after,
                                                    int limit) override;
  absl::StatusOr<bool> IsTransactional() override { return false; }
  absl::StatusOr<std::unique_ptr<openbao::Transaction>> BeginTx() override {
    return absl::UnimplementedError("no transactions here");
  }
  absl::StatusOr<std::unique_ptr<openbao::Transaction>> BeginReadOnlyTx() override {
    return BeginTx();
  }

 private:
  // Runs `effect` under the plan's fault.
  absl::Status Run(std::string_view name, std::string_view key,
                   const std::function<void()>& effect);

  absl::Mutex mutex_;
  Plan plan_ ABSL_GUARDED_BY(mutex_);
  std::vector<Call> calls_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, std::string, std::less<>> content_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace testing_support

#endif  // TESTS_SUPPORT_FAKE_STORAGE_H_
