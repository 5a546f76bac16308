#ifndef ENGINE_KV_STORE_H_
#define ENGINE_KV_STORE_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/secret.h"
#include "engine/archive_store.h"
#include "engine/kv_copies.h"
#include "engine/record_store.h"
#include "kvclient/kv_secret.h"

namespace engine {

// The record where it lives today: in a KV v2 secret, whose version numbers are the record's. The
// secret is the truth. What it can't hold (who, why, what is staged, marks, request ids), and the
// record of each version beyond the secret's own history, is in our storage:
//
//   kv/versions/NNNNNNNNNN     our document of that version of the secret
//   kv/intents/NNNNNNNNNN-KKKKKKKKKK
//                              a document that was to become that version, until that is settled
//   kv/created                 when the secret was made, in its server's words: one made anew under
//                              the same name has another
//
// A change: the intent is stored, so that no key is shown before we hold it; the secret is written
// with check-and-set; the document is stored as the version's; the intent goes. After a crash or a
// lost reply nothing is guessed and nothing written twice: when the secret has that version, its
// record says which intent it is, or that it is somebody else's. An intent whose write may still be
// on its way stays until then, also when others come for the same version; of all these
// check-and-set lets one through.
//
// A version that has no document of ours was made by another hand: "external".
class KvStore final : public RecordStore {
 public:
  // `archive` outlives the store.
  KvStore(std::unique_ptr<kvclient::KvSecret> secret, ArchiveStore& archive)
      : secret_(std::move(secret)), archive_(archive) {}

  absl::StatusOr<VersionPtr> Live(openbao::Storage& storage) override;
  absl::StatusOr<std::optional<Version>> StoredLive(openbao::Storage& storage) override;
  absl::StatusOr<std::optional<Version>> Get(openbao::Storage& storage,
                                             std::uint64_t number) override;
  absl::StatusOr<std::vector<std::uint64_t>> List(openbao::Storage& storage) override;
  absl::Status Append(openbao::Storage& storage, const VersionPtr& version,
                      const base::SecretBytes& document) override;
  absl::Status Rewrite(openbao::Storage& storage, std::uint64_t number,
                       const base::SecretBytes& document) override;
  absl::Status Prune(openbao::Storage& storage, std::uint64_t number) override;
  // Stores a document for each version of the secret that has none, and settles the intents. The
  // keys that another hand's version leaves out, or puts others in the place of, go to the archive.
  // A version that is past and whose current key is destroyed gets none: it counts as deleted.
  absl::Status CatchUp(openbao::Storage& storage) override;
  // The same for a move into the secret. The other home has had the record since our copies were
  // made: it knows keys as destroyed, and the reasons for which keys are archived stay.
  absl::Status CatchUpForMove(openbao::Storage& storage, const mek::KidTimes& destroyed_at_home);
  void Invalidate() override {}

  // Our newest document, whatever the secret holds now.
  absl::StatusOr<std::optional<Version>> NewestCopy(openbao::Storage& storage);
  // Forgets the versions, for they are another secret's; their keys go to the archive.
  absl::Status Forget(openbao::Storage& storage);
  // Whether a write of ours, of which no answer came, may still have its effect.
  absl::StatusOr<bool> HasOpenWrites(openbao::Storage& storage);
  // The keys of those, into the archive: for when nobody looks for them here any more.
  absl::Status ArchiveOpenWrites(openbao::Storage& storage);

  // Those themselves, but for damaged ones: for what must leave no copy behind.
  static absl::StatusOr<std::vector<StoredDoc>> OpenWrites(openbao::Storage& storage);

  // The versions that the secret itself has which hold a key of that kid.
  absl::StatusOr<std::vector<std::uint64_t>> Holding(const std::string& kid);

  kvclient::KvSecret& secret() { return *secret_; }

 private:
  struct Intent {
    std::string key;
    std::uint64_t number;
  };

