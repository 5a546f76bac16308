#include "engine/config.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <string>
#include <string_view>
#include <utility>

#include "absl/strings/ascii.h"
#include "base/json.h"
#include "base/status_macros.h"
#include "base/text.h"
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

// The settings that are whole seconds, and those that are numbers, texts and switches.
struct DurationSetting {
  std::string_view name;
  absl::Duration Config::*member;
};
constexpr std::array kDurations{
    DurationSetting{"grace_period_seconds", &Config::grace_period},
    DurationSetting{"reader_margin_seconds", &Config::reader_margin},
    DurationSetting{"reader_timeout_seconds", &Config::reader_timeout},
    DurationSetting{"auto_rotate_period_seconds", &Config::auto_rotate_period},
    DurationSetting{"rotation_window_seconds", &Config::rotation_window},
};
constexpr char kActivation[] = "activation";
constexpr char kRequiredAcks[] = "required_acks";
constexpr char kActivateEarly[] = "activate_early";
constexpr char kSchedule[] = "rotation_schedule";
constexpr char kPlanSetTime[] = "plan_set_time";
constexpr char kEarlySetTime[] = "early_set_time";
constexpr char kMaxVersions[] = "max_versions";
constexpr char kPrivateJwksSetting[] = "private_jwks";

constexpr std::size_t kMaxConsumers = 64;
constexpr absl::Duration kLeastPeriod = absl::Hours(1);
// Agents fetch every five minutes.
constexpr absl::Duration kLeastReaderTimeout = absl::Minutes(10);
// With fewer a rollback would have nowhere to go; with more, lists take seconds.
constexpr std::uint64_t kLeastVersions = 2;
constexpr std::uint64_t kMostVersions = 10'000;

bool IsMaxVersions(std::uint64_t max_versions) {
  return max_versions >= kLeastVersions && max_versions <= kMostVersions;
}

absl::StatusOr<bool> ReadBool(const base::Json& document, std::string_view name) {
  const auto at = document.find(base::JsonString(name));
  if (at == document.end() || !at->is_boolean()) {
    return mek::Damaged("config", base::Cat(name, " is neither true nor false"));
  }
  return at->get<bool>();
}

absl::StatusOr<std::vector<std::string>> ReadNames(const base::Json& document) {
  std::vector<std::string> names;
  const auto at = document.find(kRequiredAcks);
  if (at == document.end() || !at->is_array()) {
    return mek::Damaged("config", "required_acks is not an array");
  }
  for (const base::Json& value : *at) {
    const auto* name = value.get_ptr<const base::JsonString*>();
    if (name == nullptr || !IsValidConsumer(*name)) {
      return mek::Damaged("config", "required_acks holds what is no consumer's name");
    }
    names.emplace_back(*name);
  }
  return names;
}

absl::StatusOr<Config> Parse(std::string_view text) {
  ASSIGN_OR_RETURN(
      const base::Json document,
      mek::ReadDocument("config", kSchema,
                        {"grace_period_seconds", "reader_margin_seconds", "reader_timeout_seconds",
                         "auto_rotate_period_seconds", "rotation_window_seconds", kActivation,
                         kRequiredAcks, kActivateEarly, kEarlySetTime, kSchedule, kPlanSetTime,
                         kMaxVersions, kPrivateJwksSetting},
                        text));
  Config config;
  // An earlier plugin knew fewer settings: what is missing has its default.
  const auto has = [&](std::string_view name) { return mek::HasMember(document, name); };
  for (const DurationSetting& setting : kDurations) {
    if (!has(setting.name)) continue;
    ASSIGN_OR_RETURN(config.*setting.member, mek::ReadSeconds("config", document, setting.name));
  }
  if (has(kActivation)) {
    ASSIGN_OR_RETURN(const std::string name, mek::ReadString("config", document, kActivation));
    config.stages = name == ActivationName(true);
    if (name != ActivationName(config.stages)) {
      return mek::Damaged("config", "activation has no known value");
    }
  }
  if (has(kRequiredAcks)) {
    ASSIGN_OR_RETURN(config.required_acks, ReadNames(document));
  }
  if (has(kActivateEarly)) {
    ASSIGN_OR_RETURN(config.activate_early, ReadBool(document, kActivateEarly));
  }
  if (has(kSchedule)) {
    ASSIGN_OR_RETURN(config.rotation_schedule, mek::ReadString("config", document, kSchedule));
  }
  if (has(kPlanSetTime)) {
    ASSIGN_OR_RETURN(config.plan_set_time, mek::ReadTime("config", document, kPlanSetTime));
  }
  if (has(kEarlySetTime)) {
    ASSIGN_OR_RETURN(config.early_set_time, mek::ReadTime("config", document, kEarlySetTime));
  }
  if (has(kMaxVersions)) {
    ASSIGN_OR_RETURN(config.max_versions, mek::ReadNumber("config", document, kMaxVersions));
    // 0 would have all but the live version pruned.
    if (!IsMaxVersions(config.max_versions)) {
      return mek::Damaged("config", "max_versions is out of range");
    }
  }
  if (has(kPrivateJwksSetting)) {
    ASSIGN_OR_RETURN(const std::string name,
                     mek::ReadString("config", document, kPrivateJwksSetting));
    const std::optional<mek::PrivateJwks> private_jwks = ParsePrivateJwks(name);
    if (!private_jwks.has_value()) return mek::Damaged("config", "private_jwks has no known value");
    config.private_jwks = *private_jwks;
  }
  if (!config.rotation_schedule.empty() &&
      !mek::CronSchedule::Parse(config.rotation_schedule).ok()) {
    return mek::Damaged("config", "rotation_schedule is no schedule");
  }
  return config;
}

