#include "support/records.h"

#include <algorithm>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <utility>

#include "base/base64.h"
#include "base/text.h"
#include "mek/archive.h"
#include "mek/version_doc.h"

namespace testing_support {
namespace {

constexpr std::string_view kArchive = "archive/";

std::string KeyText(mek::Set set, const mek::Jwk& jwk) {
  return base::Cat(mek::SetName(set), " ", jwk.kid(), " ",
                   base::Base64UrlEncode(jwk.key().view()).view());
}

template <class T>
T Must(absl::StatusOr<T> value) {
  if (!value.ok()) throw std::runtime_error(std::string(value.status().message()));
  return *std::move(value);
}

}  // namespace

base::Json ReadRecord(const std::string& name) {
  std::ifstream file(base::Cat(RECORDS_DIR, "/", name, ".json"));
  std::stringstream text;
  text << file.rdbuf();
  return Must(base::ParseJson(text.str())).at("data");
}

Keys KeysOf(const mek::Record& record) {
  Keys keys;
  for (const mek::Set set : mek::kSets) {
    for (const mek::Jwk& jwk : record.set(set).keys()) keys.insert(KeyText(set, jwk));
  }
  return keys;
}

Keys KeysOf(const base::Json& fields) { return KeysOf(Must(mek::Record::Parse(fields))); }

Keys KeysStored(const TxStore::Content& content) {
  Keys keys;
  for (const auto& [name, value] : content) {
    if (name.starts_with("versions/")) {
      keys.merge(KeysOf(Must(mek::VersionDoc::Parse(name, value)).record));
    } else if (name.starts_with(kArchive)) {
      std::string kid = name.substr(kArchive.size());
      std::ranges::replace(kid, '~', '.');
      const mek::ArchiveEntry entry = Must(mek::ArchiveEntry::Parse(kid, value));
      for (const mek::ArchivedKey& key : entry.keys()) {
        keys.insert(KeyText(key.key.set, key.key.jwk));
      }
    }
  }
  return keys;
}

std::string FirstMissing(const Keys& some, const Keys& all) {
  for (const std::string& key : some) {
    if (!all.contains(key)) return key.substr(0, key.rfind(' '));
  }
  return "";
}

}  // namespace testing_support
