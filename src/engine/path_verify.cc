#include <algorithm>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "base/status_macros.h"
#include "base/text.h"
#include "engine/compromised.h"
#include "engine/destroy.h"
#include "engine/known_keys.h"
#include "engine/mount_store.h"
#include "engine/paths.h"
#include "engine/reply.h"
#include "mek/rotation.h"
#include "mek/verify.h"

namespace engine {
namespace {

using base::Cat;
using base::JsonText;
using mek::Finding;
using openbao::FieldData;
using openbao::Request;
using openbao::Response;

Finding Ok(std::string check, std::string message) {
  return {std::move(check), Finding::Level::kOk, std::move(message)};
}

Finding Fail(std::string check, const absl::Status& status) {
  return {std::move(check), Finding::Level::kFail, Cat(status.message())};
}

using KeyRef = mek::KeyRef;

// The stored versions, read once for all the checks on them.
struct Stored {
  std::vector<Finding> findings;
  // The keys of all of them, with one version that holds each. More than one of a kid: another hand
  // has overwritten one.
  struct Key {
    mek::Jwk jwk;
    std::uint64_t version;
  };
  std::map<KeyRef, std::vector<Key>> keys;

  void Note(const mek::Record& record, std::uint64_t version) {
    for (const mek::Set set : mek::kSets) {
      for (const mek::Jwk& jwk : record.set(set).keys()) {
        std::vector<Key>& known = keys[KeyRef{set, jwk.kid()}];
        const bool is_known =
            std::ranges::any_of(known, [&](const Key& key) { return key.jwk.HasKeyOf(jwk); });
        if (!is_known) known.push_back({jwk.Clone(), version});
      }
    }
  }
};

// Every stored version can be read, and none is missing between the oldest and the live one but
// those that went with a destroyed key.
Stored CheckVersions(Mount& mount, openbao::Storage& storage,
                     const std::vector<std::uint64_t>& deleted) {
  constexpr char kCheck[] = "storage.versions";
  Stored stored;
  const absl::StatusOr<std::vector<std::uint64_t>> numbers = mount.records().List(storage);
  if (!numbers.ok()) {
    stored.findings.push_back(Fail(kCheck, numbers.status()));
    return stored;
  }
  const auto home = mount.records().Current(storage);
  const bool in_kv = home.ok() && (*home)->settings.in_kv;
  if (numbers->empty()) {
    stored.findings.push_back(Ok(kCheck, "there is no version yet"));
    return stored;
  }
  std::uint64_t expected = numbers->front();
  for (const std::uint64_t number : *numbers) {
    for (; expected < number; ++expected) {
      if (std::ranges::find(deleted, expected) != deleted.end()) continue;
      if (in_kv) {
        stored.findings.push_back({kCheck, Finding::Level::kWarn,
                                   absl::StrCat("version ", expected,
                                                " was deleted in the KV secret, or was no record, "
                                                "before it was known here")});
        continue;
      }
      stored.findings.push_back(
          Fail(kCheck, absl::DataLossError(absl::StrCat("version ", expected,
                                                        " is missing: restore it from a backup"))));
    }
    ++expected;
    const absl::StatusOr<std::optional<Version>> version = mount.records().Get(storage, number);
    if (!version.ok()) {
      stored.findings.push_back(Fail(kCheck, version.status()));
    } else if (version->has_value()) {
      stored.Note((*version)->doc.record, number);
    }
  }
  if (stored.findings.empty()) {
    stored.findings.push_back(Ok(kCheck, absl::StrCat("versions ", numbers->front(), " to ",
                                                      numbers->back(), " can be read")));
  }
  return stored;
}

// What readers get is also stored. Where it isn't, no process but this one has it.
Finding CheckStored(Mount& mount, openbao::Storage& storage) {
  constexpr char kCheck[] = "storage.live_version";
  const absl::StatusOr<std::optional<Version>> stored = mount.records().StoredLive(storage);
  if (stored.ok()) return Ok(kCheck, "the live version is stored as readers get it");
  // A snapshot takes the only whole copy away.
  return {kCheck, Finding::Level::kFail,
          Cat("the plugin's process has the live version whole, and storage has not: write rotate "
              "before the plugin or the server starts anew, and the next version is whole again. "
              "Only if that fails restore the storage from a snapshot taken before. Found: ",
              absl::StripSuffix(stored.status().message(), kReadVerify))};
}

// Every archived key can be read and used.
Finding CheckArchive(Mount& mount, openbao::Storage& storage,
                     std::vector<mek::ArchivedKey>& archived) {
  constexpr char kCheck[] = "storage.archive";
  const absl::StatusOr<ArchiveStore::Kids> kids = mount.archive().List(storage);
  if (!kids.ok()) return Fail(kCheck, kids.status());
  for (const std::string& kid : **kids) {
    const auto entry = mount.archive().Get(storage, kid);
    if (!entry.ok()) return Fail(kCheck, entry.status());
    if (!entry->has_value()) continue;
    for (const mek::ArchivedKey& key : (*entry)->keys()) {
      if (!mek::SealsAndOpens(key.key.jwk.key())) {
        return Fail(kCheck, absl::DataLossError(Cat("AES-256-GCM fails with the archived key of ",
                                                    kid, ". Check the plugin's host")));
      }
      archived.push_back({{key.key.set, key.key.jwk.Clone()},
                          key.dropped_time,
                          key.dropped_by_version,
                          key.reason});
    }
  }
  return Ok(kCheck, absl::StrCat((*kids)->size(), (*kids)->size() == 1 ? " kid" : " kids",
                                 " in the archive can be read, and used"));
}

// No other hand has taken a key from the readers. What repair brings back is named first.
Finding CheckExternal(Mount& mount, openbao::Storage& storage,
                      const std::vector<mek::ArchivedKey>& archived, const mek::VersionDoc& live) {
  constexpr char kCheck[] = "rotation.nothing_taken_out";
  const auto home = mount.records().Current(storage);
  if (!home.ok()) return Fail(kCheck, home.status());
  std::optional<Taken> first;
  for (const mek::ArchivedKey& key : archived) {
    std::optional<Taken> taken = TakenFromReaders(key, live, (*home)->settings.in_kv);
    if (!taken.has_value()) continue;
    if (!first.has_value() || (taken->repair_brings && !first->repair_brings)) {
      first = std::move(taken);
    }
  }
  if (first.has_value()) return {kCheck, Finding::Level::kFail, std::move(first->text)};
  return Ok(kCheck, "no other hand has taken a key out of the record");
}

// What was destroyed is nowhere.
Finding CheckDestroyed(const std::vector<mek::ArchivedKey>& archived, const mek::VersionDoc& live) {
  constexpr char kCheck[] = "rotation.destroyed_gone";
  if (std::optional<std::string> back = DestroyedIsBack(live); back.has_value()) {
    return {kCheck, Finding::Level::kFail, *std::move(back)};
  }
  for (const mek::ArchivedKey& key : archived) {
    const std::string& kid = key.key.jwk.kid();
    if (!live.marks.destroyed.contains(kid)) continue;
    return {kCheck, Finding::Level::kFail,
            Cat("kid ", kid, " was destroyed, and is in the archive again: write destroy-key/", kid,
                " once more")};
  }
  return Ok(kCheck, "no destroyed key is in the record or the archive");
}

// Every key of any stored version is in the record or the archive, so that it can come back to
// readers without a rollback.
Finding CheckNothingLost(const std::map<KeyRef, std::vector<Stored::Key>>& stored,
                         const std::vector<mek::ArchivedKey>& archived,
                         const mek::VersionDoc& live) {
  constexpr char kCheck[] = "storage.no_key_lost";
  std::map<KeyRef, std::vector<const mek::Jwk*>> kept;
  for (const mek::ArchivedKey& key : archived) {
    kept[KeyRef{key.key.set, key.key.jwk.kid()}].push_back(&key.key.jwk);
  }
  for (const auto& [ref, keys] : stored) {
    std::vector<const mek::Jwk*>& known = kept[ref];
    const mek::Jwk* const in_record = live.record.set(ref.set).Find(ref.kid);
    if (in_record != nullptr) known.push_back(in_record);
    for (const Stored::Key& key : keys) {
      const bool is_known =
          std::ranges::any_of(known, [&](const mek::Jwk* jwk) { return jwk->HasKeyOf(key.jwk); });
      if (is_known) continue;
      if (live.marks.destroyed.contains(ref.kid)) {
        return {kCheck, Finding::Level::kWarn,
                Cat("kid ", ref.kid, " was destroyed, and version ", key.version,
                    " still holds it: if this is not made good within a minute, write destroy-key/",
                    ref.kid, " once more")};
      }
      return {
          kCheck, Finding::Level::kFail,
          Cat("kid ", ref.kid, " of ", mek::SetName(ref.set), " is only in version ", key.version,
              ": write repair version=", absl::StrCat(key.version), " brings it back")};
    }
  }
  return Ok(kCheck, "every key of every stored version is in the record or the archive");
}

// What is stored beside the record and the archive can be read.
Finding CheckSettings(Mount& mount, openbao::Storage& storage, const mek::VersionDoc* live) {
  constexpr char kCheck[] = "storage.settings";
  for (const absl::Status& status :
       {mount.config().Get(storage).status(), GetAcks(storage).status(), CheckReaders(storage),
        CheckDestroying(storage),
        live != nullptr && live->staged_kid.has_value()
            ? mount.spread().Elapsed(storage, *live->staged_kid).status()
            : absl::OkStatus()}) {
    if (!status.ok()) return Fail(kCheck, status);
  }
  return Ok(kCheck, "settings, acknowledgements and readers can be read");
}

// KV deletes no version by itself, or it would in time be the live one.
std::optional<Finding> CheckKept(Mount& mount, openbao::Storage& storage) {
  constexpr char kCheck[] = "storage.kv_keeps_versions";
  const auto home = mount.records().Current(storage);
  if (!home.ok() || !(*home)->settings.in_kv) return std::nullopt;
  kvclient::KvSecret& secret = (*home)->kv->secret();
  const auto metadata = secret.ReadMetadata();
  if (!metadata.ok()) return Fail(kCheck, metadata.status());
  if (!metadata->has_value()) return std::nullopt;
  const auto deletions = secret.SelfDeletions(**metadata, mount.Now());
  if (!deletions.ok()) return Fail(kCheck, deletions.status());
  if (!deletions->empty()) {
    return Finding{kCheck, Finding::Level::kWarn, absl::StrJoin(*deletions, ". ")};
  }
  return Ok(kCheck, "KV deletes no version by itself");
}

Finding CheckStaged(const mek::VersionDoc& live) {
  constexpr char kCheck[] = "rotation.staged_key_last";
  if (!live.staged_kid.has_value()) return Ok(kCheck, "no key is staged");
  if (!live.record.HasKidInBothSets(*live.staged_kid) ||
      live.record.current_kid() == *live.staged_kid) {
    return {kCheck, Finding::Level::kFail,
            Cat("the staged kid ", *live.staged_kid,
                " is not one beside the current one in both sets: rotate again with force=true")};
  }
  return Ok(kCheck, Cat("the staged kid ", *live.staged_kid, " is in both sets, not current"));
}

Finding CheckCompromised(const mek::VersionDoc& live) {
  constexpr char kCheck[] = "rotation.current_not_compromised";
  if (!live.marks.compromised.contains(live.record.current_kid())) {
    return Ok(kCheck, "the current key is not marked as compromised");
  }
  return {kCheck, Finding::Level::kFail,
          Cat("the current key is marked as compromised: ", HowToLeaveKey(live.staged_kid))};
}

Answer Verify(Mount& mount, const Request& request, const FieldData&) {
  openbao::Storage& storage = *request.storage;
  std::vector<Finding> findings;
  const absl::StatusOr<VersionPtr> live = mount.records().Live(storage);
  if (!live.ok() && absl::IsUnavailable(live.status())) return live.status();
  if (!live.ok()) {
    findings.push_back(Fail("record.readable", live.status()));
  } else if (*live != nullptr) {
    findings = mek::Verify((*live)->doc.record, mount.Now());
  } else {
    findings.push_back(
        {"record.exists", Finding::Level::kWarn,
         "there is no record: write init for a fresh one, or import the existing one"});
  }
  const bool has_record = live.ok() && *live != nullptr;
  Stored stored = CheckVersions(
      mount, storage, has_record ? (*live)->doc.deleted_versions : std::vector<std::uint64_t>());
  for (Finding& finding : stored.findings) findings.push_back(std::move(finding));
  if (has_record) findings.push_back(CheckStored(mount, storage));
  std::vector<mek::ArchivedKey> archived;
  findings.push_back(CheckArchive(mount, storage, archived));
  findings.push_back(CheckSettings(mount, storage, has_record ? &(*live)->doc : nullptr));
  if (auto kept = CheckKept(mount, storage); kept.has_value()) {
    findings.push_back(*std::move(kept));
  }
  if (has_record) {
    findings.push_back(CheckNothingLost(stored.keys, archived, (*live)->doc));
    findings.push_back(CheckExternal(mount, storage, archived, (*live)->doc));
    findings.push_back(CheckDestroyed(archived, (*live)->doc));
    findings.push_back(CheckStaged((*live)->doc));
    findings.push_back(CheckCompromised((*live)->doc));
  }

  Response response;
  response.data["result"] = JsonText(mek::LevelName(mek::WorstLevel(findings)));
  for (const Finding& finding : findings) {
    response.data[base::JsonString(finding.check)] =
        JsonText(Cat(mek::LevelName(finding.level), ": ", finding.message));
  }
  return response;
}

}  // namespace

std::vector<openbao::Path> VerifyPaths() {
  openbao::Path path;
  path.pattern = "verify";
  path.synopsis =
      "Check the record and all that is stored against every rule, and each key of the record by "
      "use.";
  path.description =
      "result is the worst of the lines: ok, warn or fail. There is a line for each rule of "
      "the record and of its readers; a message and, where something is amiss, what to do. "
      "Each key of the record seals and opens a message with AES-256-GCM. No key material is "
      "shown.";
  path.operations.push_back(
      {.operation = openbao::Operation::kRead, .handler = Bind(Verify), .summary = "Verify now."});
  return {path};
}

}  // namespace engine
