// A key's life: retired, restored, compromised, destroyed.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <thread>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/text.h"
#include "mek/document.h"
#include "mek/kid.h"
#include "mek/record.h"
#include "mek/rotation.h"
#include "mek/version_doc.h"
#include "support/status_matchers.h"
#include "support/test_mount.h"

namespace testing_support {
namespace {

using base::Cat;
using base::Json;
using base::JsonText;
using openbao::Operation;
using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

std::string Text(const Json& value) {
  return std::string(value.get_ref<const base::JsonString&>());
}

class Keys : public ::testing::Test {
 protected:
  // Versions 1 to 3: init and two rotations; kids_[i] is current in version i + 1.
  void SetUp() override {
    for (const char* operation : {"init", "rotate", "rotate"}) {
      kids_.push_back(Text(mount_.Write(operation)->at("current_kid")));
    }
  }
  std::string State(const std::string& kid) {
    const absl::StatusOr<Json> key = mount_.Read(Cat("keys/", kid));
    return key.ok() ? Text(key->at("state")) : std::string(key.status().message());
  }
  absl::StatusOr<Json> Act(const std::string& kid, std::string_view action,
                           Json data = Json::object()) {
    return mount_.Write(Cat("keys/", kid, "/", action), std::move(data));
  }
  absl::StatusOr<Json> Destroy(const std::string& kid) {
    return mount_.Write(Cat("destroy-key/", kid), Json{{"confirm", JsonText(kid)}});
  }
  bool InRecord(const std::string& kid) {
    const mek::Record record = *mek::Record::Parse(mount_.Record());
    return record.set(mek::Set::kKeys).Find(kid) != nullptr ||
           record.set(mek::Set::kPrivateJwks).Find(kid) != nullptr;
  }
  // The entry of version 1.
  std::string FirstVersion() {
    return mount_.storage().content().lower_bound("versions/0000000001")->first;
  }
  // Whether any stored entry holds the key's material.
  bool AnywhereInStorage(const std::string& kid) {
    for (const auto& [name, value] : mount_.storage().content()) {
      if (name.starts_with("archive/") && absl::StrContains(value, kid)) return true;
      if (!name.starts_with("versions/")) continue;
      const auto doc = mek::VersionDoc::Parse(name, value);
      EXPECT_THAT(doc, IsOk());
      if (!doc.ok()) return true;
      for (const mek::Set set : mek::kSets) {
        if (doc->record.set(set).Find(kid) != nullptr) return true;
      }
    }
    return false;
  }

