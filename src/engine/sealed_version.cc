#include "engine/sealed_version.h"

#include <utility>

#include "base/status_macros.h"
#include "base/text.h"
#include "base/turn.h"

namespace engine {

absl::StatusOr<Version> ParseVersion(std::uint64_t number, std::string_view document) {
  base::PassTurnOnFor(document.size());
  ASSIGN_OR_RETURN(mek::VersionDoc doc,
                   mek::VersionDoc::Parse(base::Cat("version ", number), document));
  return Version{number, std::move(doc)};
}

std::shared_ptr<SealedVersion> SealedVersion::Seal(const VersionPtr& version,
                                                   std::string_view document) {
  std::optional<base::SealedBytes> sealed = base::SealedBytes::Seal(document);
  if (!sealed.has_value()) return nullptr;
  return std::shared_ptr<SealedVersion>(new SealedVersion(version, *std::move(sealed)));
}

absl::StatusOr<VersionPtr> SealedVersion::Open() {
  // Also where it needn't be parsed, for what is made of it.
  base::PassTurnOnFor(sealed_.size());
  {
    absl::MutexLock lock(&mutex_);
    if (VersionPtr version = in_use_.lock(); version != nullptr) return version;
  }
  const std::optional<base::SecretBytes> document = sealed_.Open();
  if (!document.has_value()) return VersionPtr();
  ASSIGN_OR_RETURN(Version parsed, ParseVersion(number_, document->view()));
  VersionPtr version = Share(std::move(parsed));
  absl::MutexLock lock(&mutex_);
  // Another may have been faster.
  if (VersionPtr other = in_use_.lock(); other != nullptr) return other;
  in_use_ = version;
  return version;
}

}  // namespace engine
