// Staged rotation: a key that readers have before anything is sealed with it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <string>
#include <vector>

#include "base/text.h"
#include "mek/record.h"
#include "mek/rotation.h"
#include "support/status_matchers.h"
#include "support/test_mount.h"

namespace testing_support {
namespace {

using base::Json;
using base::JsonText;
using openbao::Operation;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string Text(const Json& value) {
  return std::string(value.get_ref<const base::JsonString&>());
}

class Staged : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_THAT(mount_.Put("good_rotated_independent"), IsOk());
    first_ = Current();
  }
  mek::Record Record() { return *mek::Record::Parse(mount_.Record()); }
  // Not by a read of the record, which would make the test a reader.
  std::string Current() { return Text(mount_.Read("status")->at("current_kid")); }
  std::string Stage() {
    const absl::StatusOr<Json> staged = mount_.Write("rotate", Json{{"activation", "staged"}});
    EXPECT_THAT(staged, IsOk());
    return staged.ok() ? Text(staged->at("staged_kid")) : "";
  }
  Json Status() { return *mount_.Read("status"); }
  std::string Phase() { return Text(Status().at("phase")); }
  void Config(Json settings) { ASSERT_THAT(mount_.Write("config", std::move(settings)), IsOk()); }
  void Ack(std::string_view consumer, const std::string& kid) {
    ASSERT_THAT(mount_.Write("ack", Json{{"consumer", JsonText(consumer)}, {"kid", JsonText(kid)}}),
                IsOk());
  }

  TestMount mount_;
  std::string first_;
};

TEST_F(Staged, TheNewKeyIsLastInBothSetsAndTheSelectorsStay) {
  const Json before = mount_.Record();
  const Json reply = *mount_.Write("rotate", Json{{"activation", "staged"}, {"reason", "q4"}});
  const std::string staged = Text(reply.at("staged_kid"));
  EXPECT_EQ(reply.at("version"), 2u);
  EXPECT_EQ(Text(reply.at("current_kid")), first_);
  EXPECT_EQ(Text(reply.at("created_time")), "2027-01-15T08:00:00.000000000Z");
  EXPECT_EQ(Text(reply.at("effective_time")), "2027-01-17T08:00:00.000000000Z");
  const mek::Record record = Record();
  for (const mek::Set set : mek::kSets) {
    EXPECT_EQ(record.Kids(set).back(), staged);
    EXPECT_EQ(record.Kids(set).size(), mek::Record::Parse(before)->Kids(set).size() + 1);
  }
  EXPECT_EQ(mount_.Record().at("current_kid"), before.at("current_kid"));
  EXPECT_EQ(mount_.Record().at("jwe_mapping"), before.at("jwe_mapping"));
  const Json version = *mount_.Read("versions/2");
  EXPECT_EQ(Text(version.at("operation")), "stage");
  EXPECT_EQ(Text(version.at("staged_kid")), staged);
  EXPECT_EQ(Text(version.at("staged_time")), "2027-01-15T08:00:00.000000000Z");
}

TEST_F(Staged, ADryRunShowsNoKid) {
  const auto content = mount_.storage().content();
  const Json reply = *mount_.Write("rotate", Json{{"activation", "staged"}, {"dry_run", true}});
  EXPECT_EQ(Text(reply.at("staged_kid")), "(new)");
  EXPECT_EQ(Text(reply.at("current_kid")), first_);
  EXPECT_EQ(reply.at("version"), 1u);
  EXPECT_EQ(mount_.storage().content(), content);
}

TEST_F(Staged, TheSettingDecidesUnlessTheRequestDoes) {
  Config({{"activation", "staged"}});
  const Json staged = *mount_.Write("rotate");
  EXPECT_NE(Text(staged.at("staged_kid")), "");
  const Json forced = *mount_.Write("rotate", Json{{"activation", "immediate"}, {"force", true}});
  EXPECT_EQ(Text(forced.at("staged_kid")), "");
  EXPECT_NE(Text(forced.at("current_kid")), first_);
}

