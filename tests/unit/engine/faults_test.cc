// Every storage call of every writing operation, failed in every way: nothing may be lost or mixed,
// one request may count once at most, and the next call must work. All points are enumerated, none
// sampled.
#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/text.h"
#include "mek/document.h"
#include "mek/kid.h"
#include "mek/record.h"
#include "support/records.h"
#include "support/status_matchers.h"
#include "support/test_mount.h"

namespace testing_support {
namespace {

using base::Cat;
using base::Json;
using base::JsonText;
using openbao::Operation;
using ::testing::AllOf;
using ::testing::ContainsRegex;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr char kData[] = "data/encryption/keys/stored_data";

struct Operated {
  const char* name;
  std::function<absl::StatusOr<Json>(TestMount&, const std::string& id)> act;
  // What is done before it, after Prepare().
  std::function<absl::Status(TestMount&)> before = nullptr;
  bool changes_record = true;
};

// Current in version 1, and retained when Prepare() is done.
constexpr char kRetained[] = "keys/6aa44e80-fb25-11f0-b358-d9f191b7584a/";

// A mount with history: version 1 bootstrapped, 2 and 3 rotated, 4 a byte-for-byte return to 2.
void Prepare(TestMount& mount) {
  ASSERT_THAT(mount.Put("good_bootstrapped"), IsOk());
  ASSERT_THAT(mount.Write("rotate"), IsOk());
  ASSERT_THAT(mount.Write("rotate"), IsOk());
  ASSERT_THAT(mount.Write("rollback", Json{{"version", 2}, {"newer_keys", "drop"}}), IsOk());
}

const std::vector<Operated>& Operations() {
  static const std::vector<Operated> operations{
      {"rotate",
       [](TestMount& m, const std::string& id) { return m.Write("rotate", Json::object(), id); }},
      {"rotate with cas",
       [](TestMount& m, const std::string& id) {
         return m.Write("rotate", Json{{"cas", 4}}, id);
       }},
      {"rollback keep",
       [](TestMount& m, const std::string& id) {
         return m.Write("rollback", Json{{"version", 1}}, id);
       }},
      {"rollback drop",
       [](TestMount& m, const std::string& id) {
         return m.Write("rollback", Json{{"version", 1}, {"newer_keys", "drop"}}, id);
       }},
      {"import keep",
       [](TestMount& m, const std::string& id) {
         Json fields = TestMount::RecordOf("good_rotated_independent");
         fields["force"] = true;
         return m.Write("import", std::move(fields), id);
       }},
      {"import drop",
       [](TestMount& m, const std::string& id) {
         Json fields = TestMount::RecordOf("good_rotated_independent");
         fields["force"] = true;
         fields["newer_keys"] = "drop";
         return m.Write("import", std::move(fields), id);
       }},
      {"put",
       [](TestMount& m, const std::string& id) {
         return m.Write(kData, Json{{"data", TestMount::RecordOf("good_unknown_members")}}, id);
       }},
      {"patch",
       [](TestMount& m, const std::string& id) -> absl::StatusOr<Json> {
         const auto done =
             m.Call(Operation::kPatch, kData, Json{{"data", Json{{"note", "patched"}}}}, id);
         if (!done.ok()) return done.status();
         return (*done)->data;
       }},
      {"rotate staged",
       [](TestMount& m, const std::string& id) {
         return m.Write("rotate", Json{{"activation", "staged"}}, id);
       }},
      {"activate",
       [](TestMount& m, const std::string& id) {
         return m.Write("activate", Json{{"force", true}}, id);
       },
       [](TestMount& m) {
         return m.Write("rotate", Json{{"activation", "staged"}}).status();
       }},
      {"rotate over a staged key",
       [](TestMount& m, const std::string& id) {
         return m.Write("rotate", Json{{"force", true}}, id);
       },
       [](TestMount& m) {
         return m.Write("rotate", Json{{"activation", "staged"}}).status();
       }},
      {"retire",
       [](TestMount& m, const std::string& id) {
         return m.Write(base::Cat(kRetained, "retire"), Json::object(), id);
       }},
      {"restore",
       [](TestMount& m, const std::string& id) {
         return m.Write(base::Cat(kRetained, "restore"), Json::object(), id);
       },
       [](TestMount& m) { return m.Write(base::Cat(kRetained, "retire")).status(); }},
      {"compromised",
       [](TestMount& m, const std::string& id) {
         return m.Write(base::Cat(kRetained, "compromised"), Json::object(), id);
       },
       nullptr, /*changes_record=*/false},
  };
  return operations;
}

class Faults : public ::testing::TestWithParam<std::size_t> {};

// One run with one fault at call `n`; false if the operation makes fewer calls.
bool RunOne(const Operated& operation, Fault fault, int n, bool cold, int& points) {
  SCOPED_TRACE(
      absl::StrCat(operation.name, ", ", FaultName(fault), " at call ", n, cold ? ", cold" : ""));
  TestMount mount;
  Prepare(mount);
  if (operation.before) {
    EXPECT_THAT(operation.before(mount), IsOk());
  }
  const std::uint64_t start = mount.LiveVersion();
  if (cold) mount.Restart();
  const Keys known = KeysStored(mount.storage().content());
  const Json before = mount.Record();
  if (cold) mount.Restart();

  bool reached = false;
  mount.storage().set_plan([&](const FakeStorage::Call& call) {
    if (call.number != n) return Fault::kNone;
    reached = true;
    return fault;
  });
  bool crashed = false;
  bool acknowledged = false;
  Json answer;
  try {
    const absl::StatusOr<Json> done = operation.act(mount, "the-request");
    acknowledged = done.ok();
    if (done.ok()) answer = *done;
  } catch (const Crash&) {
    crashed = true;
  }
  mount.storage().set_plan(nullptr);
  if (crashed) mount.Restart();
  if (!reached) {
    EXPECT_TRUE(acknowledged);
    return false;
  }
  ++points;

  // The old record or the new one, whole; and the version that says so.
  const std::uint64_t version = mount.LiveVersion();
  const Json after = mount.Record();
  EXPECT_TRUE(version == start || version == start + 1) << version;
  EXPECT_EQ(version == start || !operation.changes_record, after == before);
  if (acknowledged) {
    EXPECT_EQ(version, start + 1);
    EXPECT_EQ(answer.at("version"), start + 1);
  }
  EXPECT_EQ(mount.Read("verify")->at("result"), "ok") << mount.Read("verify")->dump();

  // The host sends the request again, with the same id: it counts once, and says the same.
  const absl::StatusOr<Json> again = operation.act(mount, "the-request");
  EXPECT_THAT(again, IsOk());
  if (!again.ok()) return true;
  EXPECT_EQ(again->at("version"), start + 1);
  if (acknowledged) {
    EXPECT_EQ(again->dump(), answer.dump());
  }
  EXPECT_EQ(mount.LiveVersion(), start + 1);
  if (version == start + 1) {
    EXPECT_EQ(mount.Record(), after);
  }

  // No key that was ever in the record is lost, and the next rotation works.
  EXPECT_EQ(FirstMissing(known, KeysStored(mount.storage().content())), "");
  const Keys shown = KeysOf(mount.Record());
  EXPECT_EQ(mount.Write("rotate", Json{{"force", true}})->at("version"), start + 2);
  const Keys rotated = KeysOf(mount.Record());
  EXPECT_EQ(FirstMissing(shown, rotated), "");
  return true;
}

TEST_P(Faults, AtEveryStorageCallLeaveAllInOrder) {
  const Operated& operation = Operations()[GetParam()];
  int points = 0;
  for (const bool cold : {false, true}) {
    for (const Fault fault : kEveryFault) {
      int n = 1;
      while (RunOne(operation, fault, n, cold, points)) ++n;
      ASSERT_GT(n, 1) << "no storage call was reached";
      if (HasFailure()) return;
    }
  }
  RecordProperty("points", points);
  std::cout << operation.name << ": " << points << " fault points\n";
}

INSTANTIATE_TEST_SUITE_P(Operations, Faults, ::testing::Range<std::size_t>(0, 14));

// As README says after a 500 ("It is 3 a.m."): status tells whether the change was made, and only
// if it wasn't, it is asked for again.
TEST(Faults, AfterALostAnswerStatusTellsWhetherToAskAgain) {
  for (const bool made : {false, true}) {
    SCOPED_TRACE(made);
    TestMount mount;
    Prepare(mount);
    ASSERT_THAT(mount.Put("good_bootstrapped"), IsOk());
    const Json before = *mount.Read("status");
    mount.clock().Advance(absl::Minutes(1));
    mount.storage().set_plan([&](const FakeStorage::Call& call) {
      if (call.name != "put" || !absl::StartsWith(call.key, "versions/")) return Fault::kNone;
      return made ? Fault::kCrashAfter : Fault::kCrashBefore;
    });
    EXPECT_THROW(mount.Write("rotate").IgnoreError(), Crash);
    mount.storage().set_plan(nullptr);
    mount.Restart();

    const Json status = *mount.Read("status");
    EXPECT_EQ(status.at("last_operation"), made ? "rotate" : "put");
    EXPECT_EQ(status.at("last_change_time") != before.at("last_change_time"), made);
    if (!made) {
      ASSERT_THAT(mount.Write("rotate", Json{{"cas", status.at("version")}}), IsOk());
    }
    EXPECT_EQ(mount.LiveVersion(), 6u);
    // Who repeats it with the cas of the first try is told so too.
    EXPECT_THAT(mount.Write("rotate", Json{{"cas", 5}}),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         AllOf(HasSubstr("the live version is 6, and cas says 5"),
                               HasSubstr("if an earlier try made that version"),
                               HasSubstr("Nothing was changed"))));
    EXPECT_EQ(mount.LiveVersion(), 6u);
  }
}

// The host may send a request again long after, when its version is pruned.
TEST(Faults, ARepetitionOfARequestWhoseVersionIsPrunedIsToldThatNothingIsLeftToDo) {
  TestMount mount;
  Prepare(mount);
  ASSERT_THAT(mount.Write("config", Json{{"max_versions", 2}}), IsOk());
  ASSERT_THAT(mount.Write("rotate", Json::object(), "r1"), IsOk());
  ASSERT_THAT(mount.Write("rotate"), IsOk());
  ASSERT_THAT(mount.Write("rotate"), IsOk());
  ASSERT_THAT(mount.Tick(), IsOk());
  EXPECT_THAT(mount.Write("rotate", Json::object(), "r1"),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       AllOf(HasSubstr("as version 5, which is pruned"),
                             HasSubstr("nothing is left to do"), HasSubstr("read status"))));
  EXPECT_EQ(mount.LiveVersion(), 7u);
}