  TestMount mount_;
  std::vector<std::string> kids_;
};

TEST_F(Keys, AListShowsEveryKeyAndItsState) {
  ASSERT_THAT(Act(kids_[0], "retire"), IsOk());
  const Json list = (*mount_.Call(Operation::kList, "keys"))->data;
  EXPECT_EQ(list.at("keys").size(), 3u);
  const auto state = [&](int i) {
    return Text(list.at("key_info").at(base::JsonString(kids_[i])).at("state"));
  };
  EXPECT_EQ(state(0), "retired");
  EXPECT_EQ(state(1), "retained");
  EXPECT_EQ(state(2), "current");
}

TEST_F(Keys, AKeyTellsItsLife) {
  ASSERT_THAT(Act(kids_[0], "retire"), IsOk());
  const Json key = *mount_.Read(Cat("keys/", kids_[0]));
  EXPECT_EQ(Text(key.at("state")), "retired");
  EXPECT_EQ(key.at("is_current"), false);
  EXPECT_EQ(key.at("sets").size(), 0u);
  EXPECT_EQ(Text(key.at("versions")), "1-3");
  EXPECT_EQ(Text(key.at("current_in_versions")), "1");
  EXPECT_EQ(Text(key.at("first_seen_time")), "2027-01-15T08:00:00.000000000Z");
  EXPECT_EQ(Text(key.at("left_because")), "retired");
  EXPECT_EQ(key.at("left_by_version"), 4u);
  const Json current = *mount_.Read(Cat("keys/", kids_[2]));
  EXPECT_EQ(current.at("sets"), Json::array({"keys", "private_jwks"}));
  EXPECT_EQ(current.at("is_current"), true);
  EXPECT_THAT(mount_.Read("keys/unheard-of"),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("list keys")));
}

TEST_F(Keys, ARetiredKeyComesBackAsItWas) {
  const Json before = mount_.Record();
  const auto retired = mount_.Call(Operation::kUpdate, Cat("keys/", kids_[1], "/retire"),
                                   Json{{"cas", 3}, {"reason", "resealed"}});
  ASSERT_THAT(retired, IsOk());
  EXPECT_THAT((*retired)->warnings, Contains(HasSubstr("can't open any more")));
  EXPECT_FALSE(InRecord(kids_[1]));
  EXPECT_EQ(State(kids_[1]), "retired");
  ASSERT_THAT(Act(kids_[1], "restore"), IsOk());
  EXPECT_EQ(State(kids_[1]), "retained");
  const mek::Record after = *mek::Record::Parse(mount_.Record());
  const mek::Record was = *mek::Record::Parse(before);
  EXPECT_EQ(after.Kids(mek::Set::kKeys).back(), kids_[1]);
  EXPECT_TRUE(mek::KeysMissingIn(was, after).empty());
  EXPECT_TRUE(mek::KeysMissingIn(after, was).empty());
}

TEST_F(Keys, ARollbackLeavesRetiredKeysOutAndSaysSo) {
  ASSERT_THAT(Act(kids_[0], "retire"), IsOk());
  const auto back = mount_.Call(Operation::kUpdate, "rollback", Json{{"version", 2}});
  ASSERT_THAT(back, IsOk());
  EXPECT_THAT((*back)->warnings, ElementsAre(AllOf(HasSubstr(Cat("of ", kids_[0], " stay out")),
                                                   HasSubstr("keys/KID/restore"))));
  EXPECT_FALSE(InRecord(kids_[0]));
  EXPECT_TRUE(InRecord(kids_[2]));
}

TEST_F(Keys, ARollbackWithoutSuchKeysSaysNothingOfThem) {
  const auto back = mount_.Call(Operation::kUpdate, "rollback", Json{{"version", 2}});
  ASSERT_THAT(back, IsOk());
  EXPECT_THAT((*back)->warnings, IsEmpty());
}

TEST_F(Keys, AForcedImportLeavesRetiredAndCompromisedKeysOutAndSaysSo) {
  Json import = mount_.Record();
  import["force"] = true;
  ASSERT_THAT(mount_.Write("rollback", Json{{"version", 1}, {"newer_keys", "drop"}}), IsOk());
  ASSERT_THAT(Act(kids_[1], "compromised"), IsOk());
  ASSERT_THAT(mount_.Write("rollback", Json{{"version", 3}}), IsOk());
  ASSERT_THAT(Act(kids_[0], "retire"), IsOk());
  const auto imported = mount_.Call(Operation::kUpdate, "import", import);
  ASSERT_THAT(imported, IsOk());
  EXPECT_THAT((*imported)->warnings, Contains(AllOf(HasSubstr(Cat("of ", kids_[0], " stay out")),
                                                    HasSubstr("keys/KID/restore"))));
  EXPECT_THAT((*imported)->warnings, Contains(AllOf(HasSubstr(Cat("of ", kids_[1], " stay out")),
                                                    HasSubstr("compromised"))));
  EXPECT_FALSE(InRecord(kids_[0]));
  EXPECT_FALSE(InRecord(kids_[1]));
}

TEST_F(Keys, WhatMayNotBeDoneIsRefusedAndChangesNothing) {
  const auto content = mount_.storage().content();
  EXPECT_THAT(Act(kids_[2], "retire"),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       AllOf(HasSubstr("is current"), HasSubstr("Nothing was changed"))));
  EXPECT_THAT(Act(kids_[1], "restore"),
              StatusIs(absl::StatusCode::kFailedPrecondition, ::testing::_));
  EXPECT_THAT(Destroy(kids_[2]), StatusIs(absl::StatusCode::kFailedPrecondition, ::testing::_));
  EXPECT_THAT(Act("unheard-of", "retire"), StatusIs(absl::StatusCode::kNotFound, ::testing::_));
  EXPECT_THAT(mount_.Write(Cat("destroy-key/", kids_[0])),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("confirm is missing")));
  EXPECT_THAT(mount_.Write(Cat("destroy-key/", kids_[0]), Json{{"confirm", "yes"}}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("the kid once more")));
  EXPECT_THAT(Act(kids_[0], "retire", Json{{"cas", 2}}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("cas")));
  EXPECT_EQ(mount_.storage().content(), content);
  const std::string staged =
      Text(mount_.Write("rotate", Json{{"activation", "staged"}})->at("staged_kid"));
  EXPECT_THAT(Act(staged, "retire"), StatusIs(absl::StatusCode::kFailedPrecondition, ::testing::_));
  EXPECT_THAT(Destroy(staged), StatusIs(absl::StatusCode::kFailedPrecondition, ::testing::_));
}

