#ifndef ENGINE_KV_COPIES_H_
#define ENGINE_KV_COPIES_H_

#include <cstdint>
#include <optional>
#include <vector>

#include "engine/record_store.h"

namespace engine {

// Our documents of a KV secret's versions, one entry "kv/versions/NNNNNNNNNN" each. They are not
// the live ones by themselves: the secret says which is. Holds nothing.
class KvCopies final : public VersionLog {
 public:
  absl::StatusOr<std::optional<Version>> Get(openbao::Storage& storage,
                                             std::uint64_t number) override;
  absl::StatusOr<std::vector<std::uint64_t>> List(openbao::Storage& storage) override;
  // Also for a version that has no document yet.
  absl::Status Rewrite(openbao::Storage& storage, std::uint64_t number,
                       const base::SecretBytes& document) override;
  absl::Status Prune(openbao::Storage& storage, std::uint64_t number) override;
};

}  // namespace engine

#endif  // ENGINE_KV_COPIES_H_