TEST(Faults, AReadOnlyRefusalIsPassedOnAndLeavesNoTrace) {
  TestMount mount;
  Prepare(mount);
  const auto content = mount.storage().content();
  mount.storage().set_plan([](const FakeStorage::Call& call) {
    return call.name == "put" ? Fault::kReadOnly : Fault::kNone;
  });
  EXPECT_THAT(mount.Write("rotate"), StatusIs(absl::StatusCode::kUnavailable,
                                              HasSubstr("cannot write to readonly storage")));
  mount.storage().set_plan(nullptr);
  EXPECT_EQ(mount.storage().content(), content);
  EXPECT_EQ(mount.Write("rotate")->at("version"), 5u);
}

TEST(Faults, AStandbyForwardsBeforeItReadsAnything) {
  TestMount mount;
  Prepare(mount);
  mount.system().standby = true;
  mount.Restart();
  mount.storage().set_plan([](const FakeStorage::Call&) { return Fault::kNone; });
  for (const char* path :
       {"rotate", "activate", "rollback", "import", "init", "config", "ack", "keys/x/retire",
        "keys/x/restore", "keys/x/compromised", "destroy-key/x", kData}) {
    EXPECT_THAT(mount.Write(path), StatusIs(absl::StatusCode::kUnavailable,
                                            HasSubstr("cannot write to readonly storage")))
        << path;
  }
  EXPECT_THAT(mount.Read("status"),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr("readonly")));
  EXPECT_TRUE(mount.storage().calls().empty());
}

