#ifndef ENGINE_MOUNT_STORE_H_
#define ENGINE_MOUNT_STORE_H_

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "base/clock.h"
#include "base/secret.h"
#include "engine/record_store.h"
#include "engine/remembered.h"
#include "engine/sealed_version.h"

namespace engine {

// How an error of the live version ends that verify tells the way out of.
inline constexpr char kReadVerify[] = ": read verify for what to do";

// The record in the mount's own storage: one entry "versions/NNNNNNNNNN" a version, so that a
// change is one Put, which any storage makes atomic. What is where is remembered once MayRemember()
// was called: only where this process is the one writer. So is the live version, sealed: it is as
// true as the number, since nobody else changes what stands under it (ADR 0010).
//
// The first version that an object of this class writes is "versions/NNNNNNNNNN-MARK", and of two
// entries for one number the one with the later mark counts, one without a mark least. So what an
// earlier process had under way when it died lands beside this version, never over it (ADR 0002).
class MountStore final : public RecordStore {
 public:
  // The clock makes the marks, and must outlive this object.
  explicit MountStore(base::Clock& clock) : clock_(clock) {}

  void MayRemember() { known_.Allow(); }

  absl::StatusOr<VersionPtr> Live(openbao::Storage& storage) override;
  absl::StatusOr<std::optional<Version>> StoredLive(openbao::Storage& storage) override;
  absl::StatusOr<std::optional<Version>> Get(openbao::Storage& storage,
                                             std::uint64_t number) override;
  absl::StatusOr<std::vector<std::uint64_t>> List(openbao::Storage& storage) override;
  absl::StatusOr<std::optional<std::size_t>> Count(openbao::Storage& storage) override;
  absl::Status Append(openbao::Storage& storage, const VersionPtr& version,
                      const base::SecretBytes& document) override;
  absl::Status Rewrite(openbao::Storage& storage, std::uint64_t number,
                       const base::SecretBytes& document) override;
  absl::Status Prune(openbao::Storage& storage, std::uint64_t number) override;
  void Invalidate() override { known_.Forget(); }

  // The entries that others of the same number hide, but for damaged ones: for what must leave no
  // copy behind. The caller holds the mount's lock.
  absl::StatusOr<std::vector<StoredDoc>> HiddenEntries(openbao::Storage& storage);

 private:
  // The marks by number; versions written without one have none.
  struct Known {
    std::uint64_t live = 0;  // 0 for none
    std::size_t count = 0;   // of the versions there are
    std::map<std::uint64_t, std::string> marks;
    std::shared_ptr<SealedVersion> sealed;  // the live one, once it was read
  };

  // An append whose outcome is unknown.
  struct Unsettled {
    std::uint64_t number;
    std::string mark;
    std::shared_ptr<SealedVersion> sealed;
    std::optional<base::SecretBytes> document;  // in the clear, where it can't be sealed
    bool ended;                                 // the write is over, whatever came of it
  };

  struct Name {
    std::uint64_t number = 0;
    std::string mark = {};
  };
  static std::optional<Name> ParseName(std::string_view text);
  // The entries there are.
  static absl::StatusOr<std::vector<Name>> Names(openbao::Storage& storage);
  // The marks of all numbers, "" for none.
  absl::StatusOr<std::map<std::uint64_t, std::string>> Entries(openbao::Storage& storage);
  using KnownPtr = std::shared_ptr<const Known>;
  absl::StatusOr<KnownPtr> Look(openbao::Storage& storage);
  absl::StatusOr<KnownPtr> Look(openbao::Storage& storage, Remembered<KnownPtr>::Moment& moment);
  static std::string KeyOf(const Known& known, std::uint64_t number);
  // The mark of the next version: none after the first.
  std::string NewMark();
  // `sealed` is the version, nullptr where it can't be sealed.
  void Written(std::uint64_t number, const std::string& mark,
               std::shared_ptr<SealedVersion> sealed);
  // Finds out what became of an unsettled append, if there is one: whether it is in storage now.
  absl::StatusOr<bool> Settle(openbao::Storage& storage);
  absl::StatusOr<bool> SettleHeld(openbao::Storage& storage)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(settling_);

  base::Clock& clock_;
  std::atomic<bool> has_written_ = false;

  // Held while an append is settled: readers and writers alike may find it unsettled.
  absl::Mutex settling_;
  std::optional<Unsettled> unsettled_ ABSL_GUARDED_BY(settling_);
  std::atomic<bool> has_unsettled_ = false;

  absl::Mutex marking_;
  std::uint64_t latest_mark_ ABSL_GUARDED_BY(marking_) = 0;  // of those ever seen

  Remembered<KnownPtr> known_;
};

}  // namespace engine

#endif  // ENGINE_MOUNT_STORE_H_
