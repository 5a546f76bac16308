// Random operations, with storage faults, crashes and cancellations, against a plain model:
// versions as lists of keys. After each operation the mount must be what the model says, or where
// the outcome was left open, what it said before.
//
// MODEL_STEPS=10000 is the long form (make soak); MEK_SEED=N repeats a run.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <iostream>
#include <map>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/base64.h"
#include "base/text.h"
#include "mek/record.h"
#include "support/environment.h"
#include "support/records.h"
#include "support/status_matchers.h"
#include "support/test_mount.h"

namespace testing_support {
namespace {

using base::Json;
using openbao::Operation;

constexpr char kData[] = "data/encryption/keys/stored_data";

using Key = std::pair<std::string, std::string>;  // kid, k

// A record, plainly.
struct Model {
  std::vector<Key> sets[2];
  std::map<std::string, std::string> others;

  bool operator==(const Model&) const = default;
  const std::string& current() const { return sets[0].front().first; }
  // The keys of `from` that it lacks go to the end of each set.
  void Keep(const Model& from) {
    for (int s = 0; s < 2; ++s) {
      for (const Key& key : from.sets[s]) {
        if (std::ranges::find(sets[s], key) == sets[s].end()) sets[s].push_back(key);
      }
    }
  }
};

Model ModelOf(const Json& fields) {
  Model model;
  const auto record = mek::Record::Parse(fields);
  EXPECT_THAT(record, IsOk());
  if (!record.ok()) return model;
  for (int s = 0; s < 2; ++s) {
    for (const mek::Jwk& jwk : record->set(mek::kSets[s]).keys()) {
      model.sets[s].emplace_back(jwk.kid(), base::Base64UrlEncode(jwk.key().view()).view());
    }
  }
  for (const auto& [name, value] : fields.items()) {
    if (name != "keys" && name != "private_jwks") model.others.emplace(name, value.dump());
  }
  return model;
}

// What an operation is expected to do if nothing goes wrong.
struct Step {
  std::string name = {};
  Operation operation = Operation::kUpdate;
  std::string path = {};
  Json data = Json::object();
  // kOk: it makes a version.
  absl::StatusCode code = absl::StatusCode::kOk;
  bool makes_version = true;
  // The version it makes; for a rotation without its new key.
  Model after = {};
  bool rotates = false;
};

class ModelRun {
 public:
  ModelRun(std::uint64_t seed, bool transactional) : random_(seed), mount_(seed) {
    mount_.storage().store().set_transactional(transactional);
    EXPECT_THAT(mount_.Put("good_bootstrapped"), IsOk());
    Learn();
  }

  void Run(std::uint64_t steps) {
    for (std::uint64_t i = 1; i <= steps; ++i) {
      const Step step = Draw();
      SCOPED_TRACE(absl::StrCat("step ", i, ", ", step.name, " at version ", versions_.size()));
      if (Chance(8)) {
        Replay();
      } else if (Chance(4)) {
        Tick();
      } else {
        Act(step);
      }
      mount_.clock().Advance(absl::Seconds(Below(3600)));
      if (Chance(2)) mount_.clock().Step(-absl::Hours(24));
      if (Chance(1)) mount_.Restart();
      if (i % 50 == 0) Sample();
      if (i % 500 == 0) Audit();
      if (::testing::Test::HasFailure()) return;
    }
    Audit();
    TxStore& store = mount_.storage().store();
    EXPECT_EQ(store.begins(), store.ends());
    EXPECT_EQ(store.strays(), 0);
  }

  std::string Summary() const {
    return absl::StrCat(versions_.size(), " versions, ", oldest_ - 1, " pruned, ", faults_,
                        " faults, ", crashes_, " crashes, ", open_, " open outcomes, ", replays_,
                        " replays");
  }

 private:
  std::uint64_t Below(std::uint64_t bound) { return random_() % bound; }
  bool Chance(int percent) { return Below(100) < static_cast<std::uint64_t>(percent); }

  std::uint64_t live() const { return versions_.size(); }
  const Model& Live() const { return versions_.back(); }
  std::uint64_t AnOldVersion() { return oldest_ + Below(live() - oldest_ + 1); }

  std::uint64_t TheSmallestVersion() {
    std::uint64_t smallest = oldest_;
    for (std::uint64_t i = oldest_; i <= live(); ++i) {
      if (versions_[i - 1].sets[0].size() < versions_[smallest - 1].sets[0].size()) smallest = i;
    }
    return smallest;
  }

