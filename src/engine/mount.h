#ifndef ENGINE_MOUNT_H_
#define ENGINE_MOUNT_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "base/clock.h"
#include "base/logger.h"
#include "base/random.h"
#include "engine/archive_store.h"
#include "engine/automatic.h"
#include "engine/config.h"
#include "engine/fair_lock.h"
#include "engine/home_store.h"
#include "engine/readers.h"
#include "engine/record_store.h"
#include "engine/remembered.h"
#include "engine/spread_clock.h"
#include "mek/activation.h"
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
  // A key was made for it.
  bool new_key = false;
  // The staged key, afterwards: this kid; none; or else the one there was, as long as both sets
  // have it and it is not current.
  std::optional<std::string> stages = std::nullopt;
  bool unstages = false;
  // Times of the rotation schedule up to this one are served, or skipped for good.
  std::optional<absl::Time> served_time = std::nullopt;
  // Left out: as they were.
  std::optional<mek::KeyMarks> marks = std::nullopt;
  // Why keys leave the record with it.
  mek::DropReason drop_reason = mek::DropReason::kDropped;
  // Keys that are another than the live or the archived one, and are meant to be (a repair's).
  std::set<mek::KeyRef> replaced = {};
  // Versions that go because they hold a destroyed key.
  std::vector<std::uint64_t> deletes_versions = {};

  // Adds to the warnings what of the record hurts a reader.
  void WarnOfRecord(absl::Time now);
};

// What of the version before goes on in the next one, and what the change makes of it: the staged
// key, the current key's times, the newest key, the marks, the request ids.
void CarryOn(const Version& live, const Change& change, mek::VersionDoc& next);

// Keys that came into both sets without being made for it are noted with the time, and those that
// left are forgotten.
void NoteAdded(const Version* live, bool new_key, mek::VersionDoc& next);

// The document of the version that `change` makes after `live`.
mek::VersionDoc NextDoc(const Version* live, Change change, const openbao::Request& request,
                        const std::string& reason, absl::Time now);

// INVALID_ARGUMENT for a reason that is too long, or not one line of text.
absl::Status CheckReason(const std::string& reason);
// INVALID_ARGUMENT if it shows a key of the record.
absl::Status CheckReasonHides(const std::string& reason, const mek::Record& record);

// What came of a write: the version it made, or for a dry run the version it would
// have made, numbered as the live one; for a replayed request the version that it made the first
// time.
struct Outcome {
  VersionPtr version;  // never nullptr
  std::vector<std::string> warnings;
  bool dry_run = false;
  bool replayed = false;  // made by an earlier sending of the same request
};

// One mount: its record, archive and settings, and the one way to change the record. Thread-safe.
class Mount {
 public:
  // Makes the new record from the live version (nullptr before the first).
  using Compute = std::function<absl::StatusOr<Change>(const Version* live)>;

  explicit Mount(Sources sources)
      : sources_(sources), records_(sources.clock, archive_), spread_(sources.clock) {}

  // This node is the active one, so what is read may be remembered.
  void MayRemember();
  bool active() const { return active_; }
  void Invalidate();

  // Changes the record: takes the mount's lock, answers a replayed request as before, holds
  // `options.cas` against the live version, computes, refuses a key that contradicts a known one,
  // archives what the change drops, and appends the new version. Either all of it happens or the
  // live version stays.
  absl::StatusOr<Outcome> Apply(const openbao::Request& request, const WriteOptions& options,
                                const Compute& compute);

  // Each of these two takes the mount's lock.
  // What others have changed in the record's home becomes known while it is still to be had there.
  absl::Status CatchUp(const openbao::Request& request);

  // Deletes versions beyond max_versions, oldest first, at most `limit`, up to the first that holds
  // a key which is neither in the live record nor in the archive.
  absl::Status Prune(const openbao::Request& request, int limit);

  // The version asked for, or the live one; NOT_FOUND says which versions there are.
  absl::StatusOr<Version> Find(openbao::Storage& storage, std::uint64_t number);

  absl::StatusOr<FairLock::Holder> Lock(const openbao::Request& request) {
    return lock_.Acquire(request.context);
  }

  // How far the live version's staged key has spread. Precondition: it has one.
  absl::StatusOr<mek::ActivationState> Activation(openbao::Storage& storage, const Version& live,
                                                  const Config& config);

  HomeStore& records() { return records_; }
  ArchiveStore& archive() { return archive_; }
  ConfigStore& config() { return config_; }
  Readers& readers() { return readers_; }
  SpreadClock& spread() { return spread_; }
  AutomaticRotation& automatic() { return automatic_; }
  // True where storage says that no key's destruction is under way (destroy.h).
  Remembered<bool>& destruction_done() { return destruction_done_; }
  base::Random& random() const { return *sources_.random; }
  base::Logger& logger() const { return *sources_.logger; }
  absl::Time Now() const { return sources_.clock->Now(); }
  absl::Duration Monotonic() const { return sources_.clock->Monotonic(); }

 private:
  // One attempt at Apply. ABORTED if the record's home was changed by another hand meanwhile.
  absl::StatusOr<Outcome> ApplyOnce(const openbao::Request& request, const WriteOptions& options,
                                    const Compute& compute);
  // What an earlier sending of the same request made, if the live version remembers one.
  absl::StatusOr<VersionPtr> EarlierAnswer(const openbao::Request& request, const VersionPtr& live);
  // Holds the keys that a change adds against the live ones and the archive, and those that come in
  // unknown against mek/incoming.h.
  absl::Status CheckAddedKeys(openbao::Storage& storage, const Change& change, const Version* live);

  // Whether each key of a version is in the live record or in the archive, or was destroyed.
  absl::StatusOr<bool> IsKeptElsewhere(openbao::Storage& storage, const Version& old,
                                       const Version& live);

  const Sources sources_;
  std::atomic<bool> active_ = false;
  FairLock lock_;
  ArchiveStore archive_;
  HomeStore records_;
  ConfigStore config_;
  Readers readers_;
  SpreadClock spread_;
  AutomaticRotation automatic_;
  Remembered<bool> destruction_done_;
};

}  // namespace engine

#endif  // ENGINE_MOUNT_H_
