#ifndef ENGINE_VERSION_NAME_H_
#define ENGINE_VERSION_NAME_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"

// How the stores name a version's entry in storage, and what they say alike of writes and entries.
namespace engine {

inline constexpr std::size_t kVersionNameSize = 10;

// "0000000007": ten digits, so that a list is in order.
std::string VersionName(std::uint64_t number);
// nullopt if `name` is none.
std::optional<std::uint64_t> ParseVersionName(std::string_view name);

// DATA_LOSS: what stands under `prefix` is not ours.
absl::Status UnknownEntry(std::string_view prefix);

// UNAVAILABLE, with what to do: a write of version `number` of which it is not known whether it had
// its effect. `where`: " to the KV secret", or "".
absl::Status MaybeWritten(std::uint64_t number, std::string_view where, const absl::Status& why);

}  // namespace engine

#endif  // ENGINE_VERSION_NAME_H_