absl::Status Refuse(std::string_view why) {
  return absl::InvalidArgumentError(base::Cat(why, ". Nothing was changed"));
}

absl::Status CheckPlan(const Config& config, absl::Time now) {
  const bool by_age = config.auto_rotate_period > absl::ZeroDuration();
  const bool by_calendar = !config.rotation_schedule.empty();
  if (by_age && by_calendar) {
    return Refuse(
        "auto_rotate_period and rotation_schedule are both set: expected one of them. Set the "
        "other to 0 or \"\"");
  }
  if (config.rotation_window > absl::ZeroDuration() &&
      (!by_calendar || config.rotation_window < kLeastPeriod)) {
    return Refuse("rotation_window: expected 0, or 1h or more beside a rotation_schedule");
  }
  absl::Duration least = config.auto_rotate_period;
  if (by_calendar) {
    absl::StatusOr<mek::CronSchedule> schedule = mek::CronSchedule::Parse(config.rotation_schedule);
    if (!schedule.ok()) {
      return Refuse(base::Cat("rotation_schedule: ", schedule.status().message()));
    }
    least = schedule->LeastGap(now);
  }
  if ((by_age || by_calendar) && least < kLeastPeriod) {
    return Refuse("automatic rotation: expected 1h or more from one to the next");
  }
  if ((by_age || by_calendar) && config.stages && least <= config.grace_period) {
    return Refuse(base::Cat(
        "automatic rotation comes every ", mek::DurationText(least),
        ", which must be longer than the grace_period (", mek::DurationText(config.grace_period),
        ") while activation is staged: each key waits that long before it becomes current"));
  }
  return absl::OkStatus();
}

}  // namespace

std::string_view ActivationName(bool stages) { return stages ? "staged" : "immediate"; }

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

bool IsValidConsumer(std::string_view name) {
  return !name.empty() && name.size() <= 64 && std::ranges::all_of(name, [](char c) {
    return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '.' || c == '_' || c == '-';
  });
}

absl::Status Config::Check(absl::Time now) const {
  if (!IsMaxVersions(max_versions)) {
    return Refuse(base::Cat("max_versions: expected ", kLeastVersions, " to ", kMostVersions));
  }
  if (required_acks.size() > kMaxConsumers ||
      !std::ranges::all_of(required_acks, IsValidConsumer)) {
    return Refuse(base::Cat("required_acks: expected at most ", kMaxConsumers,
                            " names of consumers, each ", kConsumerRule));
  }
  if (reader_timeout < kLeastReaderTimeout) {
    return Refuse(
        base::Cat("reader_timeout: expected ", mek::DurationText(kLeastReaderTimeout), " or more"));
  }
  if (activate_early && reader_margin >= reader_timeout) {
    return Refuse("reader_margin: expected less than reader_timeout");
  }
  return CheckPlan(*this, now);
}

mek::RotationPlan Config::rotation_plan() const {
  mek::RotationPlan plan;
  plan.period = auto_rotate_period;
  plan.window = rotation_window;
  if (!rotation_schedule.empty()) plan.schedule = *mek::CronSchedule::Parse(rotation_schedule);
  return plan;
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
  base::Json body = base::Json::object();
  body[kActivation] = base::JsonText(ActivationName(config.stages));
  for (const DurationSetting& setting : kDurations) {
    body[base::JsonString(setting.name)] =
        static_cast<std::uint64_t>(absl::ToInt64Seconds(config.*setting.member));
  }
  base::Json& acks = body[kRequiredAcks] = base::Json::array();
  for (const std::string& name : config.required_acks) acks.push_back(base::JsonText(name));
  body[kActivateEarly] = config.activate_early;
  body[kSchedule] = base::JsonText(config.rotation_schedule);
  ASSIGN_OR_RETURN(body[kPlanSetTime], mek::TimeJson(config.plan_set_time));
  ASSIGN_OR_RETURN(body[kEarlySetTime], mek::TimeJson(config.early_set_time));
  body[kMaxVersions] = config.max_versions;
  body[kPrivateJwksSetting] = base::JsonText(PrivateJwksName(config.private_jwks));
  ASSIGN_OR_RETURN(const base::SecretBytes document, mek::WriteDocument(kSchema, body));
  absl::Status put = storage.Put(kKey, document);
  config_.Written(put);
  return put;
}

}  // namespace engine
