#include "sdk/logical/storage.h"

#include "base/status_macros.h"

namespace openbao {

absl::Status RunInTransaction(TransactionalStorage& storage,
                              const std::function<absl::Status(Storage&)>& change, int attempts) {
  ASSIGN_OR_RETURN(const bool transactional, storage.IsTransactional());
  if (!transactional) return change(storage);
  absl::Status outcome;
  for (int attempt = 0; attempt < attempts; ++attempt) {
    ASSIGN_OR_RETURN(const std::unique_ptr<Transaction> transaction, storage.BeginTx());
    RETURN_IF_ERROR(change(*transaction));
    outcome = transaction->Commit();
    if (!absl::IsAborted(outcome)) return outcome;
  }
  return outcome;
}

}  // namespace openbao
