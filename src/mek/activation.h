// When a staged key may become current: when every reader has it, as far as can be known. A reader
// that loads the record only at its start (nvcf-api, api-keys) has a key once it was restarted
// since, which only people or their tools can say: an acknowledgement. Pure.
#ifndef MEK_ACTIVATION_H_
#define MEK_ACTIVATION_H_

#include <cstddef>
#include <string>
#include <vector>

#include "absl/time/time.h"

namespace mek {

struct ActivationRules {
  absl::Duration grace_period;
  std::vector<std::string> required_acks;  // consumers, by name
  bool activate_early = false;
  absl::Duration reader_margin;
};

// What is known of the staged key's spread.
struct Spread {
  absl::Duration elapsed;                 // since it was staged, as the engine has counted it
  std::vector<std::string> acknowledged;  // consumers that acknowledged the staged kid
  // Of the readers that still count: how many there are, how many have not fetched the staged key,
  // and how long ago the last of the others first fetched it.
  std::size_t readers = 0;
  std::size_t behind = 0;
  absl::Duration all_fetched_for = absl::ZeroDuration();
  // Reads happened that can't be told apart (a batch token has no accessor), or were not all kept.
  bool unknown_readers = false;
};

struct ActivationState {
  bool ready = false;
  std::vector<std::string> waiting_for;  // each a clause for people: "the grace period: 3h left"
  std::vector<std::string> missing_acks;
  absl::Duration grace_left = absl::ZeroDuration();
};

ActivationState CheckActivation(const ActivationRules& rules, const Spread& spread);

// "48h0m0s" as people write it: "48h". Whole seconds.
std::string DurationText(absl::Duration duration);

}  // namespace mek

#endif  // MEK_ACTIVATION_H_
