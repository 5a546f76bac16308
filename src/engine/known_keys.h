#ifndef ENGINE_KNOWN_KEYS_H_
#define ENGINE_KNOWN_KEYS_H_

#include <optional>
#include <set>
#include <string>

#include "absl/status/statusor.h"
#include "engine/mount.h"
#include "mek/archive.h"
#include "mek/lifecycle.h"

namespace engine {

// What is known of one kid.
struct KnownKey {
  mek::KeyState state;
  bool in_record = false;
  bool is_current = false;
  std::optional<mek::ArchiveEntry> archived;
  // The archive holds a key of a set that lacks it in the record: one set alone can lose a key.
  bool can_be_restored = false;
};

// Every kid that is in the record, archived, or marked.
absl::StatusOr<std::set<std::string>> KnownKids(Mount& mount, openbao::Storage& storage,
                                                const Version* live);

// NOT_FOUND if nothing is known of the kid.
absl::StatusOr<KnownKey> FindKey(Mount& mount, openbao::Storage& storage, const Version* live,
                                 const std::string& kid);

// The same, if the action may be done with the key in its state (mek::CheckKeyAction).
absl::StatusOr<KnownKey> CheckedKey(Mount& mount, openbao::Storage& storage, const Version* live,
                                    const std::string& kid, mek::KeyAction action);

// That another hand, in the record's home, took an archived key from the readers.
struct Taken {
  std::string text;           // for people, with what to do
  bool repair_brings = true;  // else a person has to say which key is right
};
// nullopt where nothing is amiss.
std::optional<Taken> TakenFromReaders(const mek::ArchivedKey& key, const mek::VersionDoc& live,
                                      bool in_kv);
// Why repair leaves another key in that place, and what to do in the record's home.
std::string HowToPutBack(const mek::KeyRef& ref, bool in_kv);
// For people, with what to do; nullopt where nothing is amiss.
// Whether another hand put a destroyed key into the record again.
std::optional<std::string> DestroyedIsBack(const mek::VersionDoc& live);

}  // namespace engine

#endif  // ENGINE_KNOWN_KEYS_H_