TEST(Faults, ATickPrunesWithoutLosingAKeyWhateverFails) {
  for (const Fault fault : kEveryFault) {
    for (int n = 1; n <= 40; ++n) {
      TestMount mount;
      Prepare(mount);
      // Versions 1 to 3 go: the newest key of 3, which left with version 4, is in the archive.
      ASSERT_THAT(mount.Write("config", Json{{"max_versions", 2}}), IsOk());
      ASSERT_THAT(mount.Write("rotate"), IsOk());
      const Keys known = KeysStored(mount.storage().content());
      const Json record = mount.Record();
      bool reached = false;
      mount.storage().set_plan([&](const FakeStorage::Call& call) {
        reached = reached || call.number == n;
        return call.number == n ? fault : Fault::kNone;
      });
      try {
        mount.Call(Operation::kRollback, "").status().IgnoreError();
      } catch (const Crash&) {
        mount.Restart();
      }
      mount.storage().set_plan(nullptr);
      EXPECT_THAT(mount.Call(Operation::kRollback, ""), IsOk());
      EXPECT_EQ(mount.Record(), record);
      EXPECT_EQ(mount.Call(Operation::kList, "versions")->value().data.at("keys").dump(),
                R"(["4","5"])");
      EXPECT_EQ(FirstMissing(known, KeysStored(mount.storage().content())), "") << "fault at " << n;
      if (HasFailure()) return;
      if (!reached) break;
      ASSERT_LT(n, 40);
    }
  }
}

