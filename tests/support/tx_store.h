// A mount's storage as OpenBao's server keeps it, transactions included (raft and in-memory).
#ifndef TESTS_SUPPORT_TX_STORE_H_
#define TESTS_SUPPORT_TX_STORE_H_

#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "absl/synchronization/mutex.h"

namespace testing_support {

// Calls name a transaction, or none with "". An id that is unknown or has ended is taken for none,
// as the server does: the call then goes straight to storage, and is counted as a stray.
//
// A transaction reads the state at its begin and its own writes. Its commit fails if anything it
// read or listed has changed since; its writes then have no effect. Errors are texts, "" for none.
// Thread-safe.
class TxStore {
 public:
  using Content = std::map<std::string, std::string, std::less<>>;

  // False: IsTransactional says no, and Begin fails.
  void set_transactional(bool transactional);
  bool transactional();
  // How many transactions may be open at once.
  void set_permits(int permits);
  // Every write is refused, as on a standby.
  void set_read_only(bool read_only);

  std::optional<std::string> Get(std::string_view txn, std::string_view key);
  std::string Put(std::string_view txn, std::string_view key, std::string_view value);
  std::string Delete(std::string_view txn, std::string_view key);
  // At most `limit` names after `after`; 0 means all.
  std::vector<std::string> List(std::string_view txn, std::string_view prefix,
                                std::string_view after = "", int limit = 0);
  // The new transaction's id goes into `txn`.
  std::string Begin(bool read_only, std::string& txn);
  std::string Commit(std::string_view txn);
  std::string Rollback(std::string_view txn);
  // What the server does with a dead plugin's transactions.
  void Abandon();

  Content content();
  void set_content(Content content);
  void Set(std::string_view key, std::string_view value);
  void Erase(std::string_view key);

  // Transactions begun, and those that were committed or rolled back, whatever the result.
  int begins();
  int ends();
  int abandoned();
  int strays();

 private:
  struct Transaction {
    bool read_only = false;
    Content snapshot = {};
    std::map<std::string, std::optional<std::string>, std::less<>> writes = {};
    std::set<std::string> read = {};
    std::set<std::string> listed = {};
  };
  Transaction* Find(std::string_view txn) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  std::string Write(std::string_view txn, std::string_view key, std::optional<std::string> value);

  absl::Mutex mutex_;
  Content content_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, Transaction, std::less<>> transactions_ ABSL_GUARDED_BY(mutex_);
  bool transactional_ ABSL_GUARDED_BY(mutex_) = true;
  bool read_only_ ABSL_GUARDED_BY(mutex_) = false;
  std::size_t permits_ ABSL_GUARDED_BY(mutex_) = 64;
  int begins_ ABSL_GUARDED_BY(mutex_) = 0;
  int ends_ ABSL_GUARDED_BY(mutex_) = 0;
  int abandoned_ ABSL_GUARDED_BY(mutex_) = 0;
  int strays_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace testing_support

#endif  // TESTS_SUPPORT_TX_STORE_H_