  // The mount's live record becomes the model's newest version.
  void Learn() {
    fields_.push_back(mount_.Record());
    versions_.push_back(ModelOf(fields_.back()));
    known_.merge(KeysOf(fields_.back()));
  }

  Json WithNote(std::uint64_t version, std::string_view note) {
    Json fields = fields_[version - 1];
    fields["note"] = base::JsonText(note);
    return fields;
  }

  // The live record with other material under a kid it has.
  Json Contradicting() {
    Json fields = fields_.back();
    const auto text = base::Base64Decode(fields.at("keys").get_ref<const base::JsonString&>());
    Json set = *base::ParseJson(text->view());
    Json& k = set["keys"][0]["k"];
    std::string other(k.get_ref<const base::JsonString&>());
    std::swap(other[0], other[1]);
    if (other[0] == other[1]) other[0] = other[0] == 'A' ? 'B' : 'A';
    k = base::JsonText(other);
    fields["keys"] = base::JsonText(base::Base64Encode(base::DumpJson(set)->view()).view());
    return fields;
  }

  Step Rotation() {
    Step step{.name = "rotate", .path = "rotate"};
    step.after = Live();
    step.rotates = true;
    return step;
  }

  Step Draw() {
    // Keys pile up until a step drops them.
    const bool many = Live().sets[0].size() > 24;
    const std::uint64_t drawn = many ? 50 + Below(50) : Below(100);
    if (drawn < 35) return Rotation();
    if (drawn < 40) {
      Step step = Rotation();
      step.name = "rotate with cas";
      step.data["cas"] = live();
      return step;
    }
    if (drawn < 45) {
      Step step = Rotation();
      step.name = "rotate with a stale cas";
      step.data["cas"] = live() - 1 + 2 * Below(2);
      step.code = absl::StatusCode::kInvalidArgument;
      return step;
    }
    if (drawn < 50) {
      Step step = Rotation();
      step.name = "dry run";
      step.data["dry_run"] = true;
      step.makes_version = false;
      return step;
    }
    const std::uint64_t target = many ? TheSmallestVersion() : AnOldVersion();
    if (drawn < 72) {
      const bool drop = many || drawn < 60;
      Step step{.name = absl::StrCat("rollback to ", target, drop ? " drop" : " keep"),
                .path = "rollback"};
      step.data = Json{{"version", target}, {"newer_keys", drop ? "drop" : "keep"}};
      step.after = versions_[target - 1];
      if (!drop) step.after.Keep(Live());
      if (target == live()) step.code = absl::StatusCode::kFailedPrecondition;
      return step;
    }
    if (drawn < 74) {
      Step step{.name = "rollback to nowhere", .path = "rollback"};
      step.data = Json{{"version", live() + 1 + Below(3)}};
      step.code = absl::StatusCode::kNotFound;
      return step;
    }
    const std::string note = absl::StrCat("note ", Below(1000));
    if (drawn < 82) {
      Step step{.name = absl::StrCat("put of ", target), .path = kData};
      const Json fields = WithNote(target, note);
      step.data = Json{{"data", fields}, {"options", Json{{"cas", live()}}}};
      step.after = ModelOf(fields);
      return step;
    }
    if (drawn < 88) {
      const bool drop = Chance(50);
      Step step{.name = absl::StrCat("import of ", target, drop ? " drop" : " keep"),
                .path = "import"};
      const Json& fields = fields_[target - 1];
      for (const char* name : {"keys", "current_kid", "jwe_mapping", "private_jwks"}) {
        step.data[name] = fields.at(name);
      }
      step.after = ModelOf(step.data);
      if (!drop) step.after.Keep(Live());
      step.data["force"] = true;
      step.data["newer_keys"] = drop ? "drop" : "keep";
      return step;
    }
    if (drawn < 91) {
      Step step{.name = "put that contradicts", .path = kData};
      step.data = Json{{"data", Contradicting()}};
      step.code = absl::StatusCode::kFailedPrecondition;
      return step;
    }
    if (drawn < 93) {
      Step step{.name = "init where there is a record", .path = "init"};
      step.code = absl::StatusCode::kFailedPrecondition;
      return step;
    }
    Step step{.name = "patch", .operation = Operation::kPatch, .path = kData};
    step.after = Live();
    if (Chance(30)) {
      step.data = Json{{"data", Json{{"note", nullptr}}}};
      step.after.others.erase("note");
    } else {
      step.data = Json{{"data", Json{{"note", base::JsonText(note)}}}};
      step.after.others["note"] = absl::StrCat("\"", note, "\"");
    }
    return step;
  }