TEST_F(Keys, ACompromisedKeyStaysReadableAndNeverBecomesCurrentAgain) {
  ASSERT_THAT(Act(kids_[1], "compromised", Json{{"reason", "found in a log"}}), IsOk());
  EXPECT_EQ(State(kids_[1]), "compromised");
  EXPECT_TRUE(InRecord(kids_[1]));
  EXPECT_THAT(
      mount_.Write("rollback", Json{{"version", 2}}),
      StatusIs(absl::StatusCode::kFailedPrecondition,
               AllOf(HasSubstr("compromised"), HasSubstr("with another current key, or rotate"),
                     HasSubstr("Nothing was changed"))));
  for (const char* action : {"retire", "restore", "compromised"}) {
    EXPECT_THAT(Act(kids_[1], action),
                StatusIs(absl::StatusCode::kFailedPrecondition, ::testing::_))
        << action;
  }
  // The mark stays through later versions.
  ASSERT_THAT(mount_.Write("rotate"), IsOk());
  EXPECT_EQ(State(kids_[1]), "compromised");
}

TEST_F(Keys, ACompromisedCurrentKeyAsksForARotation) {
  const auto marked =
      mount_.Call(Operation::kUpdate, Cat("keys/", kids_[2], "/compromised"), Json::object());
  const std::string leave = "write rotate activation=immediate";
  EXPECT_THAT((*marked)->warnings, Contains(HasSubstr(leave)));
  EXPECT_THAT((*mount_.Call(Operation::kRead, "status"))->warnings,
              Contains(HasSubstr(Cat("marked as compromised: ", leave))));
  const auto verified = mount_.Read("verify");
  EXPECT_EQ(verified->at("result"), "fail");
  EXPECT_EQ(verified->at("rotation.current_not_compromised"),
            Cat("fail: the current key is marked as compromised: ", leave));
  EXPECT_THAT(Destroy(kids_[2]), StatusIs(absl::StatusCode::kFailedPrecondition, ::testing::_));
  ASSERT_THAT(mount_.Write("rotate"), IsOk());
  EXPECT_THAT(Destroy(kids_[2]), IsOk());
}

// To stage is not to leave it, and what then is asked for is not another rotation.
TEST_F(Keys, ACompromisedCurrentKeyIsLeftByTheStagedOneAtOnce) {
  ASSERT_THAT(mount_.Write(Cat("keys/", kids_[2], "/compromised")), IsOk());
  const auto staged =
      mount_.Call(Operation::kUpdate, "rotate", base::Json{{"activation", "staged"}});
  ASSERT_THAT(staged, IsOk());
  EXPECT_THAT((*staged)->warnings, Contains(AllOf(HasSubstr(kids_[2]), HasSubstr("compromised"),
                                                  HasSubstr("write activate force=true"))));
  const std::string kid((*staged)->data.at("staged_kid").get_ref<const base::JsonString&>());
  EXPECT_THAT((*mount_.Call(Operation::kRead, "status"))->warnings,
              Contains(HasSubstr(Cat("marked as compromised: write activate force=true, which "
                                     "makes the staged kid ",
                                     kid))));
  EXPECT_THAT(mount_.Write("rotate"),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       AllOf(HasSubstr("The current key is compromised: write activate"),
                             ::testing::Not(HasSubstr("rollback")))));
  ASSERT_THAT(mount_.Write("activate", base::Json{{"force", true}}), IsOk());
  EXPECT_EQ(State(kid), "current");
}