TEST_F(Staged, NothingRotatesOverAStagedKeyButByForce) {
  const std::string staged = Stage();
  for (const char* activation : {"staged", "immediate"}) {
    EXPECT_THAT(mount_.Write("rotate", Json{{"activation", activation}}),
                StatusIs(absl::StatusCode::kFailedPrecondition,
                         AllOf(HasSubstr(staged), HasSubstr("rotate activation=staged force=true"),
                               HasSubstr("Nothing was changed"))));
  }
  EXPECT_EQ(mount_.LiveVersion(), 2u);
  const Json forced = *mount_.Write("rotate", Json{{"activation", "staged"}, {"force", true}});
  EXPECT_NE(Text(forced.at("staged_kid")), staged);
  EXPECT_EQ(Text(mount_.Read(base::Cat("keys/", staged))->at("state")), "retained");
}

TEST_F(Staged, ActivateIsRefusedBeforeTheGracePeriodAndSaysWhy) {
  EXPECT_THAT(mount_.Write("activate"),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("no key is staged")));
  const std::string staged = Stage();
  mount_.clock().Advance(absl::Hours(47));
  EXPECT_THAT(mount_.Write("activate"),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       AllOf(HasSubstr(staged), HasSubstr("the grace period: 1h left"))));
  EXPECT_EQ(Current(), first_);
  mount_.clock().Advance(absl::Hours(1));
  const Json reply = *mount_.Write("activate", Json{{"cas", 2}, {"reason", "ready"}});
  EXPECT_EQ(Text(reply.at("current_kid")), staged);
  EXPECT_EQ(Text(reply.at("previous_kid")), first_);
  EXPECT_EQ(Text(reply.at("staged_kid")), "");
  EXPECT_EQ(reply.at("version"), 3u);
  const mek::Record record = Record();
  for (const mek::Set set : mek::kSets) EXPECT_EQ(record.Kids(set).front(), staged);
  EXPECT_EQ(record.current_kid(), staged);
  EXPECT_EQ(Text(mount_.Read("versions/3")->at("spread_time")), "48h");
  // Its readers have it already.
  EXPECT_EQ(Phase(), "active");
}

TEST_F(Staged, ForceActivatesAtOnceAndWarns) {
  const std::string staged = Stage();
  const auto done = mount_.Call(Operation::kUpdate, "activate", Json{{"force", true}});
  ASSERT_THAT(done, IsOk());
  EXPECT_THAT((*done)->warnings, ElementsAre(HasSubstr("did not wait for the grace period: 48h")));
  EXPECT_EQ(Current(), staged);
  EXPECT_EQ(Phase(), "propagating");
}

TEST_F(Staged, ItBecomesCurrentByItselfAfterTheGracePeriod) {
  const std::string staged = Stage();
  mount_.Run(absl::Hours(48) - absl::Minutes(1));
  EXPECT_EQ(Current(), first_);
  mount_.Run(absl::Minutes(1));
  EXPECT_EQ(Current(), staged);
  const Json version = *mount_.Read("versions/3");
  EXPECT_EQ(Text(version.at("operation")), "activate");
  EXPECT_THAT(Text(version.at("reason")), HasSubstr("automatic"));
  EXPECT_EQ(Text(version.at("display_name")), "");
  mount_.Run(absl::Hours(1));
  EXPECT_EQ(mount_.LiveVersion(), 3u);
}

TEST_F(Staged, ItWaitsForTheRequiredAcknowledgements) {
  Config({{"required_acks", "nvcf-api,api-keys"}});
  const std::string staged = Stage();
  Ack("nvcf-api", staged);
  // Of another key: does not count, and says so.
  const auto current = mount_.Call(Operation::kUpdate, "ack",
                                   Json{{"consumer", "api-keys"}, {"kid", JsonText(first_)}});
  EXPECT_THAT((*current)->warnings,
              ElementsAre(base::Cat("kid ", first_, " is the current one; the staged kid ", staged,
                                    " still waits for api-keys")));
  mount_.Run(absl::Hours(49));
  EXPECT_EQ(Current(), first_);
  const Json status = Status();
  EXPECT_EQ(status.at("missing_acks"), Json::array({"api-keys"}));
  EXPECT_THAT(Text(status.at("next_step")),
              HasSubstr(base::Cat("write ack consumer=NAME kid=", staged)));
  Ack("api-keys", staged);
  mount_.Run(absl::Minutes(1));
  EXPECT_EQ(Current(), staged);
}