  static absl::StatusOr<std::vector<Intent>> Intents(openbao::Storage& storage);
  static absl::StatusOr<mek::VersionDoc> IntentDoc(openbao::Storage& storage, const Intent& intent);
  // An intent that will never be known to have become a version, or not.
  absl::Status Abandon(openbao::Storage& storage, const Intent& intent);
  // The keys of `doc` that the archive lacks, into it, but for destroyed ones.
  absl::Status ArchiveKeys(openbao::Storage& storage, const mek::VersionDoc& doc,
                           std::uint64_t number, mek::DropReason reason);
  // Keys that another hand took from the secret's readers. If it is the home, these had them until
  // now, though some may have been out before, for another reason.
  absl::Status ArchiveTaken(openbao::Storage& storage, std::vector<mek::SetKey> keys,
                            absl::Time now, std::uint64_t version, mek::DropReason reason,
                            bool is_home);
  // Those of the version before that another hand's version lacks.
  absl::Status ArchiveLost(openbao::Storage& storage, const Version& external, bool is_home);
  // Those of a version of which no copy is kept that our newest one lacks, but for destroyed ones.
  absl::Status ArchiveRest(openbao::Storage& storage, const Version& left_out,
                           const std::optional<Version>& newest, const mek::KidTimes& destroyed);
  absl::Status CatchUpAs(openbao::Storage& storage, mek::KidTimes destroyed, bool is_home);
  // What is known of the secret that was there before another was made under its name. `newest`
  // stays until the new versions have the marks in it.
  absl::Status ForgetFormer(openbao::Storage& storage, const Version& newest,
                            const kvclient::SecretMetadata& metadata, bool is_home);
  // Of which no copy is kept, for our newest one to say so.
  absl::Status NoteDeleted(openbao::Storage& storage, std::set<std::uint64_t> numbers);
  // Archives the keys of every copy and intent, and deletes them but for the copy `kept`.
  absl::Status ForgetAllBut(openbao::Storage& storage, std::optional<std::uint64_t> kept,
                            mek::DropReason reason);

  // Whether another hand put a key back in the place of `displaced` that another hand had taken
  // out.
  absl::StatusOr<bool> IsMended(openbao::Storage& storage, const mek::SetKey& displaced,
                                const mek::Record& record);
  // Our newest document of an earlier version.
  absl::StatusOr<std::optional<Version>> CopyBefore(openbao::Storage& storage,
                                                    std::uint64_t number);
  // The version of the secret, with our document or an external one after the newest of ours
  // before.
  absl::StatusOr<Version> Known(openbao::Storage& storage, const kvclient::SecretVersion& version);
  absl::StatusOr<Version> External(openbao::Storage& storage,
                                   const kvclient::SecretVersion& version);
  // Whether the write of `doc` as version `number`, of which no answer came or which met another
  // (perhaps itself, sent twice), is in the secret.
  // ABORTED if another version is in its place, UNAVAILABLE if it may still come.
  absl::Status Settle(std::uint64_t number, const mek::VersionDoc& doc, const absl::Status& why);
  absl::Status SettleIntents(openbao::Storage& storage, std::uint64_t current);

  const std::unique_ptr<kvclient::KvSecret> secret_;
  KvCopies copies_;
  ArchiveStore& archive_;
  // The newest version that the secret is known to have had: an older answer is a standby's.
  std::atomic<std::uint64_t> seen_ = 0;
};

// Whether both hold the same, in whatever order members stand: a KV secret keeps none.
bool SameContent(const base::Json& a, const base::Json& b);

// Numbers of versions that went with a destroyed key.
void AddDeleted(std::set<std::uint64_t> all, mek::VersionDoc& doc);

// Those of `keys` that the archive lacks, into it.
absl::Status ArchiveMissing(ArchiveStore& archive, openbao::Storage& storage,
                            std::vector<mek::SetKey> keys, absl::Time now, std::uint64_t version,
                            mek::DropReason reason);

}  // namespace engine

#endif  // ENGINE_KV_STORE_H_