TEST(Faults, ARandomSourceThatFailsMakesNoVersion) {
  TestMount mount;
  Prepare(mount);
  const auto content = mount.storage().content();
  mount.random().set_fail(true);
  EXPECT_THAT(mount.Write("rotate"), StatusIs(absl::StatusCode::kInternal, HasSubstr("random")));
  EXPECT_EQ(mount.storage().content(), content);
  mount.random().set_fail(false);
  EXPECT_EQ(mount.Write("rotate")->at("version"), 5u);
}

TEST(Faults, AClockThatStepsBackMakesNoEarlierKid) {
  TestMount mount;
  Prepare(mount);
  const std::string first(
      mount.Write("rotate")->at("current_kid").get_ref<const base::JsonString&>());
  mount.clock().Advance(-absl::Hours(24 * 365 * 10));
  const std::string second(
      mount.Write("rotate")->at("current_kid").get_ref<const base::JsonString&>());
  mount.clock().Advance(absl::Hours(24 * 365 * 20));
  const std::string third(
      mount.Write("rotate")->at("current_kid").get_ref<const base::JsonString&>());
  EXPECT_GE(*mek::UuidV1Time(second) - *mek::UuidV1Time(first), absl::Milliseconds(1));
  EXPECT_GE(*mek::UuidV1Time(third) - *mek::UuidV1Time(second), absl::Milliseconds(1));
  EXPECT_EQ(mount.LiveVersion(), 7u);
}

TEST(Faults, ADamagedLiveVersionClosesTheMountAndIsNotOverwritten) {
  TestMount mount;
  Prepare(mount);
  const std::string whole = mount.storage().content().at("versions/0000000004");
  const std::vector<std::string> damages{
      whole.substr(0, whole.size() / 2), "", "null", "{}", "\xff", absl::StrCat(whole, "x")};
  for (const std::string& damaged : damages) {
    mount.storage().Set("versions/0000000004", damaged);
    mount.Restart();
    const auto content = mount.storage().content();
    for (const char* path : {"rotate", "import"}) {
      Json fields = TestMount::RecordOf("good_bootstrapped");
      fields["force"] = true;
      EXPECT_THAT(mount.Write(path, std::string_view(path) == "import" ? fields : Json::object()),
                  StatusIs(absl::StatusCode::kDataLoss, HasSubstr("version 4")));
    }
    EXPECT_THAT(mount.Read(kData), StatusIs(absl::StatusCode::kDataLoss, HasSubstr("version 4")));
    EXPECT_EQ(mount.Read("verify")->at("result"), "fail");
    EXPECT_EQ(mount.storage().content(), content);
  }
  mount.storage().Set("versions/0000000004", whole);
  EXPECT_EQ(mount.Write("rotate")->at("version"), 5u);
}

// What holds keys.
std::map<std::string, std::string> Kept(TestMount& mount) {
  std::map<std::string, std::string> kept;
  for (const auto& [key, value] : mount.storage().content()) {
    if (key.starts_with("versions/") || key.starts_with("archive/")) kept.emplace(key, value);
  }
  return kept;
}

