#include "engine/config.h"

#include <array>
#include <string>
#include <string_view>
#include <utility>

#include "base/json.h"
#include "base/status_macros.h"
#include "mek/document.h"

namespace engine {
namespace {

constexpr std::string_view kKey = "config";
constexpr std::uint64_t kSchema = 1;

constexpr std::array<std::pair<std::string_view, mek::PrivateJwks>, 3> kPrivateJwks{{
    {"auto", mek::PrivateJwks::kAuto},
    {"mirror", mek::PrivateJwks::kMirror},
    {"independent", mek::PrivateJwks::kIndependent},
}};

absl::StatusOr<Config> Parse(std::string_view text) {
  ASSIGN_OR_RETURN(
      const base::Json document,
      mek::ReadDocument("config", kSchema, {"grace_period_seconds", "max_versions", "private_jwks"},
                        text));
  Config config;
  ASSIGN_OR_RETURN(const std::uint64_t grace,
                   mek::ReadNumber("config", document, "grace_period_seconds"));
  config.grace_period = absl::Seconds(static_cast<std::int64_t>(grace));
  ASSIGN_OR_RETURN(config.max_versions, mek::ReadNumber("config", document, "max_versions"));
  ASSIGN_OR_RETURN(const std::string name, mek::ReadString("config", document, "private_jwks"));
  const std::optional<mek::PrivateJwks> private_jwks = ParsePrivateJwks(name);
  if (!private_jwks.has_value()) return mek::Damaged("config", "private_jwks has no known value");
  config.private_jwks = *private_jwks;
  return config;
}

}  // namespace

std::string_view PrivateJwksName(mek::PrivateJwks value) {
  for (const auto& [name, known] : kPrivateJwks) {
    if (known == value) return name;
  }
  return "";
}

std::optional<mek::PrivateJwks> ParsePrivateJwks(std::string_view name) {
  for (const auto& [known, value] : kPrivateJwks) {
    if (known == name) return value;
  }
  return std::nullopt;
}

absl::StatusOr<Config> ConfigStore::Get(openbao::Storage& storage) {
  Remembered<Config>::Moment moment = 0;
  if (const std::optional<Config> known = config_.Get(moment); known.has_value()) return *known;
  ASSIGN_OR_RETURN(const std::optional<base::SecretBytes> entry, storage.Get(kKey));
  Config config;
  if (entry.has_value()) {
    ASSIGN_OR_RETURN(config, Parse(entry->view()));
  }
  config_.Offer(moment, config);
  return config;
}

absl::Status ConfigStore::Put(openbao::Storage& storage, const Config& config) {
  const base::Json body{{"grace_period_seconds",
                         static_cast<std::uint64_t>(absl::ToInt64Seconds(config.grace_period))},
                        {"max_versions", config.max_versions},
                        {"private_jwks", base::JsonText(PrivateJwksName(config.private_jwks))}};
  ASSIGN_OR_RETURN(const base::SecretBytes document, mek::WriteDocument(kSchema, body));
  absl::Status put = storage.Put(kKey, document);
  // After an error either may be stored.
  config_.Forget();
  return put;
}

}  // namespace engine
