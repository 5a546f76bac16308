#ifndef ENGINE_READERS_H_
#define ENGINE_READERS_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "engine/record_store.h"
#include "sdk/logical/request.h"

namespace engine {

// Who fetched the record, and what of it. A reader is a token (by its accessor) at an address.
struct Reader {
  std::string accessor;  // empty: a batch token, so several readers may be one
  std::string address;
  std::string entity_id;
  std::string display_name;
  std::uint64_t version = 0;  // the last version it fetched
  absl::Time seen;            // when
  // The staged key it fetched last, and how long that had been staged when it first did.
  std::string staged_kid;
  absl::Duration staged_kid_seen;

  // Tells readers apart, and shows no accessor: names are map keys, which audit logs show in clear.
  std::string name() const;
};

// Whether the reader has not fetched the newest key, staged or current.
bool IsBehind(const Reader& reader, const mek::VersionDoc& live);

// The readers seen on the active node, in memory, and kept from tick to tick in the entry
// "readers/seen" so that a restart forgets none. A read costs no storage call. At most kMaxReaders:
// the one not seen for longest goes first. Thread-safe.
class Readers {
 public:
  static constexpr std::size_t kMaxReaders = 1000;

  // A live record was handed out. `staged_for`: how long its staged key has been one, if that is
  // known.
  void Note(const openbao::Request& request, const Version& version, absl::Time now,
            std::optional<absl::Duration> staged_for);

  // Those seen since `since`, by name. Reads what was kept, at the first call.
  absl::StatusOr<std::vector<Reader>> Seen(openbao::Storage& storage, absl::Time since);
  // Whether some may be missing: more were seen than can be remembered, or what was kept can't be
  // read.
  bool incomplete();

  // Keeps them, if there is anything new to keep, without those not seen since `since`.
  absl::Status Save(openbao::Storage& storage, absl::Time since, absl::Time now);

 private:
  // What was kept is read and merged once: without the lock, which each read of the record takes.
  absl::Status Load(openbao::Storage& storage) ABSL_LOCKS_EXCLUDED(mutex_);
  void Drop(absl::Time since) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void MakeRoom() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  absl::Mutex mutex_;
  std::map<std::string, Reader> readers_ ABSL_GUARDED_BY(mutex_);  // by name
  bool loaded_ ABSL_GUARDED_BY(mutex_) = false;
  bool incomplete_ ABSL_GUARDED_BY(mutex_) = false;
  bool may_save_ ABSL_GUARDED_BY(mutex_) = true;
  bool has_news_ ABSL_GUARDED_BY(mutex_) = false;  // beyond a later time of the same
  bool has_later_ ABSL_GUARDED_BY(mutex_) = false;
  std::optional<absl::Time> saved_ ABSL_GUARDED_BY(mutex_);
};

// Whether the entry "readers/seen" can be read.
absl::Status CheckReaders(openbao::Storage& storage);

// What consumers have acknowledged, in the entry "acks". Thread-safe; PutAck and DropAcks are
// called by one at a time, who holds the mount's lock.
struct Ack {
  std::string consumer;
  std::string kid;
  absl::Time time;
};
absl::StatusOr<std::vector<Ack>> GetAcks(openbao::Storage& storage);
// Keeps those of `of_kids` only, beside the new one. A list that is damaged begins anew.
// RESOURCE_EXHAUSTED for too many consumers.
absl::Status PutAck(openbao::Storage& storage, Ack ack, const std::vector<std::string>& of_kids);
// Forgets those of the kid. What is damaged acknowledges nothing, and is left as it is.
absl::Status DropAcks(openbao::Storage& storage, const std::string& kid);

}  // namespace engine

#endif  // ENGINE_READERS_H_