TEST_F(Staged, AnAcknowledgementOfAnotherKeyTakesNoneAway) {
  Config({{"required_acks", "nvcf-api"}, {"grace_period", "1m"}});
  const std::string staged = Stage();
  Ack("nvcf-api", staged);
  Ack("nvcf-api", first_);
  mount_.Run(absl::Minutes(1));
  EXPECT_EQ(Current(), staged);
}

TEST_F(Staged, APutIsNoWayAroundTheRulesOfActivation) {
  const std::string staged = Stage();
  const mek::Record promoted = *mek::Promote(Record(), staged);
  EXPECT_THAT(mount_.Write("data/encryption/keys/stored_data", Json{{"data", promoted.ToJson()}}),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("write activate")));
  EXPECT_EQ(Current(), first_);
}

TEST_F(Staged, AcknowledgementsAreChecked) {
  const auto unknown = mount_.Call(Operation::kUpdate, "ack",
                                   Json{{"consumer", "nvcf_api"}, {"kid", JsonText(first_)}});
  EXPECT_THAT((*unknown)->warnings, ElementsAre(HasSubstr("does not name nvcf_api")));
  const std::string retained = Record().Kids(mek::Set::kKeys).back();
  EXPECT_THAT(mount_.Write("ack", Json{{"consumer", "x"}, {"kid", JsonText(retained)}}),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("is retained")));
  EXPECT_THAT(mount_.Write("ack", Json{{"consumer", "x y"}, {"kid", JsonText(first_)}}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("A-Z a-z 0-9")));
  EXPECT_THAT(mount_.Write("ack", Json{{"consumer", "x"}, {"kid", "nope"}}),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("list keys")));
  EXPECT_THAT(mount_.Write("ack", Json{{"consumer", "x"}}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("kid is missing")));
}

TEST_F(Staged, AcknowledgementsAreBounded) {
  for (int i = 0; i < 256; ++i) Ack(base::Cat("c", i), first_);
  const auto content = mount_.storage().content();
  EXPECT_THAT(mount_.Write("ack", Json{{"consumer", "x"}, {"kid", JsonText(first_)}}),
              StatusIs(absl::StatusCode::kResourceExhausted,
                       AllOf(HasSubstr("256"), HasSubstr("required_acks"),
                             HasSubstr("Nothing was changed"))));
  EXPECT_EQ(mount_.storage().content(), content);
  // What is acknowledged already can be so again, and another current key makes room.
  Ack("c0", first_);
  ASSERT_THAT(mount_.Write("rotate"), IsOk());
  Ack("x", Current());
}

TEST_F(Staged, ARollbackToBeforeItAbandonsIt) {
  const std::string staged = Stage();
  ASSERT_THAT(mount_.Write("rollback", Json{{"version", 1}}), IsOk());
  EXPECT_EQ(Text(Status().at("staged_kid")), "");
  EXPECT_EQ(Text(mount_.Read(base::Cat("keys/", staged))->at("state")), "retained");
  mount_.Run(absl::Hours(100));
  EXPECT_EQ(Current(), first_);
}

TEST_F(Staged, APutThatKeepsTheKeyKeepsItStaged) {
  const std::string staged = Stage();
  Json record = mount_.Record();
  record["note"] = "a fifth field";
  ASSERT_THAT(mount_.Write("data/encryption/keys/stored_data", Json{{"data", record}}), IsOk());
  EXPECT_EQ(Text(Status().at("staged_kid")), staged);
  ASSERT_THAT(mount_.Put("good_rotated_independent"), IsOk());
  EXPECT_EQ(Text(Status().at("staged_kid")), "");
}