auto NamesTheWayOut(const std::string& current, const std::string& staged) {
  return StatusIs(
      absl::StatusCode::kFailedPrecondition,
      AllOf(HasSubstr(current), HasSubstr("compromised"),
            HasSubstr(Cat("write activate force=true, which makes the staged kid ", staged)),
            HasSubstr("Nothing was changed")));
}

// Though it is current already: the staged key, the way out of it, would be given up.
TEST_F(Keys, NoRollbackStaysWithACompromisedCurrentKey) {
  const std::string staged =
      Text(mount_.Write("rotate", Json{{"activation", "staged"}})->at("staged_kid"));
  ASSERT_THAT(Act(kids_[2], "compromised"), IsOk());
  const auto content = mount_.storage().content();
  for (const char* newer_keys : {"keep", "drop"}) {
    EXPECT_THAT(mount_.Write("rollback", Json{{"version", 3}, {"newer_keys", newer_keys}}),
                NamesTheWayOut(kids_[2], staged));
  }
  EXPECT_EQ(mount_.storage().content(), content);
  // To a version with another current key there is a way back.
  EXPECT_THAT(mount_.Write("rollback", Json{{"version", 2}}), IsOk());
}

// The same by the other way.
TEST_F(Keys, NoForcedImportStaysWithACompromisedCurrentKey) {
  Json import = mount_.Record();
  import["force"] = true;
  const std::string staged =
      Text(mount_.Write("rotate", Json{{"activation", "staged"}})->at("staged_kid"));
  ASSERT_THAT(Act(kids_[2], "compromised"), IsOk());
  const auto content = mount_.storage().content();
  for (const char* newer_keys : {"keep", "drop"}) {
    import["newer_keys"] = newer_keys;
    EXPECT_THAT(mount_.Write("import", import), NamesTheWayOut(kids_[2], staged));
  }
  EXPECT_EQ(mount_.storage().content(), content);
  // A put gives no staged key up, so it may leave the current one as it is, but not make it
  // current.
  constexpr char kData[] = "data/encryption/keys/stored_data";
  Json put = mount_.Record();
  put["x"] = "1";
  ASSERT_THAT(mount_.Write(kData, Json{{"data", put}}), IsOk());
  EXPECT_EQ(Text(mount_.Read("status")->at("staged_kid")), staged);
  ASSERT_THAT(mount_.Write("activate", Json{{"force", true}}), IsOk());
  for (const auto& [path, fields] :
       {std::pair("import", import), std::pair(kData, Json{{"data", put}})}) {
    EXPECT_THAT(mount_.Write(path, fields),
                StatusIs(absl::StatusCode::kFailedPrecondition,
                         AllOf(HasSubstr(kids_[2]), HasSubstr("compromised"),
                               HasSubstr("with another current key, or rotate"),
                               HasSubstr("Nothing was changed"))));
  }
}

// No rollback leads to a version whose current key is compromised.
TEST_F(Keys, AKeyThatAPutDropsBesideACompromisedCurrentOneIsRestoredNotRolledBack) {
  for (const bool compromised : {false, true}) {
    SCOPED_TRACE(compromised);
    if (compromised) {
      ASSERT_THAT(Act(kids_[2], "compromised"), IsOk());
    }
    const Json whole = mount_.Record();
    const Json put = mek::Retire(*mek::Record::Parse(whole), kids_[0])->ToJson();
    const auto answer =
        mount_.Call(Operation::kUpdate, "data/encryption/keys/stored_data", Json{{"data", put}});
    ASSERT_THAT(answer, IsOk());
    const std::string rollback = Cat("rollback version=", mount_.LiveVersion() - 1);
    EXPECT_THAT(
        (*answer)->warnings,
        Contains(AllOf(HasSubstr(kids_[0]), HasSubstr("keys/KID/restore"),
                       compromised ? ::testing::Not(HasSubstr("rollback"))
                                   : ::testing::Matcher<std::string>(HasSubstr(rollback)))));
    ASSERT_THAT(Act(kids_[0], "restore"), IsOk());
    EXPECT_EQ(mount_.Record(), whole);
  }
}

