#ifndef ENGINE_MOUNT_STORE_H_
#define ENGINE_MOUNT_STORE_H_

#include <atomic>
#include <cstdint>
#include <optional>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "base/secret.h"
#include "engine/record_store.h"
#include "engine/remembered.h"

namespace engine {

// The record in the mount's own storage: one entry "versions/NNNNNNNNNN" a version, so that a
// change is one Put, which any storage makes atomic. The number of the live version is remembered
// once MayRemember() was called: only where this process is the one writer.
class MountStore final : public RecordStore {
 public:
  void MayRemember() { live_.Allow(); }

  absl::StatusOr<std::optional<Version>> Live(openbao::Storage& storage) override;
  absl::StatusOr<std::optional<Version>> Get(openbao::Storage& storage,
                                             std::uint64_t number) override;
  absl::StatusOr<std::vector<std::uint64_t>> List(openbao::Storage& storage) override;
  absl::Status Append(openbao::Storage& storage, std::uint64_t live,
                      const base::SecretBytes& document) override;
  absl::Status Rewrite(openbao::Storage& storage, std::uint64_t number,
                       const base::SecretBytes& document) override;
  absl::Status Prune(openbao::Storage& storage, std::uint64_t number) override;
  void Invalidate() override { live_.Forget(); }

 private:
  // An append whose outcome is unknown.
  struct Unsettled {
    std::uint64_t number;
    base::SecretBytes document;
    bool ended;  // the write is over, whatever came of it
  };

  // Finds out what became of an unsettled append, if there is one: whether it is in storage now.
  absl::StatusOr<bool> Settle(openbao::Storage& storage);
  absl::StatusOr<std::uint64_t> LiveNumber(openbao::Storage& storage);

  // Held while an append is settled: readers and writers alike may find it unsettled.
  absl::Mutex settling_;
  std::optional<Unsettled> unsettled_ ABSL_GUARDED_BY(settling_);
  std::atomic<bool> has_unsettled_ = false;

  Remembered<std::uint64_t> live_;  // the number of the live version, 0 for none
};

}  // namespace engine

#endif  // ENGINE_MOUNT_STORE_H_