  // Half of the time nothing goes wrong. Otherwise some call fails, sometimes the one after it too,
  // or the caller goes away: then its reads fail from there on, and writes go on.
  bool PlanFaults() {
    if (Chance(50)) return false;
    const int n = 1 + static_cast<int>(Below(5));
    if (Chance(25)) {
      const Fault fault = Chance(50) ? Fault::kLostBefore : Fault::kTimeoutBefore;
      mount_.storage().set_plan([this, n, fault](const FakeStorage::Call& call) {
        if (call.number < n) return Fault::kNone;
        mount_.context().cancelled = true;
        if (call.name != "get" && call.name != "list") return Fault::kNone;
        ++faults_;
        return fault;
      });
      return true;
    }
    const Fault first = kEveryFault[Below(std::size(kEveryFault))];
    const Fault second = Chance(40) ? kEveryFault[Below(std::size(kEveryFault))] : Fault::kNone;
    mount_.storage().set_plan([this, n, first, second](const FakeStorage::Call& call) {
      if (call.number != n && call.number != n + 1) return Fault::kNone;
      const Fault fault = call.number == n ? first : second;
      if (fault != Fault::kNone) ++faults_;
      return fault;
    });
    return true;
  }

  // nullopt if the process died under it.
  std::optional<absl::StatusOr<Json>> Call(const Step& step, const std::string& id) {
    std::optional<absl::StatusOr<Json>> result;
    try {
      auto response = mount_.Call(step.operation, step.path, step.data, id);
      if (!response.ok()) {
        result.emplace(response.status());
      } else {
        result.emplace(response->has_value() ? (*response)->data : Json());
      }
    } catch (const Crash&) {
      ++crashes_;
    }
    mount_.storage().set_plan(nullptr);
    mount_.context().cancelled = false;
    if (!result.has_value()) mount_.Restart();
    return result;
  }

  void Act(const Step& step) {
    const int faults = faults_;
    const int crashes = crashes_;
    PlanFaults();
    const std::string id = absl::StrCat("model-", ++ids_);
    const auto result = Call(step, id);
    const bool undisturbed = faults_ == faults && crashes_ == crashes;
    const bool succeeds = step.code == absl::StatusCode::kOk;
    const bool done = result.has_value() && result->ok();
    if (undisturbed) {
      ASSERT_TRUE(result.has_value());
      ASSERT_EQ(result->status().code(), step.code) << result->status();
    }
    if (done) {
      EXPECT_TRUE(succeeds);
    }
    const std::uint64_t version = mount_.LiveVersion();
    if (done && succeeds && step.makes_version) {
      ASSERT_EQ(version, live() + 1);
      EXPECT_EQ(result->value().at("version"), version);
    }
    if (version == live()) {
      EXPECT_TRUE(mount_.Record() == fields_.back());
      return;
    }
    // A version was made, whole, whether or not the caller was told.
    ASSERT_EQ(version, live() + 1);
    ASSERT_TRUE(succeeds && step.makes_version);
    if (!done) ++open_;
    Learn();
    Model expected = step.after;
    if (step.rotates) {
      // A fresh key in front of both sets, and current.
      const Model& made = Live();
      for (int s = 0; s < 2; ++s) {
        expected.sets[s].insert(expected.sets[s].begin(), made.sets[s].front());
        EXPECT_EQ(std::ranges::count(made.sets[s], made.current(), &Key::first), 1);
      }
      expected.others["current_kid"] = absl::StrCat("\"", made.current(), "\"");
      expected.others["jwe_mapping"] = made.others.at("jwe_mapping");
      EXPECT_NE(made.others.at("jwe_mapping").find(made.current()), std::string::npos);
      EXPECT_TRUE(kids_.insert(made.current()).second) << "a kid was used twice";
    }
    EXPECT_TRUE(Live() == expected);
    answers_.emplace_back(id, version);
  }

