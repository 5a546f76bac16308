#include "engine/readers.h"

#include <openssl/sha.h>

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "base/json.h"
#include "base/status_macros.h"
#include "base/text.h"
#include "mek/document.h"

namespace engine {
namespace {

using base::Json;
using base::JsonText;

constexpr std::string_view kSeenKey = "readers/seen";
constexpr std::string_view kSeenWhat = "the entry readers/seen";
constexpr std::string_view kAcksKey = "acks";
constexpr std::string_view kAcksWhat = "the entry acks";
constexpr std::uint64_t kSchema = 1;
constexpr std::size_t kMaxAcks = 256;

// A later time of a reader that is known is worth a write only this often.
constexpr absl::Duration kSaveLaterTimes = absl::Minutes(10);

// Texts that come with a request are bounded before they are kept.
std::string Bounded(std::string_view text) {
  constexpr std::size_t kMost = 128;
  if (text.size() <= kMost) return std::string(text);
  std::size_t size = kMost;
  // Not within a character of UTF-8.
  while (size > 0 && (static_cast<unsigned char>(text[size]) & 0xc0) == 0x80) --size;
  return std::string(text.substr(0, size));
}

absl::StatusOr<Json> ToJson(const Reader& reader) {
  Json value = Json::object();
  value["accessor"] = JsonText(reader.accessor);
  value["address"] = JsonText(reader.address);
  value["entity_id"] = JsonText(reader.entity_id);
  value["display_name"] = JsonText(reader.display_name);
  value["version"] = reader.version;
  ASSIGN_OR_RETURN(value["seen"], mek::TimeJson(reader.seen));
  value["staged_kid"] = JsonText(reader.staged_kid);
  value["staged_kid_seen_seconds"] =
      static_cast<std::uint64_t>(absl::ToInt64Seconds(reader.staged_kid_seen));
  return value;
}

absl::StatusOr<Reader> FromJson(const Json& value) {
  if (!value.is_object()) return mek::Damaged(kSeenWhat, "a reader is not a JSON object");
  Reader reader;
  ASSIGN_OR_RETURN(reader.accessor, mek::ReadString(kSeenWhat, value, "accessor"));
  ASSIGN_OR_RETURN(reader.address, mek::ReadString(kSeenWhat, value, "address"));
  ASSIGN_OR_RETURN(reader.entity_id, mek::ReadString(kSeenWhat, value, "entity_id"));
  ASSIGN_OR_RETURN(reader.display_name, mek::ReadString(kSeenWhat, value, "display_name"));
  ASSIGN_OR_RETURN(reader.version, mek::ReadNumber(kSeenWhat, value, "version"));
  ASSIGN_OR_RETURN(reader.seen, mek::ReadTime(kSeenWhat, value, "seen"));
  ASSIGN_OR_RETURN(reader.staged_kid, mek::ReadString(kSeenWhat, value, "staged_kid"));
  ASSIGN_OR_RETURN(reader.staged_kid_seen,
                   mek::ReadSeconds(kSeenWhat, value, "staged_kid_seen_seconds"));
  return reader;
}

// The objects in the array `member` of a stored entry; none if there is no entry.
absl::StatusOr<Json> ReadList(openbao::Storage& storage, std::string_view key,
                              std::string_view what, std::string_view member) {
  ASSIGN_OR_RETURN(const std::optional<base::SecretBytes> entry, storage.Get(key));
  if (!entry.has_value()) return Json::array();
  ASSIGN_OR_RETURN(const Json document, mek::ReadDocument(what, kSchema, {member}, entry->view()));
  const auto list = document.find(base::JsonString(member));
  if (list == document.end() || !list->is_array()) {
    return mek::Damaged(what, base::Cat(member, " is missing or not an array"));
  }
  return *list;
}

absl::Status WriteList(openbao::Storage& storage, std::string_view key, std::string_view member,
                       Json list) {
  Json body = Json::object();
  body[base::JsonString(member)] = std::move(list);
  ASSIGN_OR_RETURN(const base::SecretBytes document, mek::WriteDocument(kSchema, body));
  return storage.Put(key, document);
}

absl::Status WriteAcks(openbao::Storage& storage, const std::vector<Ack>& acks) {
  Json list = Json::array();
  for (const Ack& ack : acks) {
    Json value = Json::object();
    value["consumer"] = JsonText(ack.consumer);
    value["kid"] = JsonText(ack.kid);
    ASSIGN_OR_RETURN(value["time"], mek::TimeJson(ack.time));
    list.push_back(std::move(value));
  }
  return WriteList(storage, kAcksKey, "acks", std::move(list));
}

absl::StatusOr<std::vector<Reader>> GetReaders(openbao::Storage& storage) {
  ASSIGN_OR_RETURN(const Json list, ReadList(storage, kSeenKey, kSeenWhat, "readers"));
  std::vector<Reader> readers;
  for (const Json& value : list) {
    ASSIGN_OR_RETURN(Reader reader, FromJson(value));
    readers.push_back(std::move(reader));
  }
  return readers;
}

}  // namespace

std::string Reader::name() const {
  if (accessor.empty()) return base::Cat("batch-token@", address);
  constexpr std::size_t kShown = 6;
  std::array<unsigned char, SHA256_DIGEST_LENGTH> digest{};
  SHA256(reinterpret_cast<const unsigned char*>(accessor.data()), accessor.size(), digest.data());
  const std::string_view start(reinterpret_cast<const char*>(digest.data()), kShown);
  return base::Cat(absl::BytesToHexString(base::ToAbsl(start)), "@", address);
}

bool IsBehind(const Reader& reader, const mek::VersionDoc& live) {
  return reader.version < live.rotated_version.value_or(0);
}

void Readers::Note(const openbao::Request& request, const Version& version, absl::Time now,
                   std::optional<absl::Duration> staged_for) {
  Reader reader;
  reader.accessor = Bounded(request.client_token_accessor);
  reader.address = Bounded(request.remote_address);
  const std::string name = reader.name();
  const std::optional<std::string>& staged = version.doc.staged_kid;

  absl::MutexLock lock(&mutex_);
  const auto [at, is_new] = readers_.try_emplace(name, std::move(reader));
  Reader& known = at->second;
  if (is_new || known.version != version.number) has_news_ = true;
  has_later_ = true;
  known.entity_id = Bounded(request.entity_id);
  known.display_name = Bounded(request.display_name);
  known.version = version.number;
  known.seen = now;
  if (staged.has_value() && staged_for.has_value() && known.staged_kid != *staged) {
    known.staged_kid = *staged;
    known.staged_kid_seen = *staged_for;
    has_news_ = true;
  }
  if (is_new) MakeRoom();
}

void Readers::MakeRoom() {
  while (readers_.size() > kMaxReaders) {
    incomplete_ = true;
    readers_.erase(std::ranges::min_element(readers_, {},
                                            [](const auto& named) { return named.second.seen; }));
  }
}

absl::Status Readers::Load(openbao::Storage& storage) {
  {
    absl::MutexLock lock(&mutex_);
    if (loaded_) return absl::OkStatus();
  }
  const absl::StatusOr<std::vector<Reader>> all = GetReaders(storage);
  absl::MutexLock lock(&mutex_);
  if (loaded_) return absl::OkStatus();
  if (mek::IsUnreadable(all.status())) {
    // An account of who looked is no reason to stand still; it begins anew, and says so. A newer
    // plugin's is left as it is.
    incomplete_ = loaded_ = true;
    may_save_ = absl::IsDataLoss(all.status());
    return absl::OkStatus();
  }
  RETURN_IF_ERROR(all.status());
  for (const Reader& kept : *all) {
    const auto [at, is_new] = readers_.try_emplace(kept.name(), kept);
    // One seen since the start may have fetched the staged key before it.
    if (!is_new && at->second.staged_kid == kept.staged_kid && !kept.staged_kid.empty()) {
      at->second.staged_kid_seen = std::min(at->second.staged_kid_seen, kept.staged_kid_seen);
    }
  }
  MakeRoom();
  loaded_ = true;
  return absl::OkStatus();
}

void Readers::Drop(absl::Time since) {
  if (std::erase_if(readers_, [&](const auto& named) { return named.second.seen < since; }) > 0) {
    has_news_ = true;
  }
}

absl::StatusOr<std::vector<Reader>> Readers::Seen(openbao::Storage& storage, absl::Time since) {
  RETURN_IF_ERROR(Load(storage));
  absl::MutexLock lock(&mutex_);
  std::vector<Reader> seen;
  for (const auto& [name, reader] : readers_) {
    if (reader.seen >= since) seen.push_back(reader);
  }
  return seen;
}

bool Readers::incomplete() {
  absl::MutexLock lock(&mutex_);
  return incomplete_;
}

absl::Status Readers::Save(openbao::Storage& storage, absl::Time since, absl::Time now) {
  Json list = Json::array();
  RETURN_IF_ERROR(Load(storage));
  {
    absl::MutexLock lock(&mutex_);
    Drop(since);
    const bool times_are_old = !saved_.has_value() || now - *saved_ >= kSaveLaterTimes;
    if (!may_save_ || (!has_news_ && !(has_later_ && times_are_old))) return absl::OkStatus();
    for (const auto& [name, reader] : readers_) {
      ASSIGN_OR_RETURN(Json value, ToJson(reader));
      list.push_back(std::move(value));
    }
    has_news_ = has_later_ = false;
    saved_ = now;
  }
  absl::Status put = WriteList(storage, kSeenKey, "readers", std::move(list));
  if (!put.ok()) {
    absl::MutexLock lock(&mutex_);
    has_news_ = true;
  }
  return put;
}

absl::Status CheckReaders(openbao::Storage& storage) { return GetReaders(storage).status(); }

absl::StatusOr<std::vector<Ack>> GetAcks(openbao::Storage& storage) {
  ASSIGN_OR_RETURN(const Json list, ReadList(storage, kAcksKey, kAcksWhat, "acks"));
  std::vector<Ack> acks;
  for (const Json& value : list) {
    if (!value.is_object()) return mek::Damaged(kAcksWhat, "an entry is not a JSON object");
    Ack ack;
    ASSIGN_OR_RETURN(ack.consumer, mek::ReadString(kAcksWhat, value, "consumer"));
    ASSIGN_OR_RETURN(ack.kid, mek::ReadString(kAcksWhat, value, "kid"));
    ASSIGN_OR_RETURN(ack.time, mek::ReadTime(kAcksWhat, value, "time"));
    acks.push_back(std::move(ack));
  }
  return acks;
}

absl::Status PutAck(openbao::Storage& storage, Ack ack, const std::vector<std::string>& of_kids) {
  absl::StatusOr<std::vector<Ack>> stored = GetAcks(storage);
  std::vector<Ack> acks;
  if (stored.ok()) {
    acks = *std::move(stored);
  } else if (!absl::IsDataLoss(stored.status())) {
    return stored.status();
  }
  std::erase_if(acks, [&](const Ack& kept) {
    return std::ranges::find(of_kids, kept.kid) == of_kids.end() ||
           (kept.consumer == ack.consumer && kept.kid == ack.kid);
  });
  if (acks.size() >= kMaxAcks) {
    return absl::ResourceExhaustedError(
        absl::StrCat("at most ", kMaxAcks,
                     " acknowledgements of the current and the staged key are kept, and there are "
                     "that many: acknowledge for the consumers in config required_acks only. A "
                     "key's are forgotten once it is neither of the two. Nothing was changed"));
  }
  acks.push_back(std::move(ack));
  return WriteAcks(storage, acks);
}

absl::Status DropAcks(openbao::Storage& storage, const std::string& kid) {
  absl::StatusOr<std::vector<Ack>> acks = GetAcks(storage);
  if (mek::IsUnreadable(acks.status())) return absl::OkStatus();
  RETURN_IF_ERROR(acks.status());
  const std::size_t dropped =
      std::erase_if(*acks, [&](const Ack& kept) { return kept.kid == kid; });
  return dropped == 0 ? absl::OkStatus() : WriteAcks(storage, *acks);
}

}  // namespace engine