TEST_F(Keys, ACompromisedStagedKeyIsNoLongerStaged) {
  const std::string staged =
      Text(mount_.Write("rotate", Json{{"activation", "staged"}})->at("staged_kid"));
  ASSERT_THAT(Act(staged, "compromised"), IsOk());
  EXPECT_EQ(Text(mount_.Read("status")->at("staged_kid")), "");
  EXPECT_THAT(mount_.Write("activate", Json{{"force", true}}),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("no key is staged")));
}

TEST_F(Keys, ADestroyedKeyIsNowhere) {
  ASSERT_THAT(Act(kids_[0], "retire"), IsOk());
  ASSERT_TRUE(AnywhereInStorage(kids_[0]));
  const Json reply = *Destroy(kids_[0]);
  EXPECT_EQ(reply.at("version"), 5u);
  EXPECT_EQ(Text(reply.at("deleted_versions")), "1");
  EXPECT_FALSE(AnywhereInStorage(kids_[0]));
  EXPECT_FALSE(mount_.storage().content().contains("destroying"));
  EXPECT_EQ(State(kids_[0]), "destroyed");
  EXPECT_THAT(mount_.Read("versions/1"),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       AllOf(HasSubstr("was deleted"), HasSubstr("list versions"))));
  EXPECT_THAT(mount_.Read("versions/2"), IsOk());
  EXPECT_EQ(mount_.Read("verify")->at("result"), "ok");
  for (const char* action : {"retire", "restore", "compromised"}) {
    EXPECT_THAT(Act(kids_[0], action),
                StatusIs(absl::StatusCode::kFailedPrecondition, ::testing::_))
        << action;
  }
  EXPECT_THAT(Destroy(kids_[0]), StatusIs(absl::StatusCode::kFailedPrecondition, ::testing::_));
}

TEST_F(Keys, ADestroyedKeyComesBackByNoWay) {
  const Json with_key = mount_.Record();
  ASSERT_THAT(Destroy(kids_[0]), IsOk());
  EXPECT_FALSE(InRecord(kids_[0]));
  EXPECT_THAT(mount_.Write("data/encryption/keys/stored_data", Json{{"data", with_key}}),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("was destroyed")));
  Json import = with_key;
  import["force"] = true;
  EXPECT_THAT(mount_.Write("import", import),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("was destroyed")));
  ASSERT_THAT(mount_.Write("rollback", Json{{"version", 2}}), IsOk());
  EXPECT_FALSE(InRecord(kids_[0]));
}

TEST_F(Keys, ANewKidIsLaterThanADestroyedOne) {
  mount_.clock().Step(absl::Hours(48));
  const std::string ahead = Text(mount_.Write("rotate")->at("current_kid"));
  mount_.clock().Step(-absl::Hours(48));
  ASSERT_THAT(mount_.Write("rollback", Json{{"version", 3}}), IsOk());
  ASSERT_THAT(Destroy(ahead), IsOk());
  const std::string next = Text(mount_.Write("rotate")->at("current_kid"));
  EXPECT_GT(*mek::UuidV1Time(next), *mek::UuidV1Time(ahead));
}

