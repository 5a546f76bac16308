#ifndef ENGINE_CONFIG_H_
#define ENGINE_CONFIG_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "engine/remembered.h"
#include "mek/activation.h"
#include "mek/rotation.h"
#include "mek/schedule.h"
#include "sdk/logical/storage.h"

namespace engine {

// What an operator has set for a mount. A value type.
struct Config {
  // Whether a new key waits, staged, until its readers have it, or is current at once.
  bool stages = false;
  // How long a new key counts as still spreading among readers.
  absl::Duration grace_period = absl::Hours(48);
  // Who must have acknowledged a staged key before it becomes current by itself.
  std::vector<std::string> required_acks;
  // Activate before the grace period is over, once every known reader has fetched the staged key.
  bool activate_early = false;
  // When that was last turned on.
  absl::Time early_set_time = absl::UnixEpoch();
  absl::Duration reader_margin = absl::Minutes(30);
  // A reader not seen for that long counts no more.
  absl::Duration reader_timeout = absl::Hours(24);
  // Automatic rotation: by the newest key's age, or by the calendar (crontab's text; "": none).
  absl::Duration auto_rotate_period = absl::ZeroDuration();
  std::string rotation_schedule;
  absl::Duration rotation_window = absl::ZeroDuration();
  // When the period or the schedule was last changed.
  absl::Time plan_set_time = absl::UnixEpoch();
  // Older versions are pruned, but none that holds a key which is kept nowhere else.
  std::uint64_t max_versions = 100;
  // Whether a new key's material is the same in both sets.
  mek::PrivateJwks private_jwks = mek::PrivateJwks::kAuto;

  // INVALID_ARGUMENT with what doesn't go together, and what was expected.
  absl::Status Check(absl::Time now) const;

  mek::ActivationRules activation_rules() const {
    return {grace_period, required_acks, activate_early, reader_margin};
  }
  // Precondition: Check() passed.
  mek::RotationPlan rotation_plan() const;
};

// "staged", "immediate".
std::string_view ActivationName(bool stages);
// "auto", "mirror", "independent".
std::string_view PrivateJwksName(mek::PrivateJwks value);
std::optional<mek::PrivateJwks> ParsePrivateJwks(std::string_view name);

// A consumer's name: 1 to 64 of A-Z a-z 0-9 . _ -
bool IsValidConsumer(std::string_view name);
inline constexpr char kConsumerRule[] = "1 to 64 of the characters A-Z a-z 0-9 . _ -";

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