  // The host sends an earlier request again.
  void Replay() {
    if (answers_.empty()) return;
    const std::size_t back = std::min<std::size_t>(answers_.size(), 200);
    const auto& [id, version] = answers_[answers_.size() - 1 - Below(back)];
    const int faults = faults_;
    PlanFaults();
    ++replays_;
    const auto result = Call({.path = "rotate"}, id);
    EXPECT_EQ(mount_.LiveVersion(), live());
    EXPECT_TRUE(mount_.Record() == fields_.back());
    if (!result.has_value() || faults_ != faults) return;
    if (version < oldest_) {
      EXPECT_THAT(*result,
                  StatusIs(absl::StatusCode::kFailedPrecondition, ::testing::HasSubstr("pruned")));
    } else {
      ASSERT_THAT(*result, IsOk());
      EXPECT_EQ(result->value().at("version"), version);
    }
  }

  void Tick() {
    const std::uint64_t keep = 4 + Below(12);
    ASSERT_THAT(mount_.Write("config", Json{{"max_versions", keep}}), IsOk());
    std::uint64_t oldest = oldest_;
    // What the live version lacks of them is in the archive.
    while (live() - oldest + 1 > keep) ++oldest;
    oldest = std::min(oldest, oldest_ + 50);
    const int faults = faults_;
    PlanFaults();
    const auto result = Call({.operation = Operation::kRollback}, "");
    const std::uint64_t now = Oldest();
    if (result.has_value() && faults_ == faults) {
      EXPECT_THAT(*result, IsOk());
      EXPECT_EQ(now, oldest);
    }
    EXPECT_GE(now, oldest_);
    EXPECT_LE(now, oldest);
    oldest_ = now;
    EXPECT_TRUE(mount_.Record() == fields_.back());
  }

  // The oldest version kept; the list is without gaps.
  std::uint64_t Oldest() {
    const auto listed = mount_.Call(Operation::kList, "versions");
    EXPECT_THAT(listed, IsOk());
    const Json& keys = (*listed)->data.at("keys");
    std::uint64_t first = 0;
    EXPECT_TRUE(absl::SimpleAtoi(
        base::ToAbsl(std::string_view(keys[0].get_ref<const base::JsonString&>())), &first));
    Json expected = Json::array();
    for (std::uint64_t i = first; i <= live(); ++i) {
      expected.push_back(base::JsonText(absl::StrCat(i)));
    }
    EXPECT_EQ(keys, expected);
    return first;
  }

  // Some of the history.
  void Sample() {
    EXPECT_EQ(Oldest(), oldest_);
    for (int i = 0; i < 3; ++i) {
      const std::uint64_t version = AnOldVersion();
      const auto read = mount_.Read(kData, Json{{"version", version}});
      ASSERT_THAT(read, IsOk());
      EXPECT_TRUE(read->at("data") == fields_[version - 1]);
    }
  }

  // All of it.
  void Audit() {
    Sample();
    const auto verified = mount_.Read("verify");
    EXPECT_NE(verified->at("result"), "fail") << verified->dump();
    EXPECT_EQ(FirstMissing(known_, KeysStored(mount_.storage().content())), "");
  }

  std::mt19937_64 random_;
  TestMount mount_;
  std::vector<Model> versions_;  // versions_[0] is version 1
  std::vector<Json> fields_;     // the same as read
  Keys known_;                   // every key that was ever in the record
  std::set<std::string> kids_;
  std::vector<std::pair<std::string, std::uint64_t>> answers_;
  std::uint64_t oldest_ = 1;
  std::uint64_t ids_ = 0;
  int faults_ = 0;
  int crashes_ = 0;
  int open_ = 0;
  int replays_ = 0;
};

class ModelTest : public ::testing::TestWithParam<bool> {};

TEST_P(ModelTest, TheMountIsWhatAPlainModelSays) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  constexpr std::uint64_t kShort = 500;
#else
  constexpr std::uint64_t kShort = 2000;
#endif
  const std::uint64_t steps = FromEnvironment("MODEL_STEPS", kShort);
  const std::uint64_t seed = FromEnvironment("MEK_SEED", GetParam() ? 11 : 12);
  SCOPED_TRACE(absl::StrCat("MEK_SEED=", seed));
  ModelRun run(seed, GetParam());
  run.Run(steps);
  std::cout << steps << " operations, MEK_SEED=" << seed << ": " << run.Summary() << "\n";
}

INSTANTIATE_TEST_SUITE_P(Storages, ModelTest, ::testing::Bool(), [](const auto& tested) {
  return tested.param ? "Transactional" : "Plain";
});

}  // namespace
}  // namespace testing_support