// Every storage call of a destruction, failed in every way: the key is destroyed or it is not, and
// where the record says that it is, it is gone from everywhere after the next tick.
TEST_F(Keys, ADestructionThatIsCutShortIsMadeGood) {
  int points = 0;
  for (const Fault fault : {Fault::kErrorBefore, Fault::kErrorAfter, Fault::kLostBefore,
                            Fault::kLostAfter, Fault::kCrashBefore, Fault::kCrashAfter}) {
    for (int n = 1;; ++n) {
      TestMount mount;
      std::vector<std::string> kids;
      for (const char* operation : {"init", "rotate", "rotate"}) {
        kids.push_back(Text(mount.Write(operation)->at("current_kid")));
      }
      ASSERT_THAT(mount.Write(Cat("keys/", kids[0], "/retire")), IsOk());
      bool hit = false;
      mount.storage().set_plan([&](const FakeStorage::Call& call) {
        if (call.number != n) return Fault::kNone;
        hit = true;
        return fault;
      });
      try {
        mount.Write(Cat("destroy-key/", kids[0]), Json{{"confirm", JsonText(kids[0])}})
            .IgnoreError();
      } catch (const Crash&) {
        mount.Restart();
      }
      mount.storage().set_plan(nullptr);
      if (!hit) break;
      ++points;
      SCOPED_TRACE(absl::StrCat("fault ", static_cast<int>(fault), " at call ", n));
      ASSERT_THAT(mount.Tick(), IsOk());
      const std::string state = Text(mount.Read(Cat("keys/", kids[0]))->at("state"));
      EXPECT_FALSE(mount.storage().content().contains("destroying"));
      EXPECT_EQ(mount.Read("verify")->at("result"), "ok");
      bool held = false;
      for (const auto& [name, value] : mount.storage().content()) {
        if (name.starts_with("archive/")) held = true;
      }
      EXPECT_EQ(held, state == "retired");
      EXPECT_TRUE(state == "retired" || state == "destroyed") << state;
    }
  }
  EXPECT_GT(points, 60);
}

TEST_F(Keys, DestructionsAtTheSameTimeAllComeToTheirEnd) {
  for (int i = 0; i < 6; ++i) kids_.push_back(Text(mount_.Write("rotate")->at("current_kid")));
  kids_.pop_back();  // the current one
  std::vector<std::thread> threads;
  for (const std::string& kid : kids_) {
    threads.emplace_back([&] { EXPECT_THAT(Destroy(kid), IsOk()); });
  }
  for (std::thread& thread : threads) thread.join();
  for (const std::string& kid : kids_) {
    EXPECT_EQ(State(kid), "destroyed");
    EXPECT_FALSE(AnywhereInStorage(kid)) << kid;
  }
  EXPECT_EQ(mount_.Read("verify")->at("result"), "ok");
}

TEST_F(Keys, ADamagedVersionKeepsNoKeyFromBeingDestroyed) {
  mount_.storage().Set(FirstVersion(), "not what it was");
  ASSERT_THAT(Destroy(kids_[0]), IsOk());
  ASSERT_THAT(Destroy(kids_[1]), IsOk());
  EXPECT_FALSE(mount_.storage().content().contains("destroying"));
  EXPECT_EQ(mount_.Read("verify")->at("result"), "fail");
}

// What an earlier process had under way landed beside the version that counts, and no reader sees
// it: the key must not stay there.
TEST_F(Keys, ADestroyedKeyIsNotInAHiddenVersionEither) {
  mount_.Restart();
  ASSERT_THAT(mount_.Write("rotate"), IsOk());
  const auto versions = mount_.storage().content();
  for (const char* name : {"versions/0000000001", "versions/0000000004"}) {
    const auto counts = versions.lower_bound(name);
    ASSERT_THAT(counts->first, ::testing::StartsWith(Cat(name, "-")));
    mount_.storage().Set(name, counts->second);
  }
  constexpr char kDamaged[] = "versions/0000000004-0000000000000001";
  mount_.storage().Set(kDamaged, "not what it was");
  mount_.Restart();
  ASSERT_THAT(Destroy(kids_[0]), IsOk());
  const auto after = mount_.storage().content();
  EXPECT_FALSE(after.contains("destroying"));
  EXPECT_FALSE(after.contains("versions/0000000001"));
  ASSERT_TRUE(after.contains("versions/0000000004"));
  EXPECT_EQ(after.at(kDamaged), "not what it was");
  mount_.storage().Set(kDamaged, after.at("versions/0000000004"));
  EXPECT_FALSE(AnywhereInStorage(kids_[0]));
}

TEST_F(Keys, AVersionThatWentWithADestroyedKeyIsNotJustUnknown) {
  ASSERT_THAT(Destroy(kids_[0]), IsOk());
  EXPECT_THAT(mount_.Write("rollback", Json{{"version", 1}}),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("was destroyed")));
}