// The process that wrote it, or has read it, has it whole in memory.
TEST(Faults, DamageToTheLiveVersionUnderARunningProcessIsToldByVerifyAndHealedByTheNextVersion) {
  const struct {
    const char* name;
    std::function<void(FakeStorage&)> act;
    const char* message;
    const char* next = "read verify for what to do";
  } kDamages[] = {{"damaged", [](FakeStorage& storage) { storage.Set("versions/0000000004", "x"); },
                   "version 4 is damaged", "restore the storage from a snapshot"},
                  {"gone", [](FakeStorage& storage) { storage.Erase("versions/0000000004"); },
                   "version 4, the live one, is missing from storage"},
                  {"another",
                   [](FakeStorage& storage) {
                     storage.Set("versions/0000000004",
                                 storage.content().at("versions/0000000003"));
                   },
                   "version 4, the live one, was changed"},
                  {"all gone",
                   [](FakeStorage& storage) {
                     for (const auto& [key, value] : storage.content()) {
                       if (key.starts_with("versions/")) storage.Erase(key);
                     }
                   },
                   "version 4, the live one, is missing"}};
  for (const auto& damage : kDamages) {
    SCOPED_TRACE(damage.name);
    TestMount mount;
    Prepare(mount);
    ASSERT_THAT(mount.Write("config", Json{{"max_versions", 2}}), IsOk());
    const Json record = mount.Record();
    EXPECT_EQ(mount.Read("verify")->at("storage.live_version"),
              "ok: the live version is stored as readers get it");
    damage.act(mount.storage());
    const auto damaged = Kept(mount);

    for (int i = 0; i < 2; ++i) {
      EXPECT_EQ(mount.Record(), record);
      const auto verify = mount.Read("verify");
      EXPECT_EQ(verify->at("result"), "fail");
      EXPECT_THAT(verify->at("storage.live_version").dump(),
                  AllOf(HasSubstr(damage.message), Not(HasSubstr("read verify"))));
      // What heals comes before what takes the last whole copy away.
      EXPECT_THAT(std::string(verify->at("storage.live_version").dump()),
                  ContainsRegex("write rotate before.*restore the storage from a snapshot"));
    }
    // Nothing that the version was to keep is deleted.
    if (damaged.contains("versions/0000000003")) {
      EXPECT_THAT(mount.Tick(), StatusIs(absl::StatusCode::kDataLoss,
                                         AllOf(HasSubstr(damage.message), HasSubstr(damage.next))));
    }
    EXPECT_TRUE(Kept(mount) == damaged);

    EXPECT_EQ(mount.Write("rotate")->at("version"), 5u);
    EXPECT_THAT(mount.Read("verify")->at("storage.live_version").dump(), HasSubstr("ok: "));
    mount.Restart();
    const Json rotated = mount.Record();
    EXPECT_NE(rotated.at("current_kid"), record.at("current_kid"));
    const auto keys = mount.Call(openbao::Operation::kList, "keys");
    EXPECT_THAT((*keys)->data.dump(), HasSubstr(record.at("current_kid").dump()));
  }
}

// The version that says "destroyed" must be stored before other copies of the key go.
TEST(Faults, AKeyIsNotDestroyedFurtherOnceTheVersionThatSaysSoIsDamaged) {
  TestMount mount;
  Prepare(mount);
  const std::string kid(mount.Record().at("current_kid").get_ref<const base::JsonString&>());
  ASSERT_THAT(mount.Write("rotate"), IsOk());
  mount.storage().set_plan([](const FakeStorage::Call& call) {
    return call.name == "delete" && call.key == "versions/0000000004" ? Fault::kErrorBefore
                                                                      : Fault::kNone;
  });
  ASSERT_THAT(mount.Write(Cat("destroy-key/", kid), Json{{"confirm", JsonText(kid)}}), IsOk());
  mount.storage().set_plan(nullptr);
  ASSERT_EQ(mount.storage().content().count("destroying"), 1u);

  mount.storage().Set("versions/0000000006", "x");
  const auto damaged = Kept(mount);
  EXPECT_THAT(mount.Tick(),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("version 6 is damaged")));
  EXPECT_TRUE(Kept(mount) == damaged);
}

TEST(Faults, ANewerSchemaIsRefusedAndLeftUntouched) {
  TestMount mount;
  Prepare(mount);
  Json body = *base::ParseJson(mount.storage().content().at("versions/0000000004"));
  body.erase("schema");
  body.erase("sha256");
  body["a_member_of_the_future"] = true;
  const std::string newer(mek::WriteDocument(2, body)->view());
  mount.storage().Set("versions/0000000004", newer);
  mount.Restart();
  EXPECT_THAT(mount.Write("rotate"),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("newer")));
  EXPECT_EQ(mount.storage().content().at("versions/0000000004"), newer);
}

