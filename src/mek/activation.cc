#include "mek/activation.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace mek {
namespace {

// What early activation waits for; empty if for nothing.
std::string EarlyObstacle(const ActivationRules& rules, const Spread& spread) {
  if (spread.unknown_readers) return "a reader was seen that can't be told from others";
  if (spread.readers == 0) return "no reader was seen yet";
  if (spread.behind > 0) {
    return absl::StrCat(spread.behind, " of ", spread.readers,
                        " readers have not fetched the staged key");
  }
  if (spread.all_fetched_for < rules.reader_margin) {
    return absl::StrCat("the last reader fetched the staged key ",
                        DurationText(spread.all_fetched_for), " ago, and reader_margin is ",
                        DurationText(rules.reader_margin));
  }
  return "";
}

}  // namespace

ActivationState CheckActivation(const ActivationRules& rules, const Spread& spread) {
  ActivationState state;
  for (const std::string& consumer : rules.required_acks) {
    if (std::ranges::find(spread.acknowledged, consumer) == spread.acknowledged.end()) {
      state.missing_acks.push_back(consumer);
    }
  }
  state.grace_left = std::max(rules.grace_period - spread.elapsed, absl::ZeroDuration());
  if (state.grace_left > absl::ZeroDuration()) {
    const std::string left = absl::StrCat(
        "the grace period: ", DurationText(absl::Ceil(state.grace_left, absl::Seconds(1))),
        " left");
    if (!rules.activate_early) {
      state.waiting_for.push_back(left);
    } else if (const std::string obstacle = EarlyObstacle(rules, spread); !obstacle.empty()) {
      state.waiting_for.push_back(absl::StrCat(left, " (not earlier: ", obstacle, ")"));
    }
  }
  if (!state.missing_acks.empty()) {
    state.waiting_for.push_back(
        absl::StrCat("acknowledgement by ", absl::StrJoin(state.missing_acks, ", ")));
  }
  state.ready = state.waiting_for.empty();
  return state;
}

std::string DurationText(absl::Duration duration) {
  const absl::Duration seconds = absl::Trunc(duration, absl::Seconds(1));
  return seconds == absl::ZeroDuration() ? "0s" : absl::FormatDuration(seconds);
}

}  // namespace mek
