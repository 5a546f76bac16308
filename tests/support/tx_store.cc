#include "support/tx_store.h"

#include <utility>

#include "absl/strings/str_cat.h"

namespace testing_support {
namespace {

constexpr char kReadOnlyText[] = "cannot write to readonly storage";
constexpr char kConflictText[] = "transaction commit failed: a value changed since it was read";

std::vector<std::string> Names(const TxStore::Content& content, std::string_view prefix,
                               std::string_view after, int limit) {
  std::vector<std::string> names;
  for (auto at = content.lower_bound(prefix); at != content.end(); ++at) {
    const std::string& key = at->first;
    if (!key.starts_with(prefix)) break;
    std::string name = key.substr(prefix.size());
    if (const std::size_t slash = name.find('/'); slash != std::string::npos)
      name.resize(slash + 1);
    if (name <= after || (!names.empty() && names.back() == name)) continue;
    if (limit > 0 && names.size() == static_cast<std::size_t>(limit)) break;
    names.push_back(std::move(name));
  }
  return names;
}

std::optional<std::string> Value(const TxStore::Content& content, std::string_view key) {
  const auto at = content.find(key);
  return at == content.end() ? std::nullopt : std::optional(at->second);
}

void Apply(const std::map<std::string, std::optional<std::string>, std::less<>>& writes,
           TxStore::Content& content) {
  for (const auto& [key, value] : writes) {
    if (value.has_value()) {
      content.insert_or_assign(key, *value);
    } else {
      content.erase(key);
    }
  }
}

}  // namespace

void TxStore::set_transactional(bool transactional) {
  absl::MutexLock lock(&mutex_);
  transactional_ = transactional;
}

bool TxStore::transactional() {
  absl::MutexLock lock(&mutex_);
  return transactional_;
}

void TxStore::set_permits(int permits) {
  absl::MutexLock lock(&mutex_);
  permits_ = static_cast<std::size_t>(permits);
}

void TxStore::set_read_only(bool read_only) {
  absl::MutexLock lock(&mutex_);
  read_only_ = read_only;
}

TxStore::Transaction* TxStore::Find(std::string_view txn) {
  if (txn.empty()) return nullptr;
  const auto at = transactions_.find(txn);
  if (at != transactions_.end()) return &at->second;
  ++strays_;
  return nullptr;
}

std::optional<std::string> TxStore::Get(std::string_view txn, std::string_view key) {
  absl::MutexLock lock(&mutex_);
  Transaction* const transaction = Find(txn);
  if (transaction == nullptr) return Value(content_, key);
  if (const auto own = transaction->writes.find(key); own != transaction->writes.end()) {
    return own->second;
  }
  transaction->read.emplace(key);
  return Value(transaction->snapshot, key);
}

std::string TxStore::Write(std::string_view txn, std::string_view key,
                           std::optional<std::string> value) {
  absl::MutexLock lock(&mutex_);
  Transaction* const transaction = Find(txn);
  if (read_only_ || (transaction != nullptr && transaction->read_only)) return kReadOnlyText;
  if (transaction != nullptr) {
    transaction->writes.insert_or_assign(std::string(key), std::move(value));
  } else if (value.has_value()) {
    content_.insert_or_assign(std::string(key), *std::move(value));
  } else if (const auto at = content_.find(key); at != content_.end()) {
    content_.erase(at);
  }
  return "";
}

std::string TxStore::Put(std::string_view txn, std::string_view key, std::string_view value) {
  return Write(txn, key, std::string(value));
}

std::string TxStore::Delete(std::string_view txn, std::string_view key) {
  return Write(txn, key, std::nullopt);
}

std::vector<std::string> TxStore::List(std::string_view txn, std::string_view prefix,
                                       std::string_view after, int limit) {
  absl::MutexLock lock(&mutex_);
  Transaction* const transaction = Find(txn);
  if (transaction == nullptr) return Names(content_, prefix, after, limit);
  transaction->listed.emplace(prefix);
  Content seen = transaction->snapshot;
  Apply(transaction->writes, seen);
  return Names(seen, prefix, after, limit);
}

std::string TxStore::Begin(bool read_only, std::string& txn) {
  absl::MutexLock lock(&mutex_);
  if (!transactional_) return "this storage has no transactions";
  if (transactions_.size() >= permits_) return "too many transactions are open";
  txn = absl::StrCat("txn-", ++begins_);
  transactions_.emplace(txn, Transaction{.read_only = read_only, .snapshot = content_});
  return "";
}

std::string TxStore::Commit(std::string_view txn) {
  absl::MutexLock lock(&mutex_);
  const auto at = transactions_.find(txn);
  if (at == transactions_.end()) return "no such transaction";
  const Transaction transaction = std::move(at->second);
  transactions_.erase(at);
  ++ends_;
  for (const std::string& key : transaction.read) {
    if (Value(content_, key) != Value(transaction.snapshot, key)) return kConflictText;
  }
  for (const std::string& prefix : transaction.listed) {
    if (Names(content_, prefix, "", 0) != Names(transaction.snapshot, prefix, "", 0)) {
      return kConflictText;
    }
  }
  Apply(transaction.writes, content_);
  return "";
}

std::string TxStore::Rollback(std::string_view txn) {
  absl::MutexLock lock(&mutex_);
  const auto at = transactions_.find(txn);
  if (at == transactions_.end()) return "no such transaction";
  transactions_.erase(at);
  ++ends_;
  return "";
}

void TxStore::Abandon() {
  absl::MutexLock lock(&mutex_);
  abandoned_ += static_cast<int>(transactions_.size());
  transactions_.clear();
}

TxStore::Content TxStore::content() {
  absl::MutexLock lock(&mutex_);
  return content_;
}

void TxStore::set_content(Content content) {
  absl::MutexLock lock(&mutex_);
  content_ = std::move(content);
}

void TxStore::Set(std::string_view key, std::string_view value) {
  absl::MutexLock lock(&mutex_);
  content_.insert_or_assign(std::string(key), std::string(value));
}

void TxStore::Erase(std::string_view key) {
  absl::MutexLock lock(&mutex_);
  if (const auto at = content_.find(key); at != content_.end()) content_.erase(at);
}

int TxStore::begins() {
  absl::MutexLock lock(&mutex_);
  return begins_;
}

int TxStore::ends() {
  absl::MutexLock lock(&mutex_);
  return ends_;
}

int TxStore::abandoned() {
  absl::MutexLock lock(&mutex_);
  return abandoned_;
}

int TxStore::strays() {
  absl::MutexLock lock(&mutex_);
  return strays_;
}

}  // namespace testing_support