TEST(Faults, SettingsThatNoPluginWroteAreRefusedAndPruneNothing) {
  TestMount mount;
  Prepare(mount);
  ASSERT_THAT(mount.Write("config", Json{{"max_versions", 2}}), IsOk());
  const std::string good = mount.storage().content().at("config");
  const auto stored = [&](const char* name, const Json& value) {
    Json body = *base::ParseJson(good);
    body.erase("schema");
    body.erase("sha256");
    EXPECT_TRUE(body.contains(name)) << name;
    body[name] = value;
    return std::string(mek::WriteDocument(1, body)->view());
  };
  EXPECT_EQ(stored("max_versions", 2), good);
  const struct {
    const char* name;
    Json value;
    const char* why;
  } kCases[] = {
      {"max_versions", 0, "max_versions is out of range"},
      {"max_versions", 1, "max_versions is out of range"},
      {"max_versions", 10'001, "max_versions is out of range"},
      {"max_versions", "2", "max_versions is missing or not a whole number"},
      {"activation", "soon", "activation has no known value"},
      {"private_jwks", "none", "private_jwks has no known value"},
      {"required_acks", "nvcf-api", "required_acks is not an array"},
      {"required_acks", Json::array({"a b"}), "required_acks holds what is no consumer's name"},
      {"activate_early", 1, "activate_early is neither true nor false"},
      {"rotation_schedule", "daily", "rotation_schedule is no schedule"},
      {"grace_period_seconds", -1, "grace_period_seconds is missing or not a whole number"},
  };
  for (const auto& [name, value, why] : kCases) {
    mount.storage().Set("config", stored(name, value));
    mount.Restart();
    const auto content = mount.storage().content();
    EXPECT_THAT(mount.Tick(), StatusIs(absl::StatusCode::kDataLoss, HasSubstr(why)));
    EXPECT_EQ(mount.storage().content(), content) << why;
    EXPECT_THAT(mount.Read(kData), IsOk()) << why;
  }
}

TEST(Faults, AForeignEntryAmongTheVersionsClosesTheMount) {
  TestMount mount;
  Prepare(mount);
  mount.storage().Set("versions/5", "x");
  mount.Restart();
  EXPECT_THAT(mount.Write("rotate"), StatusIs(absl::StatusCode::kDataLoss, HasSubstr("versions/")));
  EXPECT_EQ(mount.storage().content().count("versions/0000000005"), 0u);
}

TEST(Faults, AForeignEntryInTheArchiveLetsNothingBeChanged) {
  TestMount mount;
  Prepare(mount);
  mount.storage().Set("archive/{\"k\":1}", "x");
  mount.Restart();
  const auto content = mount.storage().content();
  EXPECT_THAT(mount.Write("rotate"), StatusIs(absl::StatusCode::kDataLoss, HasSubstr("archive/")));
  EXPECT_EQ(mount.storage().content(), content);
  mount.storage().Erase("archive/{\"k\":1}");
  EXPECT_EQ(mount.Write("rotate")->at("version"), 5u);
}

TEST(Faults, ARecordTooLargeIsRefusedBeforeAnythingIsWritten) {
  TestMount mount;
  Prepare(mount);
  Json record = TestMount::RecordOf("good_bootstrapped");
  record["note"] = base::JsonText(std::string(1 << 20, 'n'));
  const auto content = mount.storage().content();
  EXPECT_THAT(mount.Write(kData, Json{{"data", record}}),
              StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("Nothing was changed")));
  EXPECT_EQ(mount.storage().content(), content);
}

TEST(Faults, NoKeyIsLogged) {
  TestMount mount;
  Prepare(mount);
  mount.Write("rotate").status().IgnoreError();
  for (const std::string& key : KeysOf(mount.Record())) {
    EXPECT_FALSE(absl::StrContains(mount.log().text(), key.substr(key.rfind(' ') + 1)));
  }
  EXPECT_TRUE(absl::StrContains(mount.log().text(), "operation=rotate version=5"));
}

}  // namespace
}  // namespace testing_support
