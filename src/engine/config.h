#ifndef ENGINE_CONFIG_H_
#define ENGINE_CONFIG_H_

#include <cstdint>
#include <optional>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "engine/remembered.h"
#include "mek/rotation.h"
#include "sdk/logical/storage.h"

namespace engine {

// What an operator has set for a mount. A value type.
struct Config {
  // How long after a rotation the new key counts as still spreading among readers.
  absl::Duration grace_period = absl::Hours(48);
  // Older versions are pruned, but none that holds a key which the record lacks.
  std::uint64_t max_versions = 100;
  // Whether a new key's material is the same in both sets.
  mek::PrivateJwks private_jwks = mek::PrivateJwks::kAuto;
};

// "auto", "mirror", "independent".
std::string_view PrivateJwksName(mek::PrivateJwks value);
std::optional<mek::PrivateJwks> ParsePrivateJwks(std::string_view name);

// The entry "config". Defaults stand until the first Put. Thread-safe; Put is called by one at a
// time, who holds the mount's lock.
class ConfigStore {
 public:
  void MayRemember() { config_.Allow(); }
  void Invalidate() { config_.Forget(); }

  absl::StatusOr<Config> Get(openbao::Storage& storage);
  absl::Status Put(openbao::Storage& storage, const Config& config);

 private:
  Remembered<Config> config_;
};

}  // namespace engine

#endif  // ENGINE_CONFIG_H_
