// A simulated fleet of the record's readers, by the rules by which the real ones load and use it:
// ESS follows the record, nvcf-api and api-keys load it at their start only. Each pod seals with
// what it takes for the current key, and every pod of its kind must be able to open that.
// Everything of a run follows from its seed.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <iostream>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/text.h"
#include "mek/record.h"
#include "support/status_matchers.h"
#include "support/test_mount.h"

namespace testing_support {
namespace {

using base::Json;
using base::JsonText;

constexpr absl::Duration kStep = absl::Minutes(10);
constexpr absl::Duration kLength = absl::Hours(72);

// 1,000 runs with MEK_SOAK=1, as `make soak` does; a tenth of them with 0.1.
int Runs() {
  const char* soak = std::getenv("MEK_SOAK");
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  constexpr int kShort = 5;
#else
  constexpr int kShort = 25;
#endif
  return soak == nullptr ? kShort : std::max(1, static_cast<int>(1000 * std::atof(soak)));
}

enum class Kind { kEss, kNvcfApi, kApiKeys };
constexpr Kind kKinds[] = {Kind::kEss, Kind::kNvcfApi, Kind::kApiKeys};
constexpr std::string_view kConsumers[] = {"ess", "nvcf-api", "api-keys"};

// What a pod has loaded: the kids it can open with, and the one it seals with.
struct Pod {
  Kind kind;
  std::set<std::string> kids;
  std::string seals_with;
  bool restarts_in_roll_out = false;

  void Load(const mek::Record& record) {
    const mek::Set set = kind == Kind::kApiKeys ? mek::Set::kPrivateJwks : mek::Set::kKeys;
    const std::vector<std::string> loaded = record.Kids(set);
    kids = {loaded.begin(), loaded.end()};
    // ESS takes the first of the set for the current one, the others go by current_kid.
    seals_with = kind == Kind::kEss ? loaded.front() : record.current_kid();
  }
};

class Fleet {
 public:
  Fleet(std::uint64_t seed, bool staged) : mount_(seed), random_(seed), staged_(staged) {
    EXPECT_THAT(mount_.Write("init"), IsOk());
    EXPECT_THAT(mount_.Write("config", Json{{"activation", staged ? "staged" : "immediate"},
                                            {"grace_period", "8h"},
                                            {"required_acks", "nvcf-api,api-keys"}}),
                IsOk());
    Fetch();
    for (const Kind kind : kKinds) {
      for (int i = 0; i < 3; ++i) {
        pods_.push_back({.kind = kind, .kids = {}, .seals_with = ""});
        pods_.back().Load(*record_);
      }
    }
  }

  // How often a pod met what it could not open.
  int Run() {
    int failures = 0;
    for (absl::Duration passed; passed < kLength; passed += kStep) {
      mount_.clock().Advance(kStep);
      mount_.Tick().IgnoreError();
      Operate();
      Fetch();
      Live();
      failures += SealAndOpen();
    }
    return failures;
  }

  int activations() const { return activations_; }
  int rollbacks() const { return rollbacks_; }

 private:
  bool OneIn(int n) { return std::uniform_int_distribution<>(1, n)(random_) == 1; }

  void Fetch() {
    record_ = std::make_unique<mek::Record>(*mek::Record::Parse(mount_.Record()));
    if (!last_current_.empty() && last_current_ != record_->current_kid()) ++activations_;
    last_current_ = record_->current_kid();
  }

  // The operators: rotations, rollbacks at any moment, and after a staging the roll-out of those
  // that load at their start, pod by pod, acknowledged when all were restarted.
  void Operate() {
    if (OneIn(40)) {
      const absl::StatusOr<Json> rotated = mount_.Write("rotate");
      if (rotated.ok() && staged_) {
        staged_kid_ = std::string(rotated->at("staged_kid").get_ref<const base::JsonString&>());
        for (Pod& pod : pods_) pod.restarts_in_roll_out = pod.kind != Kind::kEss;
      }
    }
    if (OneIn(80)) {
      const std::uint64_t live = mount_.LiveVersion();
      const auto to = std::uniform_int_distribution<std::uint64_t>(1, live)(random_);
      if (mount_.Write("rollback", Json{{"version", to}}).ok()) {
        ++rollbacks_;
        staged_kid_.clear();
      }
    }
  }

  // The pods: ESS refreshes within 15 minutes, any may crash and start again, the others are
  // restarted in a roll-out.
  void Live() {
    for (Pod& pod : pods_) {
      const bool refreshes = pod.kind == Kind::kEss && !OneIn(4);
      const bool rolled = pod.restarts_in_roll_out && OneIn(12);
      if (!refreshes && !rolled && !OneIn(200)) continue;
      pod.Load(*record_);
      if (rolled) pod.restarts_in_roll_out = false;
    }
    if (staged_kid_.empty()) return;
    for (const Kind kind : {Kind::kNvcfApi, Kind::kApiKeys}) {
      bool all = true;
      for (const Pod& pod : pods_) all = all && !(pod.kind == kind && pod.restarts_in_roll_out);
      if (!all) continue;
      mount_
          .Write("ack", Json{{"consumer", JsonText(kConsumers[static_cast<int>(kind)])},
                             {"kid", JsonText(staged_kid_)}})
          .IgnoreError();
    }
  }

  int SealAndOpen() {
    int failures = 0;
    for (const Pod& sealer : pods_) {
      for (const Pod& opener : pods_) {
        if (sealer.kind == opener.kind && !opener.kids.contains(sealer.seals_with)) ++failures;
      }
    }
    return failures;
  }

  TestMount mount_;
  std::mt19937_64 random_;
  const bool staged_;
  std::vector<Pod> pods_;
  std::unique_ptr<mek::Record> record_;
  std::string staged_kid_;
  std::string last_current_;
  int activations_ = 0;
  int rollbacks_ = 0;
};

TEST(Fleet, WithStagedRotationNoReaderEverMeetsAKeyThatItLacks) {
  int activations = 0;
  int rollbacks = 0;
  for (int seed = 1; seed <= Runs(); ++seed) {
    Fleet fleet(static_cast<std::uint64_t>(seed), /*staged=*/true);
    ASSERT_EQ(fleet.Run(), 0) << "seed " << seed;
    activations += fleet.activations();
    rollbacks += fleet.rollbacks();
  }
  std::cout << Runs() << " runs: the current key changed " << activations << " times, " << rollbacks
            << " of them or more by rollback; nothing was unreadable\n";
  // The runs did what they are to show.
  EXPECT_GT(activations, 3 * Runs());
  EXPECT_GT(rollbacks, 2 * Runs());
}

TEST(Fleet, WithImmediateRotationTheRaceShows) {
  int with_failures = 0;
  int failures = 0;
  for (int seed = 1; seed <= Runs(); ++seed) {
    const int failed = Fleet(static_cast<std::uint64_t>(seed), /*staged=*/false).Run();
    with_failures += failed > 0 ? 1 : 0;
    failures += failed;
  }
  std::cout << Runs() << " runs: in " << with_failures << " a reader met what it could not open, "
            << failures << " times in all\n";
  EXPECT_GT(with_failures, Runs() / 2);
}

}  // namespace
}  // namespace testing_support
