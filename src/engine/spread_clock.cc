#include "engine/spread_clock.h"

#include <cstdint>
#include <string_view>

#include "base/json.h"
#include "base/status_macros.h"
#include "base/text.h"
#include "mek/activation.h"
#include "mek/document.h"

namespace engine {
namespace {

constexpr std::string_view kKey = "spread";
constexpr std::string_view kWhat = "the entry spread";
constexpr std::uint64_t kSchema = 1;

// Clocks are adjusted a little all the time.
constexpr absl::Duration kJump = absl::Minutes(5);

}  // namespace

absl::Status SpreadClock::Load(openbao::Storage& storage, const std::string& kid) {
  if (Known(kid).has_value()) return absl::OkStatus();
  ASSIGN_OR_RETURN(const std::optional<base::SecretBytes> entry, storage.Get(kKey));
  absl::Duration counted = absl::ZeroDuration();
  std::optional<absl::Time> kept;
  if (entry.has_value()) {
    ASSIGN_OR_RETURN(const base::Json document,
                     mek::ReadDocument(kWhat, kSchema, {"kid", "seconds", "time"}, entry->view()));
    ASSIGN_OR_RETURN(const std::string of, mek::ReadString(kWhat, document, "kid"));
    ASSIGN_OR_RETURN(const absl::Duration spread, mek::ReadSeconds(kWhat, document, "seconds"));
    ASSIGN_OR_RETURN(const absl::Time time, mek::ReadTime(kWhat, document, "time"));
    if (of == kid) {
      counted = spread;
      kept = time;
    }
  }
  absl::MutexLock lock(&mutex_);
  if (kid_ != kid) Begin(kid, counted, kept);
  return absl::OkStatus();
}

void SpreadClock::Begin(const std::string& kid, absl::Duration counted,
                        std::optional<absl::Time> kept) {
  kid_ = kid;
  base_ = counted;
  kept_time_ = kept;
  begin_ = clock_->Monotonic();
  begin_time_ = clock_->Now();
}

void SpreadClock::Begin(const std::string& kid) {
  absl::MutexLock lock(&mutex_);
  Begin(kid, absl::ZeroDuration(), std::nullopt);
}

absl::Duration SpreadClock::Counted() const { return base_ + (clock_->Monotonic() - begin_); }

absl::StatusOr<absl::Duration> SpreadClock::Elapsed(openbao::Storage& storage,
                                                    const std::string& kid) {
  RETURN_IF_ERROR(Load(storage, kid));
  // Another kid was staged meanwhile: nothing counts for this one any more.
  return Known(kid).value_or(absl::ZeroDuration());
}

std::optional<absl::Duration> SpreadClock::Known(const std::string& kid) {
  absl::MutexLock lock(&mutex_);
  return kid.empty() || kid_ != kid ? std::nullopt : std::optional(Counted());
}

absl::Status SpreadClock::Save(openbao::Storage& storage, const std::string& kid) {
  RETURN_IF_ERROR(Load(storage, kid));
  const std::optional<absl::Duration> counted = Known(kid);
  if (!counted.has_value()) return absl::OkStatus();
  base::Json body = base::Json::object();
  body["kid"] = base::JsonText(kid);
  body["seconds"] = static_cast<std::uint64_t>(absl::ToInt64Seconds(*counted));
  ASSIGN_OR_RETURN(body["time"], mek::TimeJson(clock_->Now()));
  ASSIGN_OR_RETURN(const base::SecretBytes document, mek::WriteDocument(kSchema, body));
  return storage.Put(kKey, document);
}

std::optional<std::string> SpreadClock::Jump() {
  absl::MutexLock lock(&mutex_);
  if (kid_.empty()) return std::nullopt;
  const absl::Duration by_day = clock_->Now() - begin_time_;
  const absl::Duration drift = by_day - (clock_->Monotonic() - begin_);
  if (drift > kJump || drift < -kJump) {
    return base::Cat("the server's clock was set ", drift > kJump ? "forward" : "back", " by ",
                     mek::DurationText(absl::AbsDuration(drift)),
                     " while a key is staged; the grace period counts real time and is not "
                     "affected");
  }
  if (kept_time_.has_value() && begin_time_ < *kept_time_ - kJump) {
    return base::Cat("the server's clock was set back by ",
                     mek::DurationText(*kept_time_ - begin_time_),
                     " before this start; the grace period counts real time and is not affected");
  }
  if (kept_time_.has_value() && begin_time_ > *kept_time_ + kJump) {
    return base::Cat("the engine did not run for ", mek::DurationText(begin_time_ - *kept_time_),
                     ", or the clock was set forward: that time does not count as grace period");
  }
  return std::nullopt;
}

}  // namespace engine
