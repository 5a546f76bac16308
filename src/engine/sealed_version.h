#ifndef ENGINE_SEALED_VERSION_H_
#define ENGINE_SEALED_VERSION_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "base/sealed.h"
#include "engine/record_store.h"

namespace engine {

// The version of that number from what is stored of it; errors as VersionDoc::Parse has them.
absl::StatusOr<Version> ParseVersion(std::uint64_t number, std::string_view document);

// A version's document in memory, sealed, from which requests get the version. Those that use it at
// the same time share it: it is parsed anew only when nobody has it, and while nobody has, no key
// of it is in the clear. Thread-safe.
class SealedVersion {
 public:
  // `document` is what is stored of it. nullptr where it can't be sealed.
  static std::shared_ptr<SealedVersion> Seal(const VersionPtr& version, std::string_view document);

  // The version; nullptr if memory was damaged since.
  absl::StatusOr<VersionPtr> Open();
  // nullopt if memory was damaged since.
  std::optional<base::SecretBytes> Document() const { return sealed_.Open(); }

 private:
  SealedVersion(const VersionPtr& version, base::SealedBytes sealed)
      : number_(version->number), sealed_(std::move(sealed)), in_use_(version) {}

  const std::uint64_t number_;
  const base::SealedBytes sealed_;
  absl::Mutex mutex_;
  std::weak_ptr<const Version> in_use_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace engine

#endif  // ENGINE_SEALED_VERSION_H_
