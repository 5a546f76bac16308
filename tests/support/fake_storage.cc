#include "support/fake_storage.h"

#include "base/status_macros.h"
#include "sdk/logical/errors.h"

namespace testing_support {

absl::Status FakeStorage::Run(std::string_view name, std::string_view key,
                              const std::function<void()>& effect) {
  absl::MutexLock lock(&mutex_);
  calls_.push_back({static_cast<int>(calls_.size()) + 1, std::string(name), std::string(key)});
  const Fault fault = plan_ ? plan_(calls_.back()) : Fault::kNone;
  switch (fault) {
    case Fault::kErrorBefore:
      return absl::InternalError("storage failed");
    case Fault::kLostBefore:
      return absl::UnavailableError("no answer");
    case Fault::kCrashBefore:
      throw Crash{};
    case Fault::kReadOnly:
      return openbao::ReadOnlyStorage();
    default:
      break;
  }
  effect();
  switch (fault) {
    case Fault::kErrorAfter:
      return absl::InternalError("storage failed");
    case Fault::kLostAfter:
      return absl::UnavailableError("no answer");
    case Fault::kCrashAfter:
      throw Crash{};
    default:
      return absl::OkStatus();
  }
}

absl::StatusOr<std::optional<base::SecretBytes>> FakeStorage::Get(std::string_view key) {
  std::optional<base::SecretBytes> value;
  RETURN_IF_ERROR(Run("get", key, [&] {
    mutex_.AssertHeld();
    const auto at = content_.find(key);
    if (at != content_.end()) value.emplace(std::string_view(at->second));
  }));
  return value;
}

absl::Status FakeStorage::Put(std::string_view key, const base::SecretBytes& value) {
  return Run("put", key, [&] {
    mutex_.AssertHeld();
    content_.insert_or_assign(std::string(key), std::string(value.view()));
  });
}

absl::Status FakeStorage::Delete(std::string_view key) {
  return Run("delete", key, [&] {
    mutex_.AssertHeld();
    content_.erase(std::string(key));
  });
}

absl::StatusOr<std::vector<std::string>> FakeStorage::List(std::string_view prefix) {
  return ListPage(prefix, "", 0);
}

absl::StatusOr<std::vector<std::string>> FakeStorage::ListPage(std::string_view prefix,
                                                               std::string_view after, int limit) {
  std::vector<std::string> names;
  RETURN_IF_ERROR(Run("list", prefix, [&] {
    mutex_.AssertHeld();
    for (const auto& [key, value] : content_) {
      if (!key.starts_with(prefix)) continue;
      std::string name = key.substr(prefix.size());
      if (const std::size_t slash = name.find('/'); slash != std::string::npos)
        name.resize(slash + 1);
      if (name <= after || (!names.empty() && names.back() == name)) continue;
      if (limit > 0 && names.size() == static_cast<std::size_t>(limit)) break;
      names.push_back(std::move(name));
    }
  }));
  return names;
}

}  // namespace testing_support
