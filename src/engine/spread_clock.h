#ifndef ENGINE_SPREAD_CLOCK_H_
#define ENGINE_SPREAD_CLOCK_H_

#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "sdk/logical/storage.h"

namespace engine {

// How long a staged key has been there for readers to fetch. Counted while the engine runs, by a
// clock that nobody can set, and kept in the entry "spread" from tick to tick: neither a step of
// the time of day nor a time in which the server was down, when no reader could fetch anything,
// shortens the grace period. Thread-safe.
class SpreadClock {
 public:
  // `clock` must outlive it.
  explicit SpreadClock(base::Clock* clock) : clock_(clock) {}

  // `kid` was staged just now.
  void Begin(const std::string& kid);
  // The time counted for `kid`; begins at the first call if it was neither begun nor kept.
  absl::StatusOr<absl::Duration> Elapsed(openbao::Storage& storage, const std::string& kid);
  // The same without a look at the storage: nullopt if nothing was counted for `kid` yet.
  std::optional<absl::Duration> Known(const std::string& kid);
  // Keeps what was counted. Called on the tick.
  absl::Status Save(openbao::Storage& storage, const std::string& kid);
  // What the time of day did meanwhile that a person should know of.
  std::optional<std::string> Jump();

 private:
  void Begin(const std::string& kid, absl::Duration counted, std::optional<absl::Time> kept)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // What was kept, read without the lock, which each read of the record takes.
  absl::Status Load(openbao::Storage& storage, const std::string& kid) ABSL_LOCKS_EXCLUDED(mutex_);
  absl::Duration Counted() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  base::Clock* const clock_;
  absl::Mutex mutex_;
  std::string kid_ ABSL_GUARDED_BY(mutex_);
  absl::Duration base_ ABSL_GUARDED_BY(mutex_);    // counted before this process did
  absl::Duration begin_ ABSL_GUARDED_BY(mutex_);   // monotonic, of this process's counting
  absl::Time begin_time_ ABSL_GUARDED_BY(mutex_);  // the time of day then
  std::optional<absl::Time> kept_time_ ABSL_GUARDED_BY(mutex_);  // when an earlier process kept it
};

}  // namespace engine

#endif  // ENGINE_SPREAD_CLOCK_H_
