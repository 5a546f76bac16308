#ifndef SDK_LOGICAL_STORAGE_H_
#define SDK_LOGICAL_STORAGE_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/secret.h"

namespace openbao {

// The mount's own storage, as the host shows it (openbao sdk/logical Storage). Implementations are
// thread-safe, but for a Transaction.
//
// Keys are relative to the mount: names between slashes, such as "users/alice". The host refuses
// one that has ".." in it, or isn't UTF-8 or printable.
//
// A call blocks until the host has answered: one that reads for 30 s at most and not beyond its
// request, one that writes, begins or ends a transaction for 60 s at most, whatever becomes of its
// request.
//
// Failures:
//   UNAVAILABLE         no answer
//   ReadOnlyStorage()   a write on a standby: nothing was written. Its code is UNAVAILABLE too, so
//                       ask IsReadOnlyStorage (errors.h) first
//   RESOURCE_EXHAUSTED  the value is too large for the storage
//   INTERNAL            any other error of the host's
// But for ReadOnlyStorage(), a failed Put or Delete may or may not have taken effect, and only a
// read can tell; where there was no answer it may even take effect after that read.
class Storage {
 public:
  virtual ~Storage() = default;

  // The value at `key`; nullopt if there is none.
  virtual absl::StatusOr<std::optional<base::SecretBytes>> Get(std::string_view key) = 0;
  // Atomic: a reader sees the old value or the new one.
  virtual absl::Status Put(std::string_view key, const base::SecretBytes& value) = 0;
  // OK where there was none.
  virtual absl::Status Delete(std::string_view key) = 0;
  // The names directly under `prefix` ("" or ending in '/'), sorted; names of folders end in '/'.
  // None is an empty list.
  virtual absl::StatusOr<std::vector<std::string>> List(std::string_view prefix) = 0;
  // At most `limit` names after `after`; limit <= 0 means all.
  virtual absl::StatusOr<std::vector<std::string>> ListPage(std::string_view prefix,
                                                            std::string_view after, int limit) = 0;
};

// A set of changes seen by others all at once or not at all. Rolled back on destruction unless
// Commit or Rollback was called: the host has few permits for open ones, and an open one holds a
// lock. For one thread at a time; must not outlive its request. After Commit or Rollback every call
// is INTERNAL and does nothing.
class Transaction : public Storage {
 public:
  // ABORTED if another transaction won: nothing was written, begin again from the read. After a
  // transport failure (UNAVAILABLE) the outcome is unknown. The transaction has ended either way.
  virtual absl::Status Commit() = 0;
  virtual absl::Status Rollback() = 0;
};

// What a request gets: the storage, and transactions where the host's backend has them (raft,
// in-memory and PostgreSQL do; the file backend and HashiCorp Vault don't).
class TransactionalStorage : public Storage {
 public:
  virtual absl::StatusOr<bool> IsTransactional() = 0;
  virtual absl::StatusOr<std::unique_ptr<Transaction>> BeginTx() = 0;
  virtual absl::StatusOr<std::unique_ptr<Transaction>> BeginReadOnlyTx() = 0;
};

// Runs `change` in one transaction and commits it if it succeeds; where the storage has no
// transactions, runs it on the storage itself, so a caller orders its writes to be safe against a
// crash between any two. A commit that lost is tried again, from the start, up to `attempts` times.
absl::Status RunInTransaction(TransactionalStorage& storage,
                              const std::function<absl::Status(Storage&)>& change,
                              int attempts = 3);

}  // namespace openbao

#endif  // SDK_LOGICAL_STORAGE_H_
