#ifndef ENGINE_HOME_STORE_H_
#define ENGINE_HOME_STORE_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "base/clock.h"
#include "base/secret.h"
#include "engine/archive_store.h"
#include "engine/kv_store.h"
#include "engine/mount_store.h"
#include "engine/record_store.h"
#include "engine/remembered.h"
#include "kvclient/settings.h"

namespace engine {

// The secret where readers look for the record, on a server yet to be named.
kvclient::Settings UsualSecret();

// Where the record lives (the entry "config/home"). The connection can be set before it is used.
struct HomeSettings {
  bool in_kv = false;
  kvclient::Settings connection = UsualSecret();

  // As config/home and status show it.
  std::string_view type() const { return in_kv ? "kv" : "mount"; }
  bool has_connection() const { return !connection.address.empty(); }
};

// The record wherever config/home says, and config/home itself. Thread-safe as a RecordStore.
class HomeStore final : public RecordStore {
 public:
  // What config/home says, ready to use. Immutable, but for what the client keeps of its login.
  struct Home {
    HomeSettings settings;
    std::unique_ptr<KvStore> kv;  // nullptr without a connection
    absl::Status unusable = {};   // why the one that is set can't be used
  };

  // Both outlive the store.
  HomeStore(base::Clock* clock, ArchiveStore& archive)
      : clock_(clock), archive_(archive), mount_(*clock) {}

  void MayRemember();
  void Invalidate() override;

  // The home as it is set.
  absl::StatusOr<std::shared_ptr<const Home>> Current(openbao::Storage& storage);
  // A home by other settings, which are not stored. INVALID_ARGUMENT as
  // kvclient::Settings::Check().
  absl::StatusOr<std::shared_ptr<const Home>> Prepare(HomeSettings settings) const;
  // Stores the settings of `home`. Without an answer (UNAVAILABLE) they may be stored at any time
  // later; they are put again before anything else changes. The caller holds the mount's lock.
  absl::Status Put(openbao::Storage& storage, const Home& home);
  // Which secret the documents under kv/ belong to: whether it is that of `settings`.
  absl::StatusOr<bool> KnowsSecret(openbao::Storage& storage, const kvclient::Settings& settings);
  absl::Status PutSecret(openbao::Storage& storage, const kvclient::Settings& settings);

  // The record's versions of the time when it was, or is, at home in the mount; in a KV secret.
  MountStore& mount() { return mount_; }
  KvCopies& copies() { return copies_; }
  // What is stored here of the home that the record has, and of the one that it had.
  struct Logs {
    VersionLog* home;
    VersionLog* other;
  };
  absl::StatusOr<Logs> StoredVersions(openbao::Storage& storage);
  // Whether a change of which no answer came may still have its effect.
  absl::StatusOr<bool> HasOpenWrites(openbao::Storage& storage);

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
  absl::Status CatchUp(openbao::Storage& storage) override;

 private:
  absl::Status SettlePut(openbao::Storage& storage);
  // The store that is in use; `home` keeps it alive.
  absl::StatusOr<RecordStore*> Store(openbao::Storage& storage, std::shared_ptr<const Home>& home);

  base::Clock* const clock_;
  ArchiveStore& archive_;
  MountStore mount_;
  KvCopies copies_;
  std::atomic<bool> active_ = false;
  Remembered<std::shared_ptr<const Home>> home_;
  // The last home that was made, and the entry it was made from: a node that may not remember
  // reads the entry each time, and still logs in only once.
  absl::Mutex mutex_;
  base::SecretBytes made_from_ ABSL_GUARDED_BY(mutex_);
  std::shared_ptr<const Home> made_ ABSL_GUARDED_BY(mutex_);
  // The document of a Put without an answer; empty if there is none. Only writers use it, who hold
  // the mount's lock.
  base::SecretBytes unsettled_;
};

}  // namespace engine

#endif  // ENGINE_HOME_STORE_H_