TEST_F(Staged, NoStepOfTheClockShortensTheGracePeriod) {
  const std::string staged = Stage();
  mount_.Run(absl::Hours(1));
  mount_.clock().Step(absl::Hours(24 * 3650));
  mount_.Run(absl::Hours(46));
  EXPECT_EQ(Current(), first_);
  const auto status = mount_.Call(Operation::kRead, "status");
  EXPECT_THAT((*status)->warnings, ::testing::Contains(HasSubstr("clock was set forward by")));
  mount_.clock().Step(-absl::Hours(24 * 7300));
  mount_.Run(absl::Hours(1));
  EXPECT_EQ(Current(), staged);
}

TEST_F(Staged, NeitherDoesARestartNorTheTimeInWhichNothingRan) {
  const std::string staged = Stage();
  mount_.Run(absl::Hours(40));
  mount_.clock().Advance(absl::Hours(30));
  mount_.Restart();
  mount_.Run(absl::Hours(8) - absl::Minutes(1));
  EXPECT_EQ(Current(), first_);
  const auto status = mount_.Call(Operation::kRead, "status");
  EXPECT_THAT((*status)->warnings, ::testing::Contains(HasSubstr("did not run for 30h")));
  mount_.Run(absl::Minutes(2));
  EXPECT_EQ(Current(), staged);
}

class Early : public Staged {
 protected:
  void SetUp() override {
    Staged::SetUp();
    Config({{"activate_early", true}});
    // Who read through standbys before is known only after this.
    mount_.Run(absl::Hours(24));
  }
  // What is listed of the reader with that token; null if it isn't.
  Json Listed(std::string_view accessor) {
    const auto listed = mount_.Call(Operation::kList, "readers");
    EXPECT_THAT(listed, IsOk());
    if (!(*listed)->data.contains("key_info")) return Json();
    for (const Json& info : (*listed)->data.at("key_info")) {
      if (info.contains("accessor") && info.at("accessor") == JsonText(accessor)) return info;
    }
    return Json();
  }
  void Fetch(std::string accessor, std::string address = "10.0.0.1") {
    mount_.set_caller(std::move(accessor), std::move(address));
    mount_.Record();
  }
};

TEST_F(Early, ActivatesOnceEveryKnownReaderHasFetchedTheKey) {
  Fetch("ess");
  Fetch("nvcf-api");
  const std::string staged = Stage();
  mount_.Run(absl::Minutes(1));
  EXPECT_EQ(Status().at("readers_behind"), 2u);
  Fetch("ess");
  mount_.Run(absl::Minutes(31));
  EXPECT_EQ(Current(), first_);
  EXPECT_THAT(Text(Status().at("next_step")), HasSubstr("1 of 2 readers have not fetched"));
  Fetch("nvcf-api");
  mount_.Run(absl::Minutes(29));
  EXPECT_EQ(Status().at("readers_behind"), 0u);
  EXPECT_EQ(Text(Status().at("staged_kid")), staged);
  mount_.Run(absl::Minutes(1));
  EXPECT_EQ(Current(), staged);
}

TEST_F(Early, NeverWithABatchTokenNorWithoutAReader) {
  Stage();
  mount_.Run(absl::Hours(2));
  EXPECT_EQ(Current(), first_);
  Fetch("");
  Fetch("ess");
  mount_.Run(absl::Hours(2));
  EXPECT_EQ(Current(), first_);
  EXPECT_THAT(Text(Status().at("next_step")), HasSubstr("can't be told from others"));
}

TEST_F(Early, AReaderNotSeenForLongCountsNoMore) {
  Fetch("gone");
  mount_.Run(absl::Hours(1));
  const std::string staged = Stage();
  Fetch("ess");
  mount_.Run(absl::Hours(22));
  EXPECT_EQ(Current(), first_);
  Fetch("ess");
  mount_.Run(absl::Hours(2));
  EXPECT_EQ(Current(), staged);
}