TEST_F(Keys, AKeyThatOneSetHasLostComesBack) {
  const mek::Record whole = *mek::Record::Parse(mount_.Record());
  mek::KeySet private_jwks = whole.set(mek::Set::kPrivateJwks).Clone();
  private_jwks.Remove(kids_[0]);
  const mek::Record damaged =
      *whole.With(whole.set(mek::Set::kKeys).Clone(), std::move(private_jwks), whole.current_kid());
  ASSERT_THAT(mount_.Write("data/encryption/keys/stored_data", Json{{"data", damaged.ToJson()}}),
              IsOk());
  EXPECT_EQ(State(kids_[0]), "retained");
  ASSERT_THAT(Act(kids_[0], "restore"), IsOk());
  const mek::Record restored = *mek::Record::Parse(mount_.Record());
  EXPECT_TRUE(mek::KeysMissingIn(whole, restored).empty());
  EXPECT_THAT(Act(kids_[0], "restore"),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("nothing to restore")));
}

TEST_F(Keys, ACompromisedKeyThatIsOutStaysOut) {
  ASSERT_THAT(mount_.Write("rollback", Json{{"version", 1}, {"newer_keys", "drop"}}), IsOk());
  ASSERT_THAT(Act(kids_[1], "compromised"), IsOk());
  ASSERT_THAT(mount_.Write("rollback", Json{{"version", 3}}), IsOk());
  EXPECT_FALSE(InRecord(kids_[1]));
  EXPECT_TRUE(InRecord(kids_[2]));
}

TEST_F(Keys, ARollbackWarnsOfACurrentKeyThatReadersHaveNotHad) {
  ASSERT_THAT(mount_.Write("rollback", Json{{"version", 1}, {"newer_keys", "drop"}}), IsOk());
  mount_.Run(absl::Hours(100));
  const auto back = mount_.Call(Operation::kUpdate, "rollback", Json{{"version", 3}});
  ASSERT_THAT(back, IsOk());
  EXPECT_THAT((*back)->warnings, Contains(HasSubstr("readers have not had it until now")));
  EXPECT_EQ(Text(mount_.Read("status")->at("phase")), "propagating");
}

TEST_F(Keys, AKeyThatWasAwayIsNewToReadersWhenItBecomesCurrentSoonAfter) {
  mount_.Run(absl::Hours(100));
  ASSERT_THAT(Act(kids_[0], "retire"), IsOk());
  mount_.Run(absl::Hours(100));
  ASSERT_THAT(Act(kids_[0], "restore"), IsOk());
  ASSERT_THAT(mount_.Write("rollback", Json{{"version", 1}}), IsOk());
  EXPECT_EQ(Text(mount_.Read("status")->at("phase")), "propagating");
  mount_.Run(absl::Hours(48));
  EXPECT_EQ(Text(mount_.Read("status")->at("phase")), "active");
}

TEST_F(Keys, ThePathAndTheBodyMustNameTheSameKey) {
  EXPECT_THAT(Act(kids_[0], "retire", Json{{"kid", JsonText(kids_[1])}}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("the path has another one")));
  EXPECT_TRUE(InRecord(kids_[0]));
  EXPECT_THAT(Act(kids_[0], "retire", Json{{"kid", JsonText(kids_[0])}}), IsOk());
}

// What is beside the record: damage is named, and keeps nobody from the keys.
TEST_F(Keys, DamageBesideTheRecordIsNamedAndKeepsNoReaderAway) {
  ASSERT_THAT(mount_.Write("config", Json{{"required_acks", "x"}}), IsOk());
  const std::string staged =
      Text(mount_.Write("rotate", Json{{"activation", "staged"}})->at("staged_kid"));
  ASSERT_THAT(mount_.Write("ack", Json{{"consumer", "x"}, {"kid", JsonText(staged)}}), IsOk());
  mount_.Record();
  ASSERT_THAT(mount_.Tick(), IsOk());
  for (const char* key :
       {"config", "acks", "spread", "readers/seen", "destroying", "destroyed_versions"}) {
    const auto content = mount_.storage().content();
    mount_.storage().Set(key, "{\"schema\":1}");
    mount_.Restart();
    EXPECT_TRUE(mount_.Record().contains("keys")) << key;
    const Json verified = *mount_.Read("verify");
    EXPECT_EQ(verified.at("result"), "fail") << key;
    EXPECT_THAT(Text(verified.at("storage.settings")), HasSubstr(key));
    if (std::string_view(key) != "config") {
      EXPECT_THAT(mount_.Write("rotate", Json{{"force", true}, {"dry_run", true}}), IsOk()) << key;
      EXPECT_THAT(mount_.Write("activate", Json{{"force", true}, {"dry_run", true}}), IsOk())
          << key;
    }
    if (const auto at = content.find(key); at != content.end()) {
      mount_.storage().Set(key, at->second);
    } else {
      mount_.storage().Erase(key);
    }
    mount_.Restart();
    EXPECT_EQ(mount_.Read("verify")->at("result"), "ok") << key;
  }
  mount_.storage().Set("acks", "damaged");
  ASSERT_THAT(mount_.Write("ack", Json{{"consumer", "x"}, {"kid", JsonText(staged)}}), IsOk());
  EXPECT_EQ(mount_.Read("verify")->at("result"), "ok");
}

