#ifndef ENGINE_MOUNT_H_
#define ENGINE_MOUNT_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "base/clock.h"
#include "base/logger.h"
#include "base/random.h"
#include "engine/archive_store.h"
#include "engine/config.h"
#include "engine/fair_lock.h"
#include "engine/mount_store.h"
#include "engine/record_store.h"
#include "sdk/framework/field.h"
#include "sdk/logical/request.h"

namespace engine {

// Where time, randomness and log lines come from and go. All outlive the mount.
struct Sources {
  base::Clock* clock;
  base::Random* random;
  base::Logger* logger;
};

// What every writing path takes beside its own parameters.
struct WriteOptions {
  std::optional<std::uint64_t> cas;  // the live version that the caller means; 0: none
  std::string reason;
  bool dry_run = false;

  static WriteOptions From(const openbao::FieldData& data);
};

// The fields of WriteOptions, for a path's schema.
std::vector<openbao::Field> WriteFields();

// What an operation makes of the live version.
struct Change {
  mek::Record record;
  std::string operation;
  std::optional<std::uint64_t> rolled_back_to = std::nullopt;
  std::vector<std::string> warnings = {};
  // The record, or a part of it, comes from outside.
  bool incoming = false;
};

// What came of a write: the version it made, or for a dry run the version it would have made,
// numbered as the live one; for a replayed request the version that it made the first time.
struct Outcome {
  Version version;
  std::vector<std::string> warnings;
  bool dry_run = false;
};

// One mount: its record, archive and settings, and the one way to change the record. Thread-safe.
class Mount {
 public:
  // Makes the new record from the live version (nullopt before the first).
  using Compute = std::function<absl::StatusOr<Change>(const std::optional<Version>& live)>;

  explicit Mount(Sources sources) : sources_(sources) {}

  // This node is the active one, so what is read may be remembered.
  void MayRemember();
  void Invalidate();

  // Changes the record: takes the mount's lock, answers a replayed request as before, holds
  // `options.cas` against the live version, computes, refuses a key that contradicts a known one,
  // archives what the change drops, and appends the new version. Either all of it happens or the
  // live version stays.
  absl::StatusOr<Outcome> Apply(const openbao::Request& request, const WriteOptions& options,
                                const Compute& compute);

  // Deletes versions beyond max_versions, oldest first, at most `limit`, up to the first that holds
  // a key which the live record lacks.
  absl::Status Prune(const openbao::Request& request, int limit);

  // The version asked for, or the live one; NOT_FOUND says which versions there are.
  absl::StatusOr<Version> Find(openbao::Storage& storage, std::uint64_t number);

  absl::StatusOr<FairLock::Holder> Lock(const openbao::Request& request) {
    return lock_.Acquire(request.context);
  }

  RecordStore& records() { return records_; }
  ArchiveStore& archive() { return archive_; }
  ConfigStore& config() { return config_; }
  base::Random& random() const { return *sources_.random; }
  base::Logger& logger() const { return *sources_.logger; }
  absl::Time Now() const { return sources_.clock->Now(); }

 private:
  // What an earlier sending of the same request made, if the live version remembers one.
  absl::StatusOr<std::optional<Version>> EarlierAnswer(const openbao::Request& request,
                                                       Version& live);
  // Holds the keys that a change adds against the live ones and the archive, and those that come in
  // unknown against mek/incoming.h.
  absl::Status CheckAddedKeys(openbao::Storage& storage, const Change& change,
                              const std::optional<Version>& live);

  const Sources sources_;
  FairLock lock_;
  MountStore records_;
  ArchiveStore archive_;
  ConfigStore config_;
};

}  // namespace engine

#endif  // ENGINE_MOUNT_H_