TEST_F(Early, ARestartForgetsNoReader) {
  Fetch("ess");
  Fetch("api-keys");
  mount_.Run(absl::Minutes(1));
  Stage();
  mount_.Restart();
  Fetch("ess");
  mount_.Run(absl::Hours(1));
  EXPECT_EQ(Current(), first_);
  EXPECT_EQ((*mount_.Call(Operation::kList, "readers"))->data.at("keys").size(), 2u);
  EXPECT_EQ(Listed("api-keys").at("is_behind"), true);
  EXPECT_EQ(Listed("api-keys").at("version"), 1u);
  EXPECT_EQ(Listed("ess").at("is_behind"), false);
  EXPECT_EQ(Listed("ess").at("version"), 2u);
}

TEST_F(Early, AReadersNameShowsNoAccessor) {
  Fetch("s.accessor-of-a-token");
  const Json listed = (*mount_.Call(Operation::kList, "readers"))->data;
  const std::string name = Text(listed.at("keys").at(0));
  EXPECT_EQ(name.find("accessor"), std::string::npos);
  EXPECT_EQ(name.size(), std::string("0123456789ab@10.0.0.1").size());
}

TEST_F(Early, WaitsUntilTheReadersAreKnownAfterItWasTurnedOn) {
  Config({{"activate_early", false}});
  const std::string staged = Stage();
  Fetch("ess");
  Config({{"activate_early", true}});
  mount_.Run(absl::Hours(12));
  Fetch("ess");
  mount_.Run(absl::Hours(11));
  EXPECT_EQ(Current(), first_);
  Fetch("ess");
  mount_.Run(absl::Hours(2));
  EXPECT_EQ(Current(), staged);
}

TEST_F(Early, AForwardStepOfTheClockIsNoMargin) {
  const std::string staged = Stage();
  Fetch("ess");
  mount_.clock().Step(absl::Hours(2));
  Fetch("ess");
  mount_.Run(absl::Minutes(29));
  EXPECT_EQ(Current(), first_);
  mount_.Run(absl::Minutes(2));
  EXPECT_EQ(Current(), staged);
}

TEST_F(Early, AStandbyPassesReadsOn) {
  mount_.system().standby = true;
  mount_.Restart();
  EXPECT_THAT(mount_.Read("data/encryption/keys/stored_data"),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr("readonly storage")));
}

TEST_F(Staged, AReadCostsNoStorageCallForTheAccountOfReaders) {
  Stage();
  mount_.Record();
  mount_.storage().set_plan([](const FakeStorage::Call&) { return Fault::kNone; });
  mount_.Record();
  EXPECT_EQ(mount_.storage().calls().size(), 0u);
}

TEST_F(Staged, ReadersAreBounded) {
  for (int i = 0; i < 1100; ++i) {
    mount_.set_caller(base::Cat("a", i), "10.0.0.1");
    mount_.clock().Advance(absl::Seconds(1));
    mount_.Record();
  }
  const auto listed = mount_.Call(Operation::kList, "readers");
  EXPECT_EQ((*listed)->data.at("keys").size(), 1000u);
  EXPECT_THAT((*listed)->warnings, ElementsAre(HasSubstr("more than 1000 were seen")));
  std::set<std::string> accessors;
  for (const Json& info : (*listed)->data.at("key_info")) {
    accessors.insert(Text(info.at("accessor")));
  }
  EXPECT_FALSE(accessors.contains("a99"));
  EXPECT_TRUE(accessors.contains("a100"));
}

TEST_F(Staged, AgentsAreToldToComeBackSoonWhileAKeySpreads) {
  const auto envelope = [&] { return *mount_.Read("data/encryption/keys/stored_data"); };
  mount_.Run(absl::Hours(48));
  EXPECT_FALSE(envelope().contains("ttl"));
  Stage();
  EXPECT_EQ(envelope().at("ttl"), 60);
  EXPECT_EQ(envelope().at("rotation_period"), 60);
  mount_.Run(absl::Hours(48));  // activated
  EXPECT_FALSE(envelope().contains("ttl"));
  ASSERT_THAT(mount_.Write("rotate"), IsOk());
  EXPECT_EQ(envelope().at("ttl"), 60);
  mount_.Run(absl::Hours(48));
  EXPECT_FALSE(envelope().contains("ttl"));
}

}  // namespace
}  // namespace testing_support
