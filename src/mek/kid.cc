#include "mek/kid.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_format.h"
#include "base/status_macros.h"

namespace mek {
namespace {

constexpr std::size_t kMaxKid = 128;
constexpr std::size_t kUuidSize = 36;

// A UUIDv1 counts 100 ns since the Gregorian reform, 1582-10-15; this many lie before 1970.
constexpr std::int64_t kTicksToUnixEpoch = 0x01B21DD213814000;
constexpr std::int64_t kTicksPerSecond = 10'000'000;
constexpr std::int64_t kMaxTicks = (std::int64_t{1} << 60) - 1;
constexpr absl::Duration kTick = absl::Nanoseconds(100);

bool IsHyphenPlace(std::size_t at) { return at == 8 || at == 13 || at == 18 || at == 23; }

std::uint64_t Hex(std::string_view digits) {
  std::uint64_t value = 0;
  for (const char c : digits) {
    const int digit = absl::ascii_isdigit(static_cast<unsigned char>(c))
                          ? c - '0'
                          : absl::ascii_tolower(static_cast<unsigned char>(c)) - 'a' + 10;
    value = value << 4 | static_cast<std::uint64_t>(digit);
  }
  return value;
}

absl::Time TimeOfTicks(std::int64_t ticks) {
  const std::int64_t since_unix = ticks - kTicksToUnixEpoch;
  return absl::UnixEpoch() + absl::Seconds(since_unix / kTicksPerSecond) +
         kTick * (since_unix % kTicksPerSecond);
}

}  // namespace

bool IsValidKid(std::string_view kid) {
  return !kid.empty() && kid.size() <= kMaxKid && kid != "." && kid != ".." &&
         std::ranges::all_of(kid, [](char c) {
           return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '.' || c == '_' ||
                  c == '-';
         });
}

std::string ShownKid(std::string_view kid) {
  return kid.size() <= kUuidSize ? std::string(kid)
                                 : absl::StrFormat("(of %d characters)", kid.size());
}

std::optional<absl::Time> UuidV1Time(std::string_view kid) {
  if (kid.size() != kUuidSize || kid[14] != '1') return std::nullopt;
  for (std::size_t i = 0; i < kid.size(); ++i) {
    if (IsHyphenPlace(i) ? kid[i] != '-'
                         : !absl::ascii_isxdigit(static_cast<unsigned char>(kid[i]))) {
      return std::nullopt;
    }
  }
  const std::uint64_t ticks =
      Hex(kid.substr(15, 3)) << 48 | Hex(kid.substr(9, 4)) << 32 | Hex(kid.substr(0, 8));
  return TimeOfTicks(static_cast<std::int64_t>(ticks));
}

absl::StatusOr<std::string> NewKid(absl::Time now, std::optional<absl::Time> latest_known,
                                   base::Random& random) {
  absl::Time time = absl::UnixEpoch() + absl::Floor(now - absl::UnixEpoch(), kTick);
  if (latest_known.has_value()) {
    const absl::Duration since_unix = *latest_known - absl::UnixEpoch();
    time =
        std::max(time, absl::UnixEpoch() + absl::Ceil(since_unix, kTick) + absl::Milliseconds(1));
  }
  if (time < TimeOfTicks(0) || time > TimeOfTicks(kMaxTicks)) {
    return absl::FailedPreconditionError(
        "no new kid can be made: a UUID version 1 can't hold its time, which must be later than "
        "every known kid's. Check the clock and the times in the known kids, and retire or destroy "
        "the kid that is out of range");
  }
  std::array<std::uint8_t, 8> noise{};
  RETURN_IF_ERROR(random.Fill(noise));
  if (std::ranges::all_of(noise, [&](std::uint8_t byte) { return byte == noise[0]; })) {
    return absl::InternalError(
        "the random source gave the same byte only; nothing was changed. Restart the plugin on a "
        "host whose random source works");
  }
  // Seconds and the rest apart: the whole in nanoseconds overflows 64 bits.
  absl::Duration rest;
  const std::int64_t seconds = absl::IDivDuration(time - TimeOfTicks(0), absl::Seconds(1), &rest);
  const auto ticks =
      static_cast<std::uint64_t>(seconds * kTicksPerSecond + absl::ToInt64Nanoseconds(rest) / 100);
  return absl::StrFormat("%08x-%04x-1%03x-%02x%02x-%02x%02x%02x%02x%02x%02x", ticks & 0xffffffff,
                         ticks >> 32 & 0xffff, ticks >> 48, (noise[0] & 0x3f) | 0x80, noise[1],
                         noise[2] | 0x01, noise[3], noise[4], noise[5], noise[6], noise[7]);
}

}  // namespace mek