TEST_F(Keys, ANumberThatIsNoneIsToldAsDamageIsToldEverywhere) {
  mount_.storage().Set("destroyed_versions",
                       mek::WriteDocument(1, Json{{"versions", "1,x"}})->view());
  EXPECT_THAT(Text(mount_.Read("verify")->at("storage.settings")),
              AllOf(HasSubstr("the entry destroyed_versions is damaged in storage"),
                    HasSubstr("restore the storage from a snapshot")));
}

TEST_F(Keys, SettingsOfAnEarlierPluginAreRead) {
  const Json earlier{
      {"grace_period_seconds", 3600}, {"max_versions", 7}, {"private_jwks", "mirror"}};
  mount_.storage().Set("config", mek::WriteDocument(1, earlier)->view());
  mount_.Restart();
  const Json config = *mount_.Read("config");
  EXPECT_EQ(Text(config.at("grace_period")), "1h");
  EXPECT_EQ(config.at("max_versions"), 7u);
  EXPECT_EQ(Text(config.at("reader_timeout")), "24h");
}

TEST_F(Keys, ADamagedVersionHidesNoOther) {
  mount_.storage().Set(FirstVersion(), "damaged");
  const auto listed = mount_.Call(Operation::kList, "versions");
  ASSERT_THAT(listed, IsOk());
  EXPECT_EQ((*listed)->data.at("keys"), Json::array({"1", "2", "3"}));
  EXPECT_THAT((*listed)->warnings, Contains(HasSubstr("can't be read: 1")));
  EXPECT_THAT(mount_.Read(Cat("keys/", kids_[1])), IsOk());
  EXPECT_THAT(mount_.Read("metadata/encryption/keys/stored_data"), IsOk());
}

TEST_F(Keys, VersionsAreListedPageByPage) {
  const auto list = [&](Json data) {
    return (*mount_.Call(Operation::kList, "versions", std::move(data)))->data;
  };
  EXPECT_EQ(list(Json{{"after", "1"}}).at("keys"), Json::array({"2", "3"}));
  EXPECT_EQ(list(Json{{"limit", 2}}).at("keys"), Json::array({"1", "2"}));
  EXPECT_EQ(list(Json{{"after", 1}, {"limit", 1}}).at("keys"), Json::array({"2"}));
  const Json info = list(Json::object()).at("key_info").at("2");
  EXPECT_EQ(Text(info.at("operation")), "rotate");
  EXPECT_EQ(Text(info.at("current_kid")), kids_[1]);
}

TEST_F(Keys, PruningKeepsWhatIsKeptNowhereElse) {
  ASSERT_THAT(mount_.Write("config", Json{{"max_versions", 2}}), IsOk());
  ASSERT_THAT(Act(kids_[0], "retire"), IsOk());
  // Version 1 to 3 hold the retired key, which is in the archive: they may go.
  ASSERT_THAT(mount_.Tick(), IsOk());
  EXPECT_EQ((*mount_.Call(Operation::kList, "versions"))->data.at("keys"), Json::array({"3", "4"}));
  ASSERT_THAT(Act(kids_[0], "restore"), IsOk());
  EXPECT_EQ(mount_.Read("verify")->at("result"), "ok");
}

}  // namespace
}  // namespace testing_support
