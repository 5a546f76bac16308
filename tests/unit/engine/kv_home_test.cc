// The record in a KV v2 secret: every operation there, and every way in which the server, the
// network, our storage or another hand can come in between.
#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/text.h"
#include "mek/document.h"
#include "mek/kid.h"
#include "mek/record.h"
#include "mek/rotation.h"
#include "mek/version_doc.h"
#include "support/fake_kv_server.h"
#include "support/status_matchers.h"
#include "support/test_mount.h"

namespace testing_support {
namespace {

using base::Json;
using openbao::Operation;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::SizeIs;

constexpr char kDataPath[] = "services/all/kv/data/encryption/keys/stored_data";

bool IsWrite(const FakeKvServer::Call& call) {
  return call.method == "POST" && call.path == kDataPath;
}

FakeKvServer::Plan OnWrites(KvFault fault, int times = 1) {
  return [fault, times](const FakeKvServer::Call& call) mutable {
    if (!IsWrite(call) || times == 0) return KvFault::kNone;
    --times;
    return fault;
  };
}

std::set<std::string> KidsOf(const Json& fields) {
  const auto record = mek::Record::Parse(fields);
  EXPECT_THAT(record, IsOk());
  std::set<std::string> kids;
  if (!record.ok()) return kids;
  for (const mek::Set set : mek::kSets) {
    for (const std::string& kid : record->Kids(set)) {
      kids.insert(base::Cat(mek::SetName(set), " ", kid));
    }
  }
  return kids;
}

std::string Text(const Json& object, std::string_view name) {
  const base::JsonString* text = base::FindString(object, name);
  EXPECT_NE(text, nullptr) << name;
  return text == nullptr ? "" : std::string(*text);
}

std::string CurrentKid(const Json& fields) { return Text(fields, "current_kid"); }

// What config/home takes for the secret of that server.
Json HomeAt(const FakeKvServer& server) {
  return Json{{"type", "kv"},
              {"address", base::JsonText(server.address())},
              {"role_id", "role-1"},
              {"secret_id", "secret-1"}};
}

// The record after a rotation by hand, as the runbook does it but without its losses.
Json RotatedByHand(const Json& fields, std::uint64_t seed) {
  SeededRandom random(seed);
  const mek::Record record = *mek::Record::Parse(fields);
  const mek::NewKey key = *mek::GenerateKey(&record, std::nullopt, mek::PrivateJwks::kAuto,
                                            absl::FromUnixSeconds(1'800'000'000), random);
  return mek::Rotate(record, key)->ToJson();
}

class KvHome : public ::testing::Test {
 protected:
  KvHome() { server_.Put(TestMount::RecordOf("good_bootstrapped")); }

  absl::StatusOr<Json> SetHome(const Json& more = Json::object()) {
    Json data = HomeAt(server_);
    data.update(more);
    return mount_.Write("config/home", std::move(data));
  }
  absl::StatusOr<Json> Rotate(Json data = Json::object(), std::string id = "") {
    return mount_.Write("rotate", std::move(data), std::move(id));
  }
  std::string OperationOf(std::uint64_t version) {
    const auto read = mount_.Read(absl::StrCat("versions/", version));
    EXPECT_THAT(read, IsOk());
    return read.ok() ? Text(*read, "operation") : "";
  }
  std::vector<std::string> Versions() {
    std::vector<std::string> versions;
    const auto listed = mount_.Call(openbao::Operation::kList, "versions");
    EXPECT_THAT(listed, IsOk());
    if (!listed.ok()) return versions;
    for (const Json& name : (*listed)->data.at("keys")) {
      versions.emplace_back(name.get_ref<const base::JsonString&>());
    }
    return versions;
  }
  std::string Verified() {
    const auto read = mount_.Read("verify");
    EXPECT_THAT(read, IsOk());
    return read.ok() ? std::string(base::DumpJson(*read)->view()) : "";
  }
  void ExpectVerifies() { EXPECT_THAT(Verified(), HasSubstr(R"("result":"ok")")); }
  // Entries of our storage under a prefix.
  std::vector<std::string> Entries(std::string_view prefix) {
    std::vector<std::string> names;
    for (const auto& [key, value] : mount_.storage().content()) {
      if (key.starts_with(prefix)) names.push_back(key);
    }
    return names;
  }
  void WaitForCall(std::string_view path_part) {
    const absl::Time end = absl::Now() + absl::Seconds(10);
    while (server_.CallsTo(path_part) == 0 && absl::Now() < end) {
      absl::SleepFor(absl::Milliseconds(5));
    }
    EXPECT_GT(server_.CallsTo(path_part), 0) << path_part;
  }
  Json Newest() { return server_.data(server_.current()); }
  absl::StatusOr<Json> Destroy(const std::string& kid) {
    return mount_.Write(base::Cat("destroy-key/", kid), Json{{"confirm", base::JsonText(kid)}});
  }
  // Whether an entry of our storage holds a key of that kid.
  bool HeldInStorage(const std::string& kid) { return HeldInStorage(mount_, kid); }
  static bool HeldInStorage(TestMount& mount, const std::string& kid) {
    for (const auto& [key, value] : mount.storage().content()) {
      if (key == base::Cat("archive/", kid)) return true;
      if (!key.starts_with("versions/") && !key.starts_with("kv/versions/") &&
          !key.starts_with("kv/intents/")) {
        continue;
      }
      const auto doc = mek::VersionDoc::Parse(key, value);
      EXPECT_THAT(doc, IsOk());
      if (!doc.ok() || doc->record.HasKid(kid)) return true;
    }
    return false;
  }

  FakeKvServer server_;
  TestMount mount_;
};

TEST_F(KvHome, AdoptsTheSecretWithItsHistory) {
  const Json first = server_.data(1);
  server_.Put(RotatedByHand(first, 2));
  const auto home = SetHome();
  ASSERT_THAT(home, IsOk());
  EXPECT_EQ(home->at("type"), "kv");
  EXPECT_EQ(home->at("connection"), "ok");
  EXPECT_EQ(home->at("kv_version"), 2);
  EXPECT_THAT(Versions(), ElementsAre("1", "2"));
  EXPECT_EQ(OperationOf(1), "external");
  const auto status = mount_.Read("status");
  ASSERT_THAT(status, IsOk());
  EXPECT_EQ(status->at("home"), "kv");
  EXPECT_EQ(status->at("version"), 2);
  EXPECT_EQ(Text(*status, "previous_kid"), CurrentKid(first));
  EXPECT_EQ(CurrentKid(mount_.Record()), CurrentKid(server_.data(2)));
  EXPECT_EQ(server_.current(), 2u);  // adopting writes nothing there
  ExpectVerifies();
}

TEST_F(KvHome, EachChangeIsOneVersionOfTheSecret) {
  ASSERT_THAT(SetHome(), IsOk());
  const auto rotated = Rotate();
  ASSERT_THAT(rotated, IsOk());
  EXPECT_EQ(rotated->at("version"), 2);
  EXPECT_EQ(server_.current(), 2u);
  EXPECT_EQ(CurrentKid(server_.data(2)), Text(*rotated, "current_kid"));
  EXPECT_THAT(KidsOf(server_.data(2)), SizeIs(4));
  EXPECT_EQ(OperationOf(2), "rotate");

  const auto staged = Rotate(Json{{"activation", "staged"}});
  ASSERT_THAT(staged, IsOk());
  EXPECT_EQ(server_.current(), 3u);
  EXPECT_EQ(CurrentKid(server_.data(3)), CurrentKid(server_.data(2)));
  ASSERT_THAT(mount_.Write("activate", Json{{"force", true}}), IsOk());
  EXPECT_EQ(server_.current(), 4u);
  EXPECT_EQ(CurrentKid(server_.data(4)), Text(*staged, "staged_kid"));

  ASSERT_THAT(mount_.Write("rollback", Json{{"version", 1}}), IsOk());
  EXPECT_EQ(CurrentKid(server_.data(5)), CurrentKid(server_.data(1)));
  EXPECT_THAT(KidsOf(server_.data(5)), SizeIs(6));
  const std::string kid = CurrentKid(server_.data(2));
  ASSERT_THAT(mount_.Write(base::Cat("keys/", kid, "/retire")), IsOk());
  EXPECT_THAT(KidsOf(server_.data(6)), SizeIs(4));
  ASSERT_THAT(mount_.Write(base::Cat("keys/", kid, "/restore")), IsOk());
  EXPECT_THAT(KidsOf(server_.data(7)), SizeIs(6));
  ASSERT_THAT(mount_.Write("data/encryption/keys/stored_data",
                           Json{{"data", server_.data(4)}, {"options", {{"cas", 7}}}}),
              IsOk());
  EXPECT_EQ(server_.data(8), server_.data(4));
  EXPECT_EQ(server_.current(), 8u);
  EXPECT_THAT(Versions(), ElementsAre("1", "2", "3", "4", "5", "6", "7", "8"));
  EXPECT_THAT(Entries("kv/intents/"), SizeIs(0));
  ExpectVerifies();
  for (const char* refused : {"rollback", "activate", "init"}) {
    EXPECT_FALSE(mount_.Write(refused).ok());
  }
  EXPECT_THAT(Rotate(Json{{"dry_run", true}}), IsOk());
  EXPECT_EQ(server_.current(), 8u);
}

TEST_F(KvHome, AFreshRecordIsMadeInAnEmptySecret) {
  server_.DeleteAll();
  ASSERT_THAT(SetHome(), IsOk());
  // A mistyped path looks the same.
  EXPECT_THAT((*mount_.Call(Operation::kRead, "config/home"))->warnings,
              ::testing::Contains(
                  AllOf(HasSubstr("there is no secret at"), HasSubstr("check mount and path"))));
  EXPECT_EQ(mount_.Read("status")->at("home"), "kv");
  ASSERT_THAT(mount_.Write("init"), IsOk());
  EXPECT_EQ(server_.current(), 1u);
  EXPECT_THAT(KidsOf(server_.data(1)), SizeIs(2));
  ExpectVerifies();
}

// Under a running process, which has the live version whole in memory.
TEST_F(KvHome, ALiveVersionThatWasChangedInStorageIsNotMoved) {
  server_.DeleteAll();
  ASSERT_THAT(mount_.Write("init"), IsOk());
  ASSERT_THAT(Rotate(), IsOk());
  FakeStorage& storage = mount_.storage();
  const std::vector<std::string> versions = Entries("versions/");
  ASSERT_THAT(versions, SizeIs(2));
  storage.Set(versions[1], storage.content().at(versions[0]));
  EXPECT_THAT(SetHome(), StatusIs(absl::StatusCode::kDataLoss, HasSubstr("changed in storage")));
  EXPECT_EQ(server_.current(), 0u);
  EXPECT_EQ(mount_.Read("status")->at("home"), "mount");
  // As verify says: a rotation makes a version that is whole.
  ASSERT_THAT(Rotate(), IsOk());
  ASSERT_THAT(SetHome(), IsOk());
  EXPECT_EQ(server_.current(), 1u);
}

// A rotation that meets one fault at the write, and is sent again by the host with the same id,
// rotates exactly once.
TEST_F(KvHome, NoFaultOfTheWriteRotatesTwice) {
  ASSERT_THAT(SetHome(), IsOk());
  std::uint64_t version = 1;
  for (const auto& [fault, landed] :
       {std::pair{KvFault::kLostBefore, false}, std::pair{KvFault::kLostAfter, true},
        std::pair{KvFault::kErrorBefore, false}, std::pair{KvFault::kErrorAfter, true},
        std::pair{KvFault::kSealed, false}, std::pair{KvFault::kGarbage, false},
        std::pair{KvFault::kCut, true}, std::pair{KvFault::kForbidden, true},
        std::pair{KvFault::kRedirectAfter, true}, std::pair{KvFault::kConflictAfter, true},
        std::pair{KvFault::kLate, true}}) {
    for (const bool restarts : {false, true}) {
      SCOPED_TRACE(absl::StrCat("fault ", static_cast<int>(fault), restarts ? ", restart" : ""));
      const std::string id = absl::StrCat("id-", version);
      mount_.clock().Advance(absl::Minutes(1));  // a 403 leads to a login once a minute
      server_.set_plan(OnWrites(fault));
      const auto first = Rotate(Json::object(), id);
      server_.set_plan(nullptr);
      if (fault == KvFault::kLate) server_.DeliverLate();
      if (landed && fault != KvFault::kLate) {
        EXPECT_THAT(first, IsOk());  // a 403 by the one new login
      } else {
        EXPECT_THAT(first, StatusIs(absl::StatusCode::kUnavailable,
                                    HasSubstr(absl::StrCat("try again with cas=", version))));
      }
      if (restarts) mount_.Restart();
      const auto second = Rotate(Json::object(), id);
      ASSERT_THAT(second, IsOk());
      ++version;
      EXPECT_EQ(second->at("version"), version);
      EXPECT_EQ(server_.current(), version);
      EXPECT_EQ(OperationOf(version), "rotate");
      if (first.ok()) {
        EXPECT_EQ(first->at("current_kid"), second->at("current_kid"));
      }
      EXPECT_EQ(CurrentKid(Newest()), Text(*second, "current_kid"));
      EXPECT_THAT(KidsOf(Newest()), SizeIs(2 * version));
    }
  }
  ASSERT_THAT(mount_.Tick(), IsOk());
  EXPECT_THAT(Entries("kv/intents/"), SizeIs(0));
  ExpectVerifies();
}

TEST_F(KvHome, ALateWriteIsKnownForWhatItIs) {
  ASSERT_THAT(SetHome(), IsOk());
  std::uint64_t version = 1;
  // It lands before the next request reads, or between its read and its write.
  for (const bool races : {false, true}) {
    SCOPED_TRACE(races);
    const std::string late = absl::StrCat("late-", version);
    server_.set_plan(OnWrites(KvFault::kLate));
    EXPECT_FALSE(Rotate(Json{{"reason", "the late one"}}, late).ok());
    if (!races) server_.DeliverLate();
    server_.set_plan(OnWrites(races ? KvFault::kLateFirst : KvFault::kNone));
    const auto other = Rotate(Json{{"reason", "the other"}});
    ASSERT_THAT(other, IsOk());
    version += 2;
    EXPECT_EQ(other->at("version"), version);
    EXPECT_EQ(server_.current(), version);
    const auto landed = mount_.Read(absl::StrCat("versions/", version - 1));
    ASSERT_THAT(landed, IsOk());
    EXPECT_EQ(Text(*landed, "operation"), "rotate");
    EXPECT_EQ(Text(*landed, "reason"), "the late one");
    EXPECT_EQ(Rotate(Json::object(), late)->at("version"), version - 1);
    EXPECT_EQ(server_.current(), version);
  }
  EXPECT_THAT(Entries("kv/intents/"), SizeIs(0));
}

// The same for the late one's own replay, which meets it at the write.
// It may have been that version once, and read: until the server was restored from a snapshot.
TEST_F(KvHome, AWriteWithoutAnAnswerThatLostItsVersionLeavesItsKeyInTheArchive) {
  ASSERT_THAT(SetHome(), IsOk());
  server_.set_plan(OnWrites(KvFault::kLate));
  EXPECT_FALSE(Rotate().ok());
  server_.set_plan(nullptr);
  const auto intents = Entries("kv/intents/");
  ASSERT_THAT(intents, SizeIs(1));
  const auto content = mount_.storage().content();
  const auto doc = mek::VersionDoc::Parse("the intent", content.at(intents.front()));
  ASSERT_THAT(doc, IsOk());
  server_.Put(RotatedByHand(server_.data(1), 6));
  ASSERT_THAT(mount_.Tick(), IsOk());
  EXPECT_THAT(Entries("kv/intents/"), SizeIs(0));
  EXPECT_THAT(Entries("archive/"), ElementsAre(base::Cat("archive/", doc->record.current_kid())));
  ExpectVerifies();
}

TEST_F(KvHome, AReplayThatMeetsItsOwnLateWriteRotatesOnce) {
  ASSERT_THAT(SetHome(), IsOk());
  for (const bool with_cas : {false, true}) {
    const std::uint64_t version = server_.current();
    Json data = Json::object();
    if (with_cas) data["cas"] = version;
    server_.set_plan(OnWrites(KvFault::kLate));
    const std::string id = absl::StrCat("id-", version);
    EXPECT_FALSE(Rotate(data, id).ok());
    server_.set_plan(OnWrites(KvFault::kLateFirst));
    const auto replayed = Rotate(data, id);
    ASSERT_THAT(replayed, IsOk());
    EXPECT_EQ(replayed->at("version"), version + 1);
    EXPECT_EQ(server_.current(), version + 1);
    EXPECT_EQ(CurrentKid(Newest()), Text(*replayed, "current_kid"));
  }
}

// The death of the process at each call to our storage, before and after its effect.
TEST_F(KvHome, ACrashAtAnyStorageCallIsMadeGoodByTheReplay) {
  ASSERT_THAT(SetHome(), IsOk());
  std::uint64_t version = 1;
  int points = 0;
  for (const Fault fault : {Fault::kCrashBefore, Fault::kCrashAfter, Fault::kErrorBefore,
                            Fault::kErrorAfter, Fault::kLostAfter}) {
    for (int n = 1;; ++n) {
      SCOPED_TRACE(absl::StrCat("fault ", static_cast<int>(fault), " at call ", n));
      const std::string id = absl::StrCat("id-", ++points);
      bool reached = false;
      mount_.storage().set_plan([&](const FakeStorage::Call& call) {
        if (call.number != n) return Fault::kNone;
        reached = true;
        return fault;
      });
      try {
        Rotate(Json::object(), id).status().IgnoreError();
      } catch (const Crash&) {
      }
      mount_.storage().set_plan(nullptr);
      mount_.Restart();
      const auto replayed = Rotate(Json::object(), id);
      ASSERT_THAT(replayed, IsOk());
      ++version;
      EXPECT_EQ(replayed->at("version"), version);
      EXPECT_EQ(server_.current(), version);
      EXPECT_EQ(CurrentKid(Newest()), Text(*replayed, "current_kid"));
      EXPECT_EQ(OperationOf(version), "rotate");
      if (!reached) break;
    }
  }
  EXPECT_GE(points, 5 * 7);
  ASSERT_THAT(mount_.Tick(), IsOk());
  EXPECT_THAT(Entries("kv/intents/"), SizeIs(0));
  EXPECT_THAT(KidsOf(Newest()), SizeIs(2 * version));
  ExpectVerifies();
}

TEST_F(KvHome, AChangeByHandIsRespectedAndShown) {
  ASSERT_THAT(SetHome(), IsOk());
  ASSERT_THAT(Rotate(Json{{"activation", "staged"}}), IsOk());
  const Json by_hand = RotatedByHand(Newest(), 3);
  server_.Put(by_hand);
  EXPECT_EQ(CurrentKid(mount_.Record()), CurrentKid(by_hand));
  EXPECT_EQ(OperationOf(3), "external");
  // What is staged stays staged.
  EXPECT_NE(Text(*mount_.Read("status"), "staged_kid"), "");
  ASSERT_THAT(mount_.Write("activate", Json{{"force", true}}), IsOk());
  EXPECT_EQ(server_.current(), 4u);
  EXPECT_THAT(KidsOf(Newest()), SizeIs(6));
  EXPECT_THAT(Versions(), ElementsAre("1", "2", "3", "4"));
  EXPECT_EQ(OperationOf(3), "external");
  ExpectVerifies();
}

TEST_F(KvHome, AChangeByHandInTheMiddleOfOursIsNotOverwritten) {
  ASSERT_THAT(SetHome(), IsOk());
  const Json by_hand = RotatedByHand(Newest(), 3);
  server_.set_hand(by_hand);
  server_.set_plan(OnWrites(KvFault::kRace));
  EXPECT_THAT(Rotate(Json{{"cas", 1}}),
              StatusIs(absl::StatusCode::kAborted, HasSubstr("changed by hand meanwhile")));
  EXPECT_EQ(server_.current(), 2u);
  // Without a cas it is tried again, over the other's.
  server_.set_hand(RotatedByHand(Newest(), 4));
  server_.set_plan(OnWrites(KvFault::kRace));
  const auto rotated = Rotate();
  ASSERT_THAT(rotated, IsOk());
  EXPECT_EQ(rotated->at("version"), 4);
  EXPECT_THAT(KidsOf(Newest()), SizeIs(8));
  EXPECT_EQ(OperationOf(2), "external");
  EXPECT_EQ(OperationOf(3), "external");
  // Again and again is given up.
  server_.set_hand(RotatedByHand(Newest(), 5));
  server_.set_plan(OnWrites(KvFault::kRace, 100));
  EXPECT_THAT(Rotate(), StatusIs(absl::StatusCode::kAborted, HasSubstr("read status")));
  EXPECT_THAT(Entries("kv/intents/"), SizeIs(0));
  ExpectVerifies();
}

TEST_F(KvHome, KeysThatAnotherHandDropsCanComeBack) {
  ASSERT_THAT(SetHome(), IsOk());
  ASSERT_THAT(Rotate(), IsOk());
  const auto before = KidsOf(Newest());
  server_.Put(TestMount::RecordOf("good_bootstrapped"));  // as NVCF's migration job does
  ASSERT_THAT(mount_.Tick(), IsOk());
  const std::string lost = CurrentKid(server_.data(2));
  EXPECT_THAT(
      Verified(),
      AllOf(HasSubstr(R"("result":"fail")"),
            HasSubstr(base::Cat("another hand took kid ", lost, " out of keys with version 3"))));
  const auto status = mount_.Call(Operation::kRead, "status");
  ASSERT_THAT(status, IsOk());
  EXPECT_THAT((*status)->warnings, ::testing::Contains(HasSubstr("write repair")));
  EXPECT_THAT(Text((*status)->data, "next_step"), HasSubstr(base::Cat("took kid ", lost)));
  EXPECT_EQ(Text(*mount_.Read(base::Cat("keys/", lost)), "left_because"), "external");
  const auto repaired = mount_.Write("repair");
  ASSERT_THAT(repaired, IsOk());
  EXPECT_EQ(repaired->at("added"), (Json{base::JsonText(base::Cat("keys ", lost)),
                                         base::JsonText(base::Cat("private_jwks ", lost))}));
  EXPECT_EQ(CurrentKid(Newest()), CurrentKid(server_.data(3)));  // who is current stays
  EXPECT_EQ(KidsOf(Newest()), before);
  EXPECT_EQ(OperationOf(4), "repair");
  ExpectVerifies();
  EXPECT_THAT(mount_.Write("repair"), StatusIs(absl::StatusCode::kFailedPrecondition,
                                               HasSubstr("there is nothing to repair")));
  // A rollback brings them back as well, and makes the earlier current key so again.
  server_.Put(TestMount::RecordOf("good_bootstrapped"));
  ASSERT_THAT(mount_.Write("rollback", Json{{"version", 2}}), IsOk());
  EXPECT_EQ(KidsOf(Newest()), before);
  EXPECT_EQ(CurrentKid(Newest()), lost);
  ExpectVerifies();
}

// A key that went by hand and is not wanted back: restored and retired by name.
TEST_F(KvHome, WhatAnotherHandTookOutCanBeLeftOutForGood) {
  ASSERT_THAT(SetHome(), IsOk());
  ASSERT_THAT(Rotate(), IsOk());
  const std::string lost = CurrentKid(Newest());
  server_.Put(server_.data(1));
  // Seen at once, before any tick.
  EXPECT_THAT(mount_.Write("repair", Json{{"dry_run", true}}), IsOk());
  EXPECT_EQ(server_.current(), 3u);
  ASSERT_THAT(mount_.Tick(), IsOk());
  ASSERT_THAT(mount_.Write(base::Cat("keys/", lost, "/restore")), IsOk());
  ExpectVerifies();
  ASSERT_THAT(mount_.Write(base::Cat("keys/", lost, "/retire")), IsOk());
  ExpectVerifies();
  EXPECT_THAT(mount_.Write("repair"), StatusIs(absl::StatusCode::kFailedPrecondition,
                                               HasSubstr("there is nothing to repair")));
  EXPECT_THAT(mount_.Write("repair", Json{{"version", 2}}),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("taken out here")));
}

TEST_F(KvHome, VersionsThatTheSecretHasPrunedCanBeGoneBackTo) {
  server_.set_max_versions(2);
  const std::string first = CurrentKid(Newest());
  ASSERT_THAT(SetHome(), IsOk());
  for (int i = 0; i < 4; ++i) ASSERT_THAT(Rotate(), IsOk());
  EXPECT_TRUE(server_.data(1).is_null());
  EXPECT_THAT(Versions(), ElementsAre("1", "2", "3", "4", "5"));
  ASSERT_THAT(mount_.Write("rollback", Json{{"version", 1}}), IsOk());
  EXPECT_EQ(CurrentKid(Newest()), first);
  EXPECT_THAT(KidsOf(Newest()), SizeIs(10));
  ExpectVerifies();
}

TEST_F(KvHome, PrunedCopiesAreNotFetchedAgain) {
  ASSERT_THAT(SetHome(), IsOk());
  ASSERT_THAT(mount_.Write("config", Json{{"max_versions", 2}}), IsOk());
  for (int i = 0; i < 4; ++i) ASSERT_THAT(Rotate(), IsOk());
  for (int i = 0; i < 2; ++i) {
    ASSERT_THAT(mount_.Tick(), IsOk());
    EXPECT_THAT(Entries("kv/versions/"),
                ElementsAre("kv/versions/0000000004", "kv/versions/0000000005"));
  }
}

TEST_F(KvHome, WhatIsNoRecordIsLeftAloneWithTheReason) {
  ASSERT_THAT(SetHome(), IsOk());
  ASSERT_THAT(Rotate(), IsOk());
  server_.Put(Json{{"current_kid", "x"}});
  for (const char* path : {"rotate", "keys/x/retire"}) {
    EXPECT_THAT(mount_.Write(path),
                StatusIs(absl::StatusCode::kFailedPrecondition,
                         AllOf(HasSubstr("version 3 of the KV secret"),
                               HasSubstr("no valid record"), HasSubstr("bao kv rollback"))));
  }
  EXPECT_EQ(server_.current(), 3u);
  EXPECT_THAT(Verified(), HasSubstr(R"("result":"fail")"));
  server_.Put(server_.data(2));
  ASSERT_THAT(Rotate(), IsOk());
  EXPECT_EQ(server_.current(), 5u);
  EXPECT_THAT(Verified(), HasSubstr("version 3 was deleted in the KV secret, or was no record"));
}

TEST_F(KvHome, ADeletedSecretFailsClosedAndSaysWhatToDo) {
  ASSERT_THAT(SetHome(), IsOk());
  ASSERT_THAT(Rotate(), IsOk());
  const Json newest = Newest();
  server_.Delete(2, /*destroy=*/false);
  EXPECT_THAT(Rotate(), StatusIs(absl::StatusCode::kFailedPrecondition,
                                 HasSubstr("bao kv undelete -versions=2")));
  server_.Delete(2, /*destroy=*/true);
  EXPECT_THAT(Rotate(), StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("destroyed")));
  server_.DeleteAll();
  EXPECT_THAT(mount_.Write("init"),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("the KV secret is gone")));
  EXPECT_THAT(mount_.Write("config/home", Json{{"type", "mount"}}),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("force=true")));
  ASSERT_THAT(mount_.Write("config/home", Json{{"type", "mount"}, {"force", true}}), IsOk());
  EXPECT_EQ(KidsOf(mount_.Record()), KidsOf(newest));
  EXPECT_EQ(mount_.LiveVersion(), 1u);
  ExpectVerifies();
}

TEST_F(KvHome, ASecretMadeAnewIsAdoptedAndTheOldKeysAreKept) {
  ASSERT_THAT(SetHome(), IsOk());
  ASSERT_THAT(Rotate(), IsOk());
  const std::string second = CurrentKid(Newest());
  const Json first = server_.data(1);
  server_.DeleteAll();
  server_.Put(first);
  ASSERT_THAT(mount_.Tick(), IsOk());
  EXPECT_THAT(Versions(), ElementsAre("1"));
  EXPECT_EQ(Text(*mount_.Read(base::Cat("keys/", second)), "state"), "retired");
  ASSERT_THAT(mount_.Write(base::Cat("keys/", second, "/restore")), IsOk());
  EXPECT_EQ(server_.current(), 2u);
  EXPECT_THAT(KidsOf(Newest()), SizeIs(4));
  ExpectVerifies();
}

// Whose first version has the number of one that went with a destroyed key.
TEST_F(KvHome, ASecretMadeAnewForgetsNoMarkAndNoKey) {
  ASSERT_THAT(SetHome(), IsOk());
  const Json first = server_.data(1);
  const std::string destroyed = CurrentKid(first);
  ASSERT_THAT(Rotate(), IsOk());
  ASSERT_THAT(Destroy(destroyed), IsOk());
  server_.DeleteAll();
  const Json fresh = RotatedByHand(first, 8);
  server_.Put(fresh);
  server_.Put(first);
  ASSERT_THAT(mount_.Tick(), IsOk());
  EXPECT_THAT(Versions(), ElementsAre("1", "2"));
  EXPECT_EQ(Text(*mount_.Read(base::Cat("keys/", destroyed)), "state"), "destroyed");
  EXPECT_THAT(Verified(), HasSubstr("was destroyed, and another hand has put it back"));
  // The one that was there between the two is known.
  EXPECT_EQ(Text(*mount_.Read(base::Cat("keys/", CurrentKid(fresh))), "left_because"), "external");
}

// It was retired here once, which is no reason for another hand to take it out again.
TEST_F(KvHome, AKeyThatWasRestoredAndIsNotInTheSecretMadeAnewIsMissed) {
  ASSERT_THAT(SetHome(), IsOk());
  const std::string kid = CurrentKid(Newest());
  for (int i = 0; i < 2; ++i) ASSERT_THAT(Rotate(), IsOk());
  ASSERT_THAT(mount_.Write(base::Cat("keys/", kid, "/retire")), IsOk());
  const Json without = Newest();
  ASSERT_THAT(mount_.Write(base::Cat("keys/", kid, "/restore")), IsOk());
  const auto before = KidsOf(Newest());
  server_.DeleteAll();
  server_.Put(without);
  ASSERT_THAT(mount_.Tick(), IsOk());
  EXPECT_THAT(
      Verified(),
      AllOf(HasSubstr(R"("result":"fail")"),
            HasSubstr(base::Cat("another hand took kid ", kid, " out of keys with version 1"))));
  EXPECT_THAT(Text(*mount_.Read("status"), "next_step"), HasSubstr(base::Cat("took kid ", kid)));
  const auto repaired = mount_.Write("repair");
  ASSERT_THAT(repaired, IsOk());
  EXPECT_EQ(repaired->at("added"), (Json{base::JsonText(base::Cat("keys ", kid)),
                                         base::JsonText(base::Cat("private_jwks ", kid))}));
  EXPECT_EQ(KidsOf(Newest()), before);
  ExpectVerifies();
}

// Retired it stays so, whatever the secret holds.
TEST_F(KvHome, AKeyThatIsRetiredIsNotMissedInASecretMadeAnew) {
  ASSERT_THAT(SetHome(), IsOk());
  const std::string kid = CurrentKid(Newest());
  ASSERT_THAT(Rotate(), IsOk());
  ASSERT_THAT(mount_.Write(base::Cat("keys/", kid, "/retire")), IsOk());
  const Json without = Newest();
  server_.DeleteAll();
  server_.Put(without);
  ASSERT_THAT(mount_.Tick(), IsOk());
  EXPECT_EQ(Text(*mount_.Read(base::Cat("keys/", kid)), "left_because"), "retired");
  ExpectVerifies();
}

// Nor if it was retired while the mount was the home: what the KV secret holds is older.
TEST_F(KvHome, AKeyThatIsRetiredInTheMountIsNotMissedInTheSecret) {
  for (const bool is_anew : {false, true}) {
    for (const bool holds_it : {false, true}) {
      SCOPED_TRACE(absl::StrCat("made anew ", is_anew, ", holds it ", holds_it));
      FakeKvServer server;
      server.Put(TestMount::RecordOf("good_bootstrapped"));
      TestMount mount;
      Json home = HomeAt(server);
      ASSERT_THAT(mount.Write("config/home", home), IsOk());
      const std::string kid = CurrentKid(server.data(1));
      ASSERT_THAT(mount.Write("rotate"), IsOk());
      const Json backup = server.data(2);
      ASSERT_THAT(mount.Write("config/home", Json{{"type", "mount"}}), IsOk());
      ASSERT_THAT(mount.Write(base::Cat("keys/", kid, "/retire")), IsOk());
      const Json without = mount.Record();
      if (is_anew) server.DeleteAll();
      server.Put(holds_it ? backup : without);
      if (holds_it) {
        EXPECT_THAT(mount.Write("config/home", home),
                    StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("take=mount")));
        home["take"] = "mount";
      }
      ASSERT_THAT(mount.Write("config/home", home), IsOk());
      ASSERT_THAT(mount.Tick(), IsOk());
      EXPECT_EQ(server.data(server.current()), without);
      EXPECT_EQ(Text(*mount.Read(base::Cat("keys/", kid)), "left_because"), "retired");
      EXPECT_EQ(mount.Read("verify")->at("result"), "ok");
    }
  }
}

TEST_F(KvHome, ASecretMadeAnewIsKnownForThatWhateverItsVersion) {
  ASSERT_THAT(SetHome(), IsOk());
  const Json first = server_.data(1);
  ASSERT_THAT(Rotate(), IsOk());
  const std::string second = CurrentKid(Newest());
  server_.DeleteAll();
  server_.Put(first);
  server_.Put(RotatedByHand(first, 7));
  server_.Put(RotatedByHand(first, 8));
  ASSERT_THAT(mount_.Tick(), IsOk());
  EXPECT_THAT(Versions(), ElementsAre("1", "2", "3"));
  EXPECT_EQ(OperationOf(2), "external");
  EXPECT_EQ(Text(*mount_.Read(base::Cat("keys/", second)), "state"), "retired");
}

// Until the secret that was made anew holds a record, what is known of the one before is all there
// is.
TEST_F(KvHome, ASecretMadeAnewWithoutARecordTakesNothingAway) {
  const Json no_record{{"current_kid", "x"}};
  for (const bool deletes : {false, true}) {
    for (const bool mends : {false, true}) {
      SCOPED_TRACE(absl::StrCat("deletes ", deletes, ", mends ", mends));
      FakeKvServer server;
      server.Put(TestMount::RecordOf("good_bootstrapped"));
      TestMount mount;
      ASSERT_THAT(mount.Write("config/home", HomeAt(server)), IsOk());
      const std::string destroyed = CurrentKid(server.data(1));
      ASSERT_THAT(mount.Write("rotate"), IsOk());
      ASSERT_THAT(mount.Write(base::Cat("destroy-key/", destroyed),
                              Json{{"confirm", base::JsonText(destroyed)}}),
                  IsOk());
      const Json before = server.data(server.current());
      server.DeleteAll();
      server.Put(deletes ? before : no_record);
      if (deletes) server.Delete(1, /*destroy=*/false);
      EXPECT_FALSE(mount.Tick().ok());
      // The next one has nothing to write any more.
      int writes = 0;
      mount.storage().set_plan([&](const FakeStorage::Call& call) {
        if (call.name == "put" && call.key.starts_with("archive/")) ++writes;
        return Fault::kNone;
      });
      EXPECT_FALSE(mount.Tick().ok());
      mount.storage().set_plan(nullptr);
      EXPECT_EQ(writes, 0);
      if (mends) {
        const Json mended = RotatedByHand(TestMount::RecordOf("good_bootstrapped"), 8);
        server.Put(mended);
        ASSERT_THAT(mount.Tick(), IsOk());
        EXPECT_EQ(Text(*mount.Read("status"), "current_kid"), CurrentKid(mended));
        EXPECT_EQ(Text(*mount.Read(base::Cat("keys/", CurrentKid(before))), "left_because"),
                  "external");
      } else {
        EXPECT_THAT(mount.Write("config/home", Json{{"type", "mount"}}),
                    StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("force=true")));
        ASSERT_THAT(mount.Write("config/home", Json{{"type", "mount"}, {"force", true}}), IsOk());
        EXPECT_EQ(KidsOf(mount.Record()), KidsOf(before));
        EXPECT_EQ(mount.Read("verify")->at("result"), "ok");
      }
      EXPECT_EQ(Text(*mount.Read(base::Cat("keys/", destroyed)), "state"), "destroyed");
    }
  }
}

// A reader takes a key for newer by its kid's time.
TEST_F(KvHome, TheFirstKeyOfAFreshRecordIsLaterThanEachArchivedOne) {
  server_.Put(RotatedByHand(RotatedByHand(Newest(), 2), 3));
  const std::string latest = CurrentKid(Newest());
  server_.Put(Json{{"current_kid", "x"}});
  EXPECT_FALSE(SetHome().ok());
  server_.DeleteAll();
  ASSERT_THAT(SetHome(), IsOk());
  EXPECT_THAT(Entries(base::Cat("archive/", latest)), SizeIs(1));
  ASSERT_THAT(mount_.Write("init"), IsOk());
  EXPECT_GE(*mek::UuidV1Time(CurrentKid(Newest())) - *mek::UuidV1Time(latest),
            absl::Milliseconds(1));
}

TEST_F(KvHome, AStandbyThatLagsBehindTakesNothingAway) {
  ASSERT_THAT(SetHome(), IsOk());
  ASSERT_THAT(Rotate(Json::object(), "id-1"), IsOk());
  const auto before = mount_.storage().content();
  server_.set_plan([](const FakeKvServer::Call& call) {
    return call.path.find("/metadata/") != std::string::npos ? KvFault::kStale : KvFault::kNone;
  });
  EXPECT_THAT(Rotate(), StatusIs(absl::StatusCode::kUnavailable, HasSubstr("lags behind")));
  EXPECT_FALSE(mount_.Tick().ok());
  server_.set_plan(nullptr);
  EXPECT_TRUE(before == mount_.storage().content());
  const auto replayed = Rotate(Json::object(), "id-1");
  ASSERT_THAT(replayed, IsOk());
  EXPECT_EQ(replayed->at("version"), 2);
  EXPECT_EQ(server_.current(), 2u);
}

// As behind a load balancer, where one request gets to another node than the next.
FakeKvServer::Plan StaleReads(std::string_view of = "/data/") {
  return [of = std::string(of)](const FakeKvServer::Call& call) {
    return call.method == "GET" && call.path.find(of) != std::string::npos ? KvFault::kStale
                                                                           : KvFault::kNone;
  };
}

TEST_F(KvHome, OldDataUnderNewMetadataIsNotTheRecord) {
  ASSERT_THAT(SetHome(), IsOk());
  const std::string first = CurrentKid(Newest());
  ASSERT_THAT(Rotate(), IsOk());
  const auto before = mount_.storage().content();
  server_.set_plan(StaleReads());
  EXPECT_THAT(Rotate(), StatusIs(absl::StatusCode::kUnavailable, HasSubstr("lags behind")));
  EXPECT_THAT(mount_.Write("config/home", Json{{"type", "mount"}}),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr("lags behind")));
  EXPECT_TRUE(before == mount_.storage().content());
  server_.set_plan(nullptr);
  EXPECT_EQ(mount_.Read("status")->at("home"), "kv");

  // The destruction is written by the active node, and then read from one that lags.
  int writes = 0;
  server_.set_plan([&, stale = StaleReads()](const FakeKvServer::Call& call) {
    writes += IsWrite(call) ? 1 : 0;
    return writes > 0 ? stale(call) : KvFault::kNone;
  });
  const auto destroyed = mount_.Call(Operation::kUpdate, base::Cat("destroy-key/", first),
                                     Json{{"confirm", base::JsonText(first)}});
  ASSERT_THAT(destroyed, IsOk());
  EXPECT_THAT((*destroyed)->warnings, ::testing::Contains(HasSubstr("not yet out of every")));
  EXPECT_THAT(Entries("destroying"), SizeIs(1));
  server_.set_plan(nullptr);
  ASSERT_THAT(mount_.Tick(), IsOk());
  EXPECT_THAT(Entries("destroying"), SizeIs(0));
  EXPECT_FALSE(HeldInStorage(first));
  ExpectVerifies();
}

TEST_F(KvHome, AVersionThatAStandbyDoesNotHaveYetIsNotAbandoned) {
  ASSERT_THAT(SetHome(), IsOk());
  server_.set_plan(OnWrites(KvFault::kLate));
  EXPECT_THAT(Rotate(Json{{"activation", "staged"}}, "id-1"),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr("try again")));
  server_.set_plan(nullptr);
  server_.DeliverLate();
  server_.set_plan(StaleReads("version=2"));
  EXPECT_THAT(mount_.Tick(), StatusIs(absl::StatusCode::kUnavailable, HasSubstr("lags behind")));
  server_.set_plan(nullptr);
  ASSERT_THAT(mount_.Tick(), IsOk());
  EXPECT_EQ(OperationOf(2), "stage");
  EXPECT_NE(Text(*mount_.Read("status"), "staged_kid"), "");
  EXPECT_EQ(Rotate(Json{{"activation", "staged"}}, "id-1")->at("version"), 2);
  EXPECT_THAT(Entries("archive/"), SizeIs(0));
}

TEST_F(KvHome, AServerWithoutTheMountSaysNothingOfTheSecret) {
  server_.set_plan([](const FakeKvServer::Call& call) {
    return call.path.starts_with("services/") ? KvFault::kNoRoute : KvFault::kNone;
  });
  EXPECT_THAT(SetHome(), StatusIs(absl::StatusCode::kFailedPrecondition,
                                  HasSubstr("answered 404, no handler for route")));
  EXPECT_EQ(mount_.Read("status")->at("home"), "mount");
}

TEST_F(KvHome, AVersionThatWasOursAndIsDestroyedByHandLosesNoKey) {
  ASSERT_THAT(SetHome(), IsOk());
  const Json first = Newest();
  server_.set_plan(OnWrites(KvFault::kDestroyedAfter));
  EXPECT_THAT(Rotate(), StatusIs(absl::StatusCode::kUnavailable, HasSubstr("not known whether")));
  server_.set_plan(nullptr);
  EXPECT_EQ(server_.current(), 2u);
  server_.Put(first);
  ASSERT_THAT(mount_.Tick(), IsOk());
  std::vector<std::string> made;
  for (const std::string& entry : Entries("archive/")) {
    if (entry.substr(8) != CurrentKid(first)) made.push_back(entry.substr(8));
  }
  ASSERT_THAT(made, SizeIs(1));
  ASSERT_THAT(mount_.Write(base::Cat("keys/", made[0], "/restore")), IsOk());
  EXPECT_THAT(KidsOf(Newest()), SizeIs(4));
}

// The payload key of a kid in a record's private_jwks.
base::SecretBytes PayloadKey(const Json& fields, const std::string& kid) {
  const auto record = mek::Record::Parse(fields);
  EXPECT_THAT(record, IsOk());
  return record->set(mek::Set::kPrivateJwks).Find(kid)->key().Clone();
}

// Though the record has a key of that kid, and of that kid's other set too.
TEST_F(KvHome, AnOverwrittenKeyThatTheArchiveHasLostIsNotCalledKept) {
  Json damaged = server_.data(1);
  damaged["private_jwks"] = damaged.at("keys");
  server_.Put(damaged);
  ASSERT_THAT(SetHome(), IsOk());
  const std::string kid = CurrentKid(damaged);
  ASSERT_THAT(mount_.storage().Delete(base::Cat("archive/", kid)), IsOk());
  mount_.Restart();
  EXPECT_THAT(Verified(), AllOf(HasSubstr(R"("result":"fail")"),
                                HasSubstr(base::Cat(R"("storage.no_key_lost":"fail: kid )", kid,
                                                    " of private_jwks is only in version 1"))));
}

TEST_F(KvHome, WhatTheRunbookOverwroteIsNamedKeptAndRepaired) {
  const Json good = server_.data(1);
  Json damaged = good;
  damaged["private_jwks"] = damaged.at("keys");
  ASSERT_NE(damaged, good);
  server_.Put(damaged);
  ASSERT_THAT(SetHome(), IsOk());
  const std::string kid = CurrentKid(damaged);
  const std::string named = base::Cat("another hand put another key in the place of kid ", kid,
                                      " of private_jwks with version 2, as the runbook does");
  EXPECT_THAT(Verified(), AllOf(HasSubstr(R"("result":"fail")"), HasSubstr(named)));
  // Neither KV's pruning nor ours takes the only copy away.
  server_.set_max_versions(1);
  ASSERT_THAT(mount_.Write("config", Json{{"max_versions", 2}}), IsOk());
  for (int i = 0; i < 4; ++i) ASSERT_THAT(Rotate(), IsOk());
  ASSERT_THAT(mount_.Tick(), IsOk());
  EXPECT_THAT(Versions(), ElementsAre("5", "6"));
  EXPECT_THAT(Verified(), HasSubstr(named));

  EXPECT_THAT(mount_.Write("repair", Json{{"dry_run", true}}), IsOk());
  EXPECT_EQ(server_.current(), 6u);
  const auto repaired = mount_.Call(Operation::kUpdate, "repair");
  ASSERT_THAT(repaired, IsOk());
  EXPECT_EQ((*repaired)->data.at("replaced"),
            Json::array({base::JsonText(base::Cat("private_jwks ", kid))}));
  EXPECT_FALSE((*repaired)->data.contains("added"));
  EXPECT_THAT((*repaired)->warnings,
              ::testing::Contains(HasSubstr("is again the key that was overwritten")));
  EXPECT_EQ(server_.current(), 7u);
  EXPECT_EQ(PayloadKey(Newest(), kid), PayloadKey(good, kid));
  // The keys made meanwhile were mirrored, as the damaged record was.
  const auto expect_repaired = [&] {
    EXPECT_THAT(Verified(), AllOf(HasSubstr(R"("result":"warn")"),
                                  HasSubstr("private_jwks holds the same key as keys under some"),
                                  HasSubstr("no other hand has taken a key out")));
  };
  expect_repaired();
  // A wrong repair can be undone: the other key is in the archive and in version 6.
  ASSERT_THAT(mount_.Write("repair", Json{{"version", 6}}), IsOk());
  EXPECT_EQ(PayloadKey(Newest(), kid), PayloadKey(damaged, kid));
  ASSERT_THAT(mount_.Write("repair", Json{{"version", 7}}), IsOk());
  EXPECT_EQ(PayloadKey(Newest(), kid), PayloadKey(good, kid));
  // The kid lives on as any other: out and back with the key it has now.
  ASSERT_THAT(mount_.Write(base::Cat("keys/", kid, "/retire")), IsOk());
  ASSERT_THAT(mount_.Write(base::Cat("keys/", kid, "/restore")), IsOk());
  EXPECT_EQ(PayloadKey(Newest(), kid), PayloadKey(good, kid));
  expect_repaired();
}

// The record with another key under that kid of that set.
Json WithOtherKey(const Json& fields, mek::Set set, const std::string& kid, char byte = 'x') {
  const mek::Record record = *mek::Record::Parse(fields);
  mek::KeySet keys = record.set(mek::Set::kKeys).Clone();
  mek::KeySet private_jwks = record.set(mek::Set::kPrivateJwks).Clone();
  (set == mek::Set::kKeys ? keys : private_jwks)
      .Replace(mek::Jwk::Make(kid, base::SecretBytes(std::string(mek::kKeySize, byte))));
  return record.With(std::move(keys), std::move(private_jwks), record.current_kid())->ToJson();
}

// A record in a KV secret of its own, after two rotations, and the keys that were current before.
struct RotatedTwice {
  FakeKvServer server;
  TestMount mount;
  std::string lost;
  std::string other;
  Json good;

  void SetUp() {
    server.Put(TestMount::RecordOf("good_bootstrapped"));
    ASSERT_THAT(mount.Write("config/home", HomeAt(server)), IsOk());
    for (int i = 0; i < 2; ++i) ASSERT_THAT(mount.Write("rotate"), IsOk());
    lost = CurrentKid(server.data(1));
    other = CurrentKid(server.data(2));
    good = server.data(3);
  }
};

// One key that can't be put back, for whichever is right is not for us to guess, keeps no other
// out.
TEST_F(KvHome, AKeyThatCannotBePutBackKeepsNoOtherOut) {
  for (const mek::Set set : mek::kSets) {
    SCOPED_TRACE(mek::SetName(set));
    RotatedTwice rotated;
    auto& [server, mount, lost, other, good] = rotated;
    ASSERT_NO_FATAL_FAILURE(rotated.SetUp());
    const auto without = mek::Retire(*mek::Record::Parse(good), lost);
    ASSERT_THAT(without, IsOk());
    server.Put(WithOtherKey(without->ToJson(), set, other));
    const auto repaired = mount.Call(Operation::kUpdate, "repair");
    ASSERT_THAT(repaired, IsOk());
    EXPECT_EQ((*repaired)->data.at("added"),
              (Json{base::JsonText(base::Cat("keys ", lost)),
                    base::JsonText(base::Cat("private_jwks ", lost))}));
    EXPECT_FALSE((*repaired)->data.contains("replaced"));
    const std::string what_to_do = set == mek::Set::kKeys
                                       ? "write the right one into the KV secret with bao kv put"
                                       : "write repair version=N";
    EXPECT_THAT((*repaired)->warnings,
                ::testing::Contains(
                    AllOf(HasSubstr(base::Cat("kid ", other, " of ", mek::SetName(set), " ")),
                          HasSubstr(what_to_do))));
    // Where it is all that is left, that is said as well.
    EXPECT_THAT(mount.Write("repair"), StatusIs(absl::StatusCode::kFailedPrecondition,
                                                AllOf(HasSubstr(other), HasSubstr(what_to_do),
                                                      HasSubstr("Nothing was changed"))));
    EXPECT_THAT(Text(*mount.Read("status"), "next_step"),
                AllOf(HasSubstr(other), HasSubstr(what_to_do), Not(HasSubstr("brings it back"))));
    EXPECT_EQ(mount.Read("verify")->at("result"), "fail");
    if (set == mek::Set::kKeys) {
      server.Put(good);
      ASSERT_THAT(mount.Tick(), IsOk());
    } else {
      ASSERT_THAT(mount.Write("repair", Json{{"version", 3}}), IsOk());
    }
    EXPECT_EQ(mount.Read("verify")->at("result"), "ok");
  }
}

// Whatever the order of their kids.
TEST_F(KvHome, WhatRepairBringsBackIsNamedBeforeWhatItLeaves) {
  ASSERT_THAT(SetHome(), IsOk());
  for (int i = 0; i < 2; ++i) ASSERT_THAT(Rotate(), IsOk());
  const auto [left, lost] = std::minmax({CurrentKid(server_.data(1)), CurrentKid(server_.data(2))});
  const Json without = mek::Retire(*mek::Record::Parse(Newest()), lost)->ToJson();
  server_.Put(WithOtherKey(without, mek::Set::kKeys, left));
  ASSERT_THAT(mount_.Tick(), IsOk());
  const auto named_first = [&](const std::string& kid, const char* what_to_do) {
    const auto is_named = AllOf(HasSubstr(base::Cat("kid ", kid, " ")), HasSubstr(what_to_do));
    EXPECT_THAT(Text(*mount_.Read("status"), "next_step"), is_named);
    EXPECT_THAT(Text(*mount_.Read("verify"), "rotation.nothing_taken_out"), is_named);
  };
  named_first(lost, "write repair brings it back");
  ASSERT_THAT(mount_.Write("repair"), IsOk());
  named_first(left, "never replaced");
}

TEST_F(KvHome, AChosenRecordBringsBackWhatItCanBesideAKeyOfKeysThatStays) {
  for (const bool from_backup : {false, true}) {
    SCOPED_TRACE(from_backup);
    RotatedTwice rotated;
    auto& [server, mount, lost, other, good] = rotated;
    ASSERT_NO_FATAL_FAILURE(rotated.SetUp());
    const Json without = mek::Retire(*mek::Record::Parse(good), lost)->ToJson();
    server.Put(WithOtherKey(WithOtherKey(without, mek::Set::kKeys, other, 'x'),
                            mek::Set::kPrivateJwks, other, 'y'));
    Json source = Json{{"version", 3}};
    if (from_backup) {
      source = Json::object();
      source["backup"] = Json{{"data", Json{{"data", good}}}};
    }
    const auto repaired = mount.Call(Operation::kUpdate, "repair", source);
    ASSERT_THAT(repaired, IsOk());
    EXPECT_EQ((*repaired)->data.at("added"),
              (Json{base::JsonText(base::Cat("keys ", lost)),
                    base::JsonText(base::Cat("private_jwks ", lost))}));
    EXPECT_EQ((*repaired)->data.at("replaced"),
              Json::array({base::JsonText(base::Cat("private_jwks ", other))}));
    EXPECT_THAT((*repaired)->warnings,
                ::testing::Contains(AllOf(
                    HasSubstr(base::Cat("kid ", other, " of keys ")),
                    HasSubstr(from_backup ? "the one of the backup" : "the one of version 3"))));
    EXPECT_EQ(PayloadKey(server.data(server.current()), other), PayloadKey(good, other));
    const std::uint64_t version = server.current();
    EXPECT_THAT(mount.Write("repair", source),
                StatusIs(absl::StatusCode::kFailedPrecondition,
                         AllOf(HasSubstr(base::Cat("kid ", other, " of keys ")),
                               HasSubstr("Nothing was changed"))));
    EXPECT_EQ(server.current(), version);
  }
}

// Of one kid, where the archive has both.
TEST_F(KvHome, AKeyOfKeysThatStaysKeepsNotThePayloadKeyOfItsKidOut) {
  ASSERT_THAT(SetHome(), IsOk());
  ASSERT_THAT(Rotate(), IsOk());
  const Json good = Newest();
  const std::string kid = CurrentKid(server_.data(1));
  const mek::Record damaged = *mek::Record::Parse(WithOtherKey(good, mek::Set::kKeys, kid));
  mek::KeySet private_jwks = damaged.set(mek::Set::kPrivateJwks).Clone();
  private_jwks.Remove(kid);
  server_.Put(damaged
                  .With(damaged.set(mek::Set::kKeys).Clone(), std::move(private_jwks),
                        damaged.current_kid())
                  ->ToJson());
  const auto repaired = mount_.Call(Operation::kUpdate, "repair");
  ASSERT_THAT(repaired, IsOk());
  EXPECT_EQ((*repaired)->data.at("added"),
            Json::array({base::JsonText(base::Cat("private_jwks ", kid))}));
  EXPECT_EQ(PayloadKey(Newest(), kid), PayloadKey(good, kid));
}

// Once the record is home, nobody reads what is written into the secret.
TEST_F(KvHome, AnOverwrittenKeyOfKeysIsPutRightInTheMountToo) {
  ASSERT_THAT(SetHome(), IsOk());
  ASSERT_THAT(Rotate(), IsOk());
  const Json good = Newest();
  const std::string kid = CurrentKid(server_.data(1));
  server_.Put(WithOtherKey(good, mek::Set::kKeys, kid));
  ASSERT_THAT(mount_.Write("config/home", Json{{"type", "mount"}}), IsOk());
  const auto says_how = AllOf(
      HasSubstr(base::Cat("write keys/", kid, "/retire, then repair, then keys/", kid, "/restore")),
      Not(HasSubstr("bao kv put")));
  EXPECT_THAT(Text(*mount_.Read("verify"), "rotation.nothing_taken_out"), says_how);
  EXPECT_THAT(mount_.Write("repair"), StatusIs(absl::StatusCode::kFailedPrecondition, says_how));
  ASSERT_THAT(mount_.Write(base::Cat("keys/", kid, "/retire")), IsOk());
  ASSERT_THAT(mount_.Write("repair"), IsOk());
  ASSERT_THAT(mount_.Write(base::Cat("keys/", kid, "/restore")), IsOk());
  EXPECT_EQ(mount_.Record(), good);
  ExpectVerifies();
}

TEST_F(KvHome, AnOverwrittenKeyIsRepairedFromTheRunbooksBackupInTheMountToo) {
  const Json good = server_.data(1);
  Json damaged = good;
  damaged["private_jwks"] = damaged.at("keys");
  damaged["x"] = "kept";
  Json import{{"force", true}};
  import["backup"] = Json{{ "data", Json { { "data", damaged } } }};
  ASSERT_THAT(mount_.Write("import", import), IsOk());
  Json repair = Json::object();
  repair["backup"] = Json{{"data", Json{{"data", good}}}};
  repair["version"] = 1;
  EXPECT_THAT(mount_.Write("repair", repair),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("either version or backup")));
  repair.erase("version");
  EXPECT_THAT(mount_.Write("repair"), StatusIs(absl::StatusCode::kFailedPrecondition,
                                               HasSubstr("backup=@FILE says where to look")));
  EXPECT_THAT(mount_.Write("repair", Json{{"backup", Json{{"data", Json::object()}}}}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("under data.data")));
  ASSERT_THAT(mount_.Write("repair", repair), IsOk());
  Json expected = damaged;
  expected["private_jwks"] = good.at("private_jwks");
  EXPECT_EQ(mount_.Record(), expected);
  ExpectVerifies();
  EXPECT_THAT(mount_.Write("repair", repair), StatusIs(absl::StatusCode::kFailedPrecondition,
                                                       HasSubstr("has every key of that one")));
  // A backup of another platform brings nothing in.
  TestMount other(9);
  ASSERT_THAT(other.Write("init"), IsOk());
  EXPECT_THAT(other.Write("repair", repair),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("another platform's")));
  EXPECT_EQ(other.LiveVersion(), 1u);
}

TEST_F(KvHome, BringsTheRecordHomeWithNothingLost) {
  ASSERT_THAT(SetHome(), IsOk());
  ASSERT_THAT(Rotate(), IsOk());
  const std::string dropped = CurrentKid(Newest());
  server_.Put(server_.data(1));  // drops it
  ASSERT_THAT(Rotate(Json{{"activation", "staged"}}), IsOk());
  const Json newest = Newest();
  ASSERT_THAT(mount_.Write("config/home", Json{{"type", "mount"}}), IsOk());
  EXPECT_EQ(mount_.Read("status")->at("home"), "mount");
  EXPECT_EQ(mount_.LiveVersion(), 1u);
  EXPECT_EQ(KidsOf(mount_.Record()), KidsOf(newest));
  EXPECT_NE(Text(*mount_.Read("status"), "staged_kid"), "");
  EXPECT_EQ(Text(*mount_.Read(base::Cat("keys/", dropped)), "state"), "retired");
  EXPECT_EQ(Newest(), newest);
  ASSERT_THAT(mount_.Write("activate", Json{{"force", true}}), IsOk());
  EXPECT_EQ(Newest(), newest);  // the secret is left alone from now on
  ASSERT_THAT(mount_.Write("repair"), IsOk());
  ExpectVerifies();
}

// After it was brought home and rotated there, the secret's record is older than the mount's.
TEST_F(KvHome, GoesBackWithTheRecordOfEitherHomeAndLosesNoKey) {
  for (const bool takes_kv : {false, true}) {
    SCOPED_TRACE(takes_kv);
    FakeKvServer server;
    server.Put(TestMount::RecordOf("good_bootstrapped"));
    TestMount mount;
    Json home = HomeAt(server);
    ASSERT_THAT(mount.Write("config/home", home), IsOk());
    ASSERT_THAT(mount.Write("rotate", Json::object(), "in-kv"), IsOk());
    ASSERT_THAT(mount.Write("config/home", Json{{"type", "mount"}}), IsOk());
    const std::string retired = CurrentKid(server.data(1));
    ASSERT_THAT(mount.Write(base::Cat("keys/", retired, "/retire")), IsOk());
    ASSERT_THAT(mount.Write("rotate", Json::object(), "in-mount"), IsOk());
    const Json in_mount = mount.Record();
    // Meanwhile another hand rotates in the secret.
    server.Put(RotatedByHand(server.data(2), 4));
    const Json in_kv = server.data(3);
    EXPECT_THAT(mount.Write("config/home", home),
                StatusIs(absl::StatusCode::kFailedPrecondition,
                         AllOf(HasSubstr("the KV secret holds another record"),
                               HasSubstr("take=kv or take=mount"))));
    EXPECT_EQ(mount.Read("status")->at("home"), "mount");
    home["take"] = takes_kv ? "kv" : "mount";
    const auto moved = mount.Call(Operation::kUpdate, "config/home", home);
    ASSERT_THAT(moved, IsOk());
    EXPECT_EQ(server.current(), 4u);
    EXPECT_EQ(mount.Read("versions/4")->at("operation"), "adopt");
    EXPECT_EQ(CurrentKid(server.data(4)), CurrentKid(takes_kv ? in_kv : in_mount));
    std::set<std::string> all = KidsOf(in_kv);
    all.merge(KidsOf(in_mount));
    if (!takes_kv) {
      // The mount's operator took it out by name.
      for (const char* set : {"keys ", "private_jwks "}) all.erase(base::Cat(set, retired));
    }
    // For the readers of the home that it was not in.
    EXPECT_THAT((*moved)->warnings,
                ::testing::Contains(HasSubstr(base::Cat(
                    "kid ", CurrentKid(takes_kv ? in_kv : in_mount), " becomes current"))));
    EXPECT_EQ(KidsOf(server.data(4)), all);
    EXPECT_EQ(mount.Read("verify")->at("result"), "ok");
    // What either home had answered stays answered.
    const auto replayed = mount.Write("rotate", Json::object(), "in-kv");
    ASSERT_THAT(replayed, IsOk());
    EXPECT_EQ(replayed->at("version"), 2);
    EXPECT_EQ(mount.Write("rotate", Json::object(), "in-mount")->at("version"), 4);
    const auto status = mount.Read("status");
    EXPECT_EQ(Text(*status, "previous_kid"), CurrentKid(server.data(takes_kv ? 2 : 3)));
    EXPECT_EQ(server.current(), 4u);
  }
}

// The host sends a move again that a crash has cut off, and by then another request was answered.
TEST_F(KvHome, AMoveThatGoesOnLeavesOutNothingOfWhatCameBetween) {
  const auto cut_off = [&](Json data) {
    mount_.storage().set_plan([](const FakeStorage::Call& call) {
      return call.name == "put" && call.key == "config/home" ? Fault::kErrorBefore : Fault::kNone;
    });
    EXPECT_FALSE(mount_.Write("config/home", std::move(data), "move").ok());
    mount_.storage().set_plan(nullptr);
    mount_.Restart();
  };
  ASSERT_THAT(SetHome(), IsOk());
  const std::string first = CurrentKid(Newest());
  const Json home{{"type", "mount"}};
  cut_off(home);
  ASSERT_THAT(Rotate(Json::object(), "between"), IsOk());
  const std::string second = CurrentKid(Newest());
  ASSERT_NE(first, second);
  ASSERT_THAT(mount_.Write("config/home", home, "move"), IsOk());
  EXPECT_EQ(mount_.Read("status")->at("home"), "mount");
  EXPECT_EQ(CurrentKid(mount_.Record()), second);
  ExpectVerifies();
  // What that request was answered stays answered.
  EXPECT_EQ(Text(*Rotate(Json::object(), "between"), "current_kid"), second);

  // And into kv, where each of these would be left out by a move that is thought to be done.
  for (const char* take : {"mount", "kv"}) {
    SCOPED_TRACE(take);
    ASSERT_THAT(Rotate(), IsOk());
    const std::string before = CurrentKid(mount_.Record());
    Json back{{"type", "kv"}, {"take", take}};
    cut_off(back);
    ASSERT_THAT(Rotate(Json::object(), base::Cat("between ", take)), IsOk());
    const std::string between = CurrentKid(mount_.Record());
    const std::string& marked = take == std::string("mount") ? first : second;
    ASSERT_THAT(mount_.Write(base::Cat("keys/", marked, "/compromised")), IsOk());
    ASSERT_THAT(mount_.Write("config/home", back, "move"), IsOk());
    EXPECT_EQ(mount_.Read("status")->at("home"), "kv");
    EXPECT_THAT(KidsOf(Newest()), ::testing::IsSupersetOf({base::Cat("keys ", between),
                                                           base::Cat("private_jwks ", before)}));
    EXPECT_EQ(CurrentKid(Newest()) == between, take == std::string("mount"));
    EXPECT_EQ(Text(*mount_.Read(base::Cat("keys/", marked)), "state"), "compromised");
    ExpectVerifies();
    ASSERT_THAT(mount_.Write("config/home", home, base::Cat("home ", take)), IsOk());
  }
}

TEST_F(KvHome, AKeyThatTheSecretsReadersSealWithStaysWhateverWasRetiredInTheMount) {
  ASSERT_THAT(SetHome(), IsOk());
  const std::string in_use = CurrentKid(Newest());
  ASSERT_THAT(mount_.Write("config/home", Json{{"type", "mount"}}), IsOk());
  ASSERT_THAT(Rotate(), IsOk());
  ASSERT_THAT(mount_.Write(base::Cat("keys/", in_use, "/retire")), IsOk());
  ASSERT_THAT(SetHome(Json{{"take", "mount"}}), IsOk());
  EXPECT_NE(CurrentKid(Newest()), in_use);
  EXPECT_TRUE(KidsOf(Newest()).contains(base::Cat("keys ", in_use)));
  ExpectVerifies();
}

// Readers of the secret get the mount's staged key only with the move.
TEST_F(KvHome, AStagedKeyThatComesIntoTheSecretBeginsItsGracePeriodAnew) {
  ASSERT_THAT(SetHome(), IsOk());
  ASSERT_THAT(mount_.Write("config/home", Json{{"type", "mount"}}), IsOk());
  ASSERT_THAT(mount_.Write("config", Json{{"grace_period", "1h"}}), IsOk());
  ASSERT_THAT(Rotate(), IsOk());
  ASSERT_THAT(Rotate(Json{{"activation", "staged"}}), IsOk());
  const std::string staged = Text(*mount_.Read("status"), "staged_kid");
  mount_.Run(absl::Minutes(59));
  ASSERT_THAT(SetHome(Json{{"take", "mount"}}), IsOk());
  mount_.Run(absl::Minutes(2));
  EXPECT_EQ(Text(*mount_.Read("status"), "staged_kid"), staged);
  EXPECT_NE(CurrentKid(Newest()), staged);
  mount_.Run(absl::Minutes(59));
  EXPECT_EQ(CurrentKid(Newest()), staged);
}

// What the secret had staged is the mount's to keep staged or not.
TEST_F(KvHome, AStagedKeyThatTheMountGaveUpIsNotStagedInTheSecretAgain) {
  for (const bool compromised : {false, true}) {
    for (const bool takes_kv : {false, true}) {
      // Of a record that is not the mount's the staged key is as good as before.
      if (takes_kv && !compromised) continue;
      SCOPED_TRACE(absl::StrCat("compromised ", compromised, ", takes kv ", takes_kv));
      FakeKvServer server;
      server.Put(TestMount::RecordOf("good_bootstrapped"));
      TestMount mount;
      Json home = HomeAt(server);
      ASSERT_THAT(mount.Write("config/home", home), IsOk());
      const auto staged = mount.Write("rotate", Json{{"activation", "staged"}});
      ASSERT_THAT(staged, IsOk());
      const std::string kid = Text(*staged, "staged_kid");
      ASSERT_THAT(mount.Write("config/home", Json{{"type", "mount"}}), IsOk());
      if (compromised) {
        ASSERT_THAT(mount.Write(base::Cat("keys/", kid, "/compromised")), IsOk());
      }
      ASSERT_THAT(mount.Write("rotate", Json{{"force", true}}), IsOk());
      const std::string current = CurrentKid(takes_kv ? server.data(1) : mount.Record());
      home["take"] = takes_kv ? "kv" : "mount";
      ASSERT_THAT(mount.Write("config/home", home), IsOk());
      EXPECT_EQ(Text(*mount.Read("status"), "staged_kid"), "");
      ASSERT_THAT(mount.Tick(), IsOk());
      mount.clock().Advance(absl::Hours(49));
      for (int i = 0; i < 2; ++i) ASSERT_THAT(mount.Tick(), IsOk());
      EXPECT_EQ(CurrentKid(server.data(server.current())), current);
      EXPECT_EQ(Text(*mount.Read(base::Cat("keys/", kid)), "state"),
                compromised ? "compromised" : "retained");
      EXPECT_EQ(mount.Read("verify")->at("result"), "ok");
    }
  }
}

// For readers that load the record only at their start an ack means: rolled out since the staging.
TEST_F(KvHome, AStagedKeyThatComesIntoTheSecretIsToBeAcknowledgedAnew) {
  ASSERT_THAT(SetHome(), IsOk());
  ASSERT_THAT(mount_.Write("config/home", Json{{"type", "mount"}}), IsOk());
  ASSERT_THAT(mount_.Write("config", Json{{"grace_period", "1h"}, {"required_acks", "api-keys"}}),
              IsOk());
  ASSERT_THAT(Rotate(), IsOk());
  const std::string current = CurrentKid(mount_.Record());
  const auto acknowledge = [&](const std::string& kid) {
    return mount_.Write("ack", Json{{"consumer", "api-keys"}, {"kid", base::JsonText(kid)}});
  };
  ASSERT_THAT(acknowledge(current), IsOk());
  ASSERT_THAT(Rotate(Json{{"activation", "staged"}}), IsOk());
  const std::string staged = Text(*mount_.Read("status"), "staged_kid");
  ASSERT_THAT(acknowledge(staged), IsOk());
  EXPECT_EQ(mount_.Read("status")->at("missing_acks"), Json::array());
  ASSERT_THAT(SetHome(Json{{"take", "mount"}}), IsOk());
  EXPECT_EQ(mount_.Read("status")->at("missing_acks"), Json::array({"api-keys"}));
  mount_.Run(absl::Minutes(61));
  EXPECT_EQ(CurrentKid(Newest()), current);
  ASSERT_THAT(acknowledge(staged), IsOk());
  ASSERT_THAT(mount_.Tick(), IsOk());
  EXPECT_EQ(CurrentKid(Newest()), staged);
}

TEST_F(KvHome, AMoveThatIsRefusedSaysThatTheStagedKeyIsToBeAcknowledgedAnew) {
  ASSERT_THAT(SetHome(), IsOk());
  ASSERT_THAT(mount_.Write("config/home", Json{{"type", "mount"}}), IsOk());
  ASSERT_THAT(mount_.Write("config", Json{{"required_acks", "api-keys"}}), IsOk());
  ASSERT_THAT(Rotate(Json{{"activation", "staged"}}), IsOk());
  const std::string staged = Text(*mount_.Read("status"), "staged_kid");
  for (const KvFault fault : {KvFault::kForbidden, KvFault::kTooLarge, KvFault::kLostBefore}) {
    SCOPED_TRACE(static_cast<int>(fault));
    ASSERT_THAT(
        mount_.Write("ack", Json{{"consumer", "api-keys"}, {"kid", base::JsonText(staged)}}),
        IsOk());
    server_.set_plan(OnWrites(fault, /*times=*/9));
    const auto moved = SetHome(Json{{"take", "mount"}});
    server_.set_plan(nullptr);
    ASSERT_FALSE(moved.ok());
    EXPECT_THAT(moved.status().message(),
                HasSubstr(base::Cat("kid ", staged,
                                    ", which is staged, begins its grace period anew and is to be "
                                    "acknowledged anew")));
    EXPECT_EQ(mount_.Read("status")->at("home"), "mount");
    EXPECT_EQ(mount_.Read("status")->at("missing_acks"), Json::array({"api-keys"}));
  }
}

// Whoever reads an empty secret reads it from its first version on, and that has the staged key. A
// hand that wrote the same record may have done so just now.
TEST_F(KvHome, AStagedKeysGracePeriodGoesOnInASecretThatNobodyHasRead) {
  for (const bool by_hand : {false, true}) {
    SCOPED_TRACE(by_hand);
    FakeKvServer server;
    TestMount mount;
    ASSERT_THAT(mount.Put("good_bootstrapped"), IsOk());
    ASSERT_THAT(mount.Write("config", Json{{"grace_period", "1h"}, {"required_acks", "api-keys"}}),
                IsOk());
    const auto rotated = mount.Write("rotate", Json{{"activation", "staged"}});
    ASSERT_THAT(rotated, IsOk());
    const std::string staged = Text(*rotated, "staged_kid");
    const Json ack{{"consumer", "api-keys"}, {"kid", base::JsonText(staged)}};
    ASSERT_THAT(mount.Write("ack", ack), IsOk());
    mount.Run(absl::Minutes(59));
    if (by_hand) server.Put(mount.Record());
    ASSERT_THAT(mount.Write("config/home", HomeAt(server)), IsOk());
    EXPECT_EQ(mount.Read("status")->at("missing_acks"),
              by_hand ? Json::array({"api-keys"}) : Json::array());
    // Once more where it is missing.
    ASSERT_THAT(mount.Write("ack", ack), IsOk());
    mount.Run(absl::Minutes(2));
    EXPECT_EQ(CurrentKid(server.data(server.current())) == staged, !by_hand);
    mount.Run(absl::Minutes(59));
    EXPECT_EQ(CurrentKid(server.data(server.current())), staged);
  }
}

TEST_F(KvHome, AKeyThatWasRepairedInTheSecretComesHomeByForce) {
  // What the runbook leaves is in the mount; the payload keys come back in the secret.
  const Json good = TestMount::RecordOf("good_bootstrapped");
  Json damaged = good;
  damaged["private_jwks"] = good.at("keys");
  const std::string kid = CurrentKid(good);
  server_.DeleteAll();
  ASSERT_THAT(mount_.Write("import", damaged), IsOk());
  ASSERT_THAT(SetHome(), IsOk());
  Json backup{{"backup", Json{{"data", Json{{"data", good}}}}}};
  ASSERT_THAT(mount_.Write("repair", backup), IsOk());
  EXPECT_EQ(PayloadKey(Newest(), kid), PayloadKey(good, kid));
  const Json home{{"type", "mount"}};
  EXPECT_THAT(mount_.Write("config/home", home),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       AllOf(HasSubstr(kid), HasSubstr("force=true"))));
  Json forced = home;
  forced["force"] = true;
  const auto moved = mount_.Call(Operation::kUpdate, "config/home", forced);
  ASSERT_THAT(moved, IsOk());
  EXPECT_THAT((*moved)->warnings, ::testing::Contains(HasSubstr("went to the archive")));
  EXPECT_EQ(PayloadKey(mount_.Record(), kid), PayloadKey(good, kid));
  ExpectVerifies();
}

// What another hand overwrote and put right again is no damage any more, until it is done again.
TEST_F(KvHome, WhatAHandPutsRightAgainNeedsNoRepair) {
  ASSERT_THAT(SetHome(), IsOk());
  const Json good = Newest();
  const std::string kid = CurrentKid(good);
  Json damaged = good;
  damaged["private_jwks"] = good.at("keys");
  for (int i = 0; i < 2; ++i) {
    server_.Put(damaged);
    ASSERT_THAT(mount_.Tick(), IsOk());
    EXPECT_THAT(Verified(), HasSubstr("another hand put another key in the place of kid"));
    server_.Put(good);
    ASSERT_THAT(mount_.Tick(), IsOk());
    EXPECT_EQ(PayloadKey(Newest(), kid), PayloadKey(good, kid));
    ExpectVerifies();
  }
  EXPECT_THAT(mount_.Write("repair"), StatusIs(absl::StatusCode::kFailedPrecondition,
                                               HasSubstr("there is nothing to repair")));
}

TEST_F(KvHome, AMountsRecordMovesIntoAnEmptySecretOrOneThatHoldsTheSame) {
  ASSERT_THAT(mount_.Put("good_bootstrapped"), IsOk());
  ASSERT_THAT(Rotate(Json{{"activation", "staged"}}), IsOk());
  const Json record = mount_.Record();
  const std::string staged = Text(*mount_.Read("status"), "staged_kid");
  EXPECT_THAT(SetHome(), StatusIs(absl::StatusCode::kFailedPrecondition,
                                  HasSubstr("another record (version 1, current kid")));
  EXPECT_EQ(mount_.Read("status")->at("home"), "mount");
  EXPECT_EQ(server_.current(), 1u);

  server_.DeleteAll();
  ASSERT_THAT(SetHome(), IsOk());
  EXPECT_EQ(server_.current(), 1u);
  EXPECT_EQ(KidsOf(server_.data(1)), KidsOf(record));
  EXPECT_EQ(Text(*mount_.Read("status"), "staged_kid"), staged);
  EXPECT_EQ(mount_.LiveVersion(), 1u);
  EXPECT_EQ(OperationOf(1), "adopt");
  ExpectVerifies();

  ASSERT_THAT(mount_.Write("config/home", Json{{"type", "mount"}}), IsOk());
  EXPECT_EQ(mount_.LiveVersion(), 3u);
  ASSERT_THAT(SetHome(), IsOk());  // both hold the same
  EXPECT_EQ(server_.current(), 1u);
  EXPECT_EQ(Text(*mount_.Read("status"), "staged_kid"), staged);
  ExpectVerifies();
}

// The new home has no version before the staging.
TEST_F(KvHome, AStagedKeyThatCameWithAMoveCanBeGivenUpByForce) {
  server_.DeleteAll();
  ASSERT_THAT(mount_.Put("good_bootstrapped"), IsOk());
  ASSERT_THAT(Rotate(Json{{"activation", "staged"}}), IsOk());
  ASSERT_THAT(SetHome(), IsOk());
  EXPECT_THAT(Versions(), ElementsAre("1"));
  EXPECT_THAT(Rotate(), StatusIs(absl::StatusCode::kFailedPrecondition,
                                 AllOf(HasSubstr("a move of the record's home may leave none"),
                                       HasSubstr("rotate activation=staged force=true"))));
  const std::string current = Text(*mount_.Read("status"), "current_kid");
  const std::string given_up = Text(*mount_.Read("status"), "staged_kid");
  ASSERT_THAT(Rotate(Json{{"activation", "staged"}, {"force", true}}), IsOk());
  EXPECT_EQ(Text(*mount_.Read("status"), "current_kid"), current);
  EXPECT_NE(Text(*mount_.Read("status"), "staged_kid"), given_up);
}

// As it is after bao kv metadata put, which sets cas_required before anything is there.
TEST_F(KvHome, ASecretOfWhichOnlyMetadataWasMadeAnewIsEmpty) {
  ASSERT_THAT(SetHome(), IsOk());
  const std::string destroyed = CurrentKid(Newest());
  ASSERT_THAT(Rotate(), IsOk());
  ASSERT_THAT(Destroy(destroyed), IsOk());
  const auto before = KidsOf(Newest());
  server_.DeleteAll();
  server_.PutMetadata();
  EXPECT_THAT(Rotate(), StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("is gone")));
  ASSERT_THAT(mount_.Write("config/home", Json{{"type", "mount"}, {"force", true}}), IsOk());
  EXPECT_EQ(KidsOf(mount_.Record()), before);
  EXPECT_EQ(Text(*mount_.Read(base::Cat("keys/", destroyed)), "state"), "destroyed");
  // And back, as the first version.
  ASSERT_THAT(SetHome(), IsOk());
  EXPECT_EQ(server_.current(), 1u);
  EXPECT_EQ(KidsOf(Newest()), before);
  EXPECT_THAT(Versions(), ElementsAre("1"));
  ExpectVerifies();
}

TEST_F(KvHome, ASecretWithOtherKeysUnderTheSameKidIsRefused) {
  ASSERT_THAT(mount_.Put("good_bootstrapped"), IsOk());
  Json fields = TestMount::RecordOf("good_bootstrapped");
  fields["private_jwks"] = fields["keys"];  // as the runbook overwrites it
  server_.Put(fields);
  for (const char* take : {"kv", "mount"}) {
    EXPECT_THAT(SetHome(Json{{"take", take}}),
                StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("private_jwks")));
  }
  EXPECT_EQ(mount_.Read("status")->at("home"), "mount");
  EXPECT_EQ(server_.current(), 2u);
}

TEST_F(KvHome, AnotherWayToTheSameSecretIsTakenAndAnotherSecretIsNot) {
  ASSERT_THAT(SetHome(), IsOk());
  ASSERT_THAT(Rotate(), IsOk());
  const Json elsewhere{{"address", base::JsonText(server_.address("localhost"))}};
  EXPECT_THAT(mount_.Write("config/home", elsewhere),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("secret_id: expected")));
  EXPECT_EQ(mount_.Read("config/home")->at("address"), server_.address());
  ASSERT_THAT(SetHome(elsewhere), IsOk());
  ASSERT_THAT(Rotate(), IsOk());
  EXPECT_EQ(server_.current(), 3u);
  FakeKvServer other;
  other.Put(TestMount::RecordOf("good_bootstrapped"));
  EXPECT_THAT(SetHome(Json{{"address", base::JsonText(other.address())}}),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("another secret")));
  ASSERT_THAT(Rotate(), IsOk());
  EXPECT_EQ(server_.current(), 4u);
}

TEST_F(KvHome, ReadsOfHomeSayWhatIsMissingAndShowNoSecret) {
  server_.set_policy({"read"}, {"deny"});
  ASSERT_THAT(SetHome(Json{{"type", "mount"}}), IsOk());  // set, not used yet
  const auto read = mount_.Call(Operation::kRead, "config/home");
  ASSERT_THAT(read, IsOk());
  const std::string text(base::DumpJson((*read)->data)->view());
  EXPECT_THAT(text, AllOf(HasSubstr("fail: the policy lacks capabilities"),
                          HasSubstr("update on services/all/kv/data/"),
                          HasSubstr("read on services/all/kv/metadata/"),
                          HasSubstr(R"("secret_id_set":true)"), HasSubstr(R"("token_set":false)"),
                          HasSubstr(R"("cas_required":false)")));
  EXPECT_THAT((*read)->warnings, ElementsAre(HasSubstr("-cas-required=true")));
  for (const std::string& shown : {text, mount_.log().text()}) {
    EXPECT_THAT(shown, AllOf(Not(HasSubstr("secret-1")), Not(HasSubstr("token-1"))));
  }
  server_.set_plan([](const FakeKvServer::Call&) { return KvFault::kEcho; });
  mount_.Restart();
  const auto echoed = mount_.Read("config/home");
  ASSERT_THAT(echoed, IsOk());
  EXPECT_THAT(std::string(base::DumpJson(*echoed)->view()),
              AllOf(HasSubstr("fail: the login"), Not(HasSubstr("secret-1"))));
}

TEST_F(KvHome, AWrappedSecretIdIsKeptEvenIfTheMoveFails) {
  ASSERT_THAT(mount_.Put("good_bootstrapped"), IsOk());
  ASSERT_THAT(Rotate(), IsOk());
  Json data{{"type", "kv"},
            {"address", base::JsonText(server_.address())},
            {"role_id", "role-1"},
            {"wrapped_secret_id", "wrapping-1"}};
  Json injected = data;
  injected["wrapped_secret_id"] = "wrapping-1\r\nX-Vault-Token: other";
  EXPECT_THAT(mount_.Write("config/home", injected),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("in one word")));
  EXPECT_EQ(server_.CallsTo("POST "), 0);
  EXPECT_FALSE(mount_.Write("config/home", data).ok());  // another record
  EXPECT_EQ(mount_.Read("config/home")->at("secret_id_set"), true);
  EXPECT_EQ(mount_.Read("config/home")->at("type"), "mount");
  ASSERT_THAT(mount_.Write("config/home", Json{{"type", "kv"}, {"take", "kv"}}), IsOk());
  EXPECT_THAT(mount_.Write("config/home", data),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("can't be unwrapped")));
}

TEST_F(KvHome, AWrappedSecretIdIsNotUsedUpForWhatCannotBecomeOfIt) {
  const auto refusal = [&](Json data) {
    data["wrapped_secret_id"] = "wrapping-1";
    const absl::StatusOr<Json> set = mount_.Write("config/home", std::move(data));
    return set.ok() ? "" : std::string(set.status().message());
  };
  const auto address = base::JsonText(server_.address());
  for (const Json& data :
       {Json{{"role_id", "role-1"}},
        Json{{"address", address}, {"auth_method", "token"}, {"token", "token-1"}},
        Json{{"address", address}, {"role_id", "role-1"}, {"secret_id", "secret-1"}}}) {
    EXPECT_THAT(refusal(data), HasSubstr("wrapped_secret_id: expected with an address and "
                                         "auth_method=approle, and without secret_id"));
  }
  EXPECT_EQ(mount_.Read("config/home")->at("connection"), "not set");
  ASSERT_THAT(SetHome(), IsOk());
  for (const Json& data : {Json{{"address", base::JsonText(server_.address("localhost"))}},
                           Json{{"role_id", "role-2"}}}) {
    EXPECT_THAT(refusal(data), HasSubstr("while the record is in kv it can't come with another"));
  }
  EXPECT_EQ(server_.CallsTo("unwrap"), 0);
  EXPECT_EQ(mount_.Read("config/home")->at("address"), server_.address());
  EXPECT_EQ(mount_.Read("config/home")->at("role_id"), "role-1");
}

TEST_F(KvHome, AStoredCredentialOfAnyKindGoesToNoOtherAddress) {
  const std::pair<std::string_view, Json> kMethods[] = {
      {"secret_id", Json{{"auth_method", "approle"}, {"role_id", "role-1"}}},
      {"token", Json{{"auth_method", "token"}}},
      {"jwt_path", Json{{"auth_method", "jwt"}, {"role", "role-1"}}}};
  for (const auto& [credential, method] : kMethods) {
    SCOPED_TRACE(credential);
    TestMount mount;
    Json data = method;
    data.update(Json{{"type", "mount"}, {"address", base::JsonText(server_.address())}});
    data[base::JsonString(credential)] = "/it-1";
    ASSERT_THAT(mount.Write("config/home", data), IsOk());
    Json elsewhere{{"address", base::JsonText(server_.address("localhost"))}};
    EXPECT_THAT(mount.Write("config/home", elsewhere),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         HasSubstr(base::Cat(credential, ": expected in the same write"))));
    EXPECT_EQ(mount.Read("config/home")->at("address"), server_.address());
    elsewhere[base::JsonString(credential)] = "/it-2";
    ASSERT_THAT(mount.Write("config/home", elsewhere), IsOk());
    EXPECT_EQ(mount.Read("config/home")->at("address"), server_.address("localhost"));
  }
}

TEST_F(KvHome, AMissingOrBadConnectionIsRefusedBeforeAnythingMoves) {
  EXPECT_THAT(mount_.Write("config/home", Json{{"type", "kv"}}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("address: expected")));
  EXPECT_THAT(SetHome(Json{{"secret_id", "wrong"}}),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       AllOf(HasSubstr("login"), HasSubstr("invalid role or secret ID"))));
  EXPECT_EQ(mount_.Read("status")->at("home"), "mount");
  EXPECT_EQ(mount_.Read("config/home")->at("connection"), "not set");
}

TEST_F(KvHome, WithoutTheServerNothingChangesAndReadersDontWaitForWriters) {
  ASSERT_THAT(SetHome(), IsOk());
  server_.set_plan(OnWrites(KvFault::kSlow));
  const absl::Time began = absl::Now();
  absl::StatusOr<Json> rotated = Json();
  std::thread writer([&] { rotated = Rotate(); });
  WaitForCall(base::Cat("POST ", kDataPath));
  EXPECT_EQ(mount_.LiveVersion(), 1u);
  EXPECT_LT(absl::Now() - began, absl::Seconds(4));
  writer.join();
  EXPECT_LT(absl::Now() - began, absl::Seconds(9));
  EXPECT_THAT(rotated, StatusIs(absl::StatusCode::kUnavailable, HasSubstr("not known whether")));
  server_.set_plan([](const FakeKvServer::Call&) { return KvFault::kSealed; });
  EXPECT_THAT(Rotate(), StatusIs(absl::StatusCode::kUnavailable, HasSubstr("503")));
  EXPECT_FALSE(mount_.Tick().ok());
  server_.set_plan(nullptr);
  EXPECT_EQ(server_.current(), 1u);
  ASSERT_THAT(Rotate(), IsOk());
  EXPECT_EQ(server_.current(), 2u);
}

// One operation's talk with the server takes five seconds in all, however the server spreads its
// slowness.
TEST_F(KvHome, ASlowServerTakesNoMoreThanTheTimeOfOneOperation) {
  ASSERT_THAT(SetHome(), IsOk());
  server_.set_plan(nullptr);
  server_.set_delay(absl::Seconds(3));  // each call is answered within an exchange's own time
  const absl::Time began = absl::Now();
  EXPECT_THAT(Rotate(), StatusIs(absl::StatusCode::kUnavailable, HasSubstr("in time")));
  EXPECT_LT(absl::Now() - began, absl::Milliseconds(5700));
  EXPECT_EQ(server_.CallsTo(base::Cat("POST ", kDataPath)), 0);
  server_.set_delay(absl::ZeroDuration());
  EXPECT_EQ(server_.current(), 1u);
  EXPECT_THAT(Entries("kv/intents/"), SizeIs(0));
  ASSERT_THAT(Rotate(), IsOk());
}

TEST_F(KvHome, AWriteThatIsAnsweredTooLateIsStillSettled) {
  ASSERT_THAT(SetHome(), IsOk());
  server_.set_plan(OnWrites(KvFault::kSlowAfter));
  const absl::Time began = absl::Now();
  const auto rotated = Rotate();
  EXPECT_LT(absl::Now() - began, absl::Milliseconds(6700));
  ASSERT_THAT(rotated, IsOk());
  EXPECT_EQ(rotated->at("version"), 2);
  EXPECT_EQ(server_.current(), 2u);
  EXPECT_THAT(Entries("kv/intents/"), SizeIs(0));
}

TEST_F(KvHome, ARequestWhoseCallerGoesEndsSoonAndIsKnownForWhatItDid) {
  ASSERT_THAT(SetHome(), IsOk());
  ASSERT_THAT(mount_.Tick(), IsOk());  // it is logged in
  const auto rotate_and_go = [&](FakeKvServer::Plan plan, std::string_view when,
                                 const std::string& id) {
    server_.set_plan(std::move(plan));
    absl::StatusOr<Json> rotated = Json();
    const absl::Time began = absl::Now();
    std::thread writer([&] { rotated = Rotate(Json::object(), id); });
    WaitForCall(when);
    mount_.context().cancelled = true;
    writer.join();
    EXPECT_LT(absl::Now() - began, absl::Seconds(3));
    server_.set_plan(nullptr);
    mount_.context().cancelled = false;
    return rotated;
  };
  // At its first read: nothing was begun.
  EXPECT_FALSE(
      rotate_and_go([](const FakeKvServer::Call&) { return KvFault::kSlow; }, "GET ", "id-0").ok());
  EXPECT_EQ(server_.current(), 1u);
  EXPECT_THAT(Entries("kv/intents/"), SizeIs(0));
  // At its write, which lands: it is given a moment, and settled without the caller.
  const std::string write = base::Cat("POST ", kDataPath);
  const auto landed = rotate_and_go(OnWrites(KvFault::kSlowAfter), write, "id-1");
  ASSERT_THAT(landed, IsOk());
  EXPECT_EQ(landed->at("version"), 2);
  // At its write, which never lands as far as anybody can tell: that is not called refused.
  const auto unknown = rotate_and_go(OnWrites(KvFault::kSlow), write, "id-2");
  EXPECT_THAT(unknown, StatusIs(absl::StatusCode::kUnavailable, HasSubstr("not known whether")));
  EXPECT_THAT(Entries("kv/intents/"), SizeIs(1));
  const auto again = Rotate(Json::object(), "id-2");
  ASSERT_THAT(again, IsOk());
  EXPECT_EQ(again->at("version"), 3);
  EXPECT_EQ(server_.current(), 3u);
}

TEST_F(KvHome, WhatIsTooLargeForTheServerIsSaidSo) {
  ASSERT_THAT(SetHome(), IsOk());
  server_.set_plan(OnWrites(KvFault::kTooLarge));
  EXPECT_THAT(Rotate(), StatusIs(absl::StatusCode::kResourceExhausted,
                                 AllOf(HasSubstr("413"), HasSubstr("Nothing was changed"))));
  server_.set_plan(nullptr);
  EXPECT_THAT(Entries("kv/intents/"), SizeIs(0));
}

TEST_F(KvHome, APolicyThatCannotBeAskedForIsNoFailure) {
  server_.set_plan([](const FakeKvServer::Call& call) {
    return call.path == "sys/capabilities-self" ? KvFault::kForbidden : KvFault::kNone;
  });
  ASSERT_THAT(SetHome(), IsOk());
  ASSERT_THAT(mount_.Read("config/home"), IsOk());
  mount_.clock().Advance(absl::Minutes(2));
  server_.set_plan([](const FakeKvServer::Call& call) {
    return call.path == "sys/capabilities-self" ? KvFault::kForbidden : KvFault::kNone;
  });
  const auto read = mount_.Call(Operation::kRead, "config/home");
  ASSERT_THAT(read, IsOk());
  EXPECT_EQ((*read)->data.at("connection"), "ok");
  EXPECT_FALSE((*read)->data.contains("missing_capabilities"));
  EXPECT_THAT((*read)->warnings, ::testing::Contains(HasSubstr("refuses sys/capabilities-self")));
  EXPECT_EQ(server_.CallsTo("login"), 0);
}

TEST_F(KvHome, ItIsSaidThatKvWillDeleteTheRecordByItself) {
  ASSERT_THAT(SetHome(), IsOk());
  EXPECT_THAT(Verified(), HasSubstr(R"("storage.kv_keeps_versions":"ok: )"));
  server_.set_delete_version_after("1h0m0s", "0s");
  EXPECT_THAT(Verified(),
              AllOf(HasSubstr(R"("result":"warn")"),
                    HasSubstr(R"("storage.kv_keeps_versions":"warn: delete_version_after of the )"),
                    HasSubstr("the live record too")));
  const auto read = mount_.Call(Operation::kRead, "config/home");
  ASSERT_THAT(read, IsOk());
  EXPECT_THAT((*read)->warnings,
              ::testing::Contains(HasSubstr("delete_version_after of the KV secret is 1h:")));
}

TEST_F(KvHome, ANameForTlsIsKeptAndShown) {
  FakeKvServer server;
  server.Put(TestMount::RecordOf("good_bootstrapped"));
  const std::string ca = server.UseTls("DNS:openbao.vault.svc");
  Json data{{"address", base::JsonText(server.address())}, {"ca_cert", base::JsonText(ca)}};
  EXPECT_FALSE(SetHome(data).ok());
  EXPECT_EQ(mount_.Read("config/home")->at("tls_server_name"), "");
  data["tls_server_name"] = "openbao.vault.svc";
  ASSERT_THAT(SetHome(data), IsOk());
  mount_.Restart();
  const auto home = mount_.Read("config/home");
  ASSERT_THAT(home, IsOk());
  EXPECT_EQ(home->at("tls_server_name"), "openbao.vault.svc");
  EXPECT_EQ(home->at("connection"), "ok");
  EXPECT_THAT(mount_.Write("config/home", Json{{"tls_server_name", "other"}}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("secret_id: expected")));
}

TEST_F(KvHome, CredentialsCanBeChangedWhileTheRecordCannotBeRead) {
  ASSERT_THAT(SetHome(), IsOk());
  server_.Delete(1, /*destroy=*/false);
  Json data{{"address", base::JsonText(absl::StrCat(server_.address(), "/"))},
            {"secret_id", "wrong"}};
  EXPECT_THAT(mount_.Write("config/home", data),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("login")));
  data["secret_id"] = "secret-1";
  for (const bool reachable : {true, false}) {
    if (!reachable) server_.set_plan([](const FakeKvServer::Call&) { return KvFault::kSealed; });
    const auto set = mount_.Call(Operation::kUpdate, "config/home", data);
    ASSERT_THAT(set, IsOk());
    EXPECT_THAT((*set)->warnings,
                ::testing::Contains(HasSubstr("set, though the record can't be read now")));
    EXPECT_EQ((*set)->data.at("address"), absl::StrCat(server_.address(), "/"));
  }
}

TEST_F(KvHome, ALoginThatCannotReadTakesNotThePlaceOfOneThatCan) {
  ASSERT_THAT(SetHome(), IsOk());
  ASSERT_THAT(mount_.Read("status"), IsOk());
  const std::string other = absl::StrCat(server_.address(), "/");
  // Reads of the record are for the token that is in use.
  server_.set_plan([token = server_.calls().back().token](const FakeKvServer::Call& call) {
    return call.method == "GET" && call.path.starts_with(kDataPath) && call.token != token
               ? KvFault::kForbidden
               : KvFault::kNone;
  });
  Json data{{"address", base::JsonText(other)}, {"secret_id", "secret-1"}};
  EXPECT_THAT(mount_.Write("config/home", data),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       AllOf(HasSubstr("permission denied"), HasSubstr("force=true"))));
  EXPECT_EQ(mount_.Read("config/home")->at("address"), base::JsonText(server_.address()));
  data["force"] = true;
  EXPECT_THAT(mount_.Write("config/home", data), IsOk());
  EXPECT_EQ(mount_.Read("config/home")->at("address"), base::JsonText(other));
}

TEST_F(KvHome, AStandbyWritesNothing) {
  ASSERT_THAT(SetHome(), IsOk());
  mount_.system().standby = true;
  mount_.Restart();
  server_.set_plan(nullptr);
  EXPECT_FALSE(Rotate().ok());
  EXPECT_FALSE(mount_.Write("config/home", Json{{"type", "mount"}}).ok());
  EXPECT_TRUE(server_.calls().empty());
  EXPECT_EQ(CurrentKid(mount_.Record()), CurrentKid(Newest()));
  EXPECT_EQ(CurrentKid(mount_.Record()), CurrentKid(Newest()));
  EXPECT_EQ(server_.CallsTo("login"), 1);
}

TEST_F(KvHome, ADestroyedKeyStaysOutAndItsVersionsInTheSecretAreNamed) {
  ASSERT_THAT(SetHome(), IsOk());
  const std::string first = CurrentKid(Newest());
  ASSERT_THAT(Rotate(), IsOk());
  const auto destroyed = mount_.Call(Operation::kUpdate, base::Cat("destroy-key/", first),
                                     Json{{"confirm", base::JsonText(first)}});
  ASSERT_THAT(destroyed, IsOk());
  EXPECT_THAT((*destroyed)->warnings,
              ::testing::Contains(HasSubstr("bao kv destroy -mount=services/all/kv -versions=1,2 "
                                            "encryption/keys/stored_data")));
  EXPECT_THAT(KidsOf(Newest()), SizeIs(2));
  ASSERT_THAT(mount_.Tick(), IsOk());
  EXPECT_THAT(Versions(), ElementsAre("2", "3"));
  EXPECT_THAT(Entries("archive/"), SizeIs(0));
  ExpectVerifies();
}

TEST_F(KvHome, ADestroyedKeyLeavesTheOtherHomeToo) {
  server_.DeleteAll();
  ASSERT_THAT(mount_.Put("good_bootstrapped"), IsOk());
  const std::string first = CurrentKid(mount_.Record());
  ASSERT_THAT(Rotate(), IsOk());
  ASSERT_THAT(SetHome(), IsOk());
  ASSERT_THAT(Destroy(first), IsOk());
  EXPECT_THAT(Entries("versions/"), ElementsAre("versions/0000000002"));
  ASSERT_THAT(mount_.Write("config/home", Json{{"type", "mount"}}), IsOk());
  EXPECT_EQ(Text(*mount_.Read(base::Cat("keys/", first)), "state"), "destroyed");
  EXPECT_THAT(mount_.Write("rollback", Json{{"version", 2}}), IsOk());
  EXPECT_THAT(KidsOf(mount_.Record()), SizeIs(2));
}

// What went from the mount's log while the record lived elsewhere is known for that when it comes
// home, and its numbers are not given again.
TEST_F(KvHome, AVersionThatWentWithADestroyedKeyLeavesItsNumber) {
  server_.DeleteAll();
  ASSERT_THAT(mount_.Put("good_bootstrapped"), IsOk());
  const std::string first = CurrentKid(mount_.Record());
  ASSERT_THAT(Rotate(), IsOk());
  const std::string second = CurrentKid(mount_.Record());
  ASSERT_THAT(mount_.Write("rollback", Json{{"version", 1}}), IsOk());
  ASSERT_THAT(Rotate(), IsOk());
  ASSERT_THAT(SetHome(), IsOk());
  const std::string third = CurrentKid(Newest());
  ASSERT_THAT(Rotate(), IsOk());
  for (const std::string& kid : {second, third}) ASSERT_THAT(Destroy(kid), IsOk());
  EXPECT_THAT(Entries("versions/"), SizeIs(2));  // 1 and 3
  ASSERT_THAT(mount_.Write("config/home", Json{{"type", "mount"}}), IsOk());
  EXPECT_EQ(mount_.LiveVersion(), 5u);
  EXPECT_THAT(mount_.Read("versions/2"),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("was deleted")));
  ExpectVerifies();
  // All that are left may go too.
  ASSERT_THAT(Rotate(), IsOk());
  ASSERT_THAT(Destroy(first), IsOk());
  EXPECT_THAT(Versions(), ElementsAre("5", "6", "7"));
  ExpectVerifies();
}

TEST_F(KvHome, NumbersGoOnAlsoIfNoVersionIsLeftInTheMount) {
  server_.DeleteAll();
  ASSERT_THAT(mount_.Put("good_bootstrapped"), IsOk());
  const std::string first = CurrentKid(mount_.Record());
  ASSERT_THAT(SetHome(), IsOk());
  ASSERT_THAT(Rotate(), IsOk());
  ASSERT_THAT(Destroy(first), IsOk());
  EXPECT_THAT(Entries("versions/"), SizeIs(0));
  ASSERT_THAT(mount_.Write("config/home", Json{{"type", "mount"}}), IsOk());
  EXPECT_EQ(mount_.LiveVersion(), 2u);
  ExpectVerifies();
}

TEST_F(KvHome, ADestroyedKeyIsInNoOpenWriteEither) {
  ASSERT_THAT(SetHome(), IsOk());
  const std::string first = CurrentKid(Newest());
  ASSERT_THAT(Rotate(), IsOk());
  server_.set_plan(OnWrites(KvFault::kLate));
  EXPECT_THAT(Rotate(), StatusIs(absl::StatusCode::kUnavailable, HasSubstr("try again")));
  server_.set_plan(nullptr);
  ASSERT_THAT(mount_.Write("config/home", Json{{"type", "mount"}}), IsOk());
  EXPECT_THAT(Entries("kv/intents/"), SizeIs(1));
  ASSERT_THAT(Destroy(first), IsOk());
  EXPECT_FALSE(HeldInStorage(first));
  // Nor does it come back by a move to another secret, which archives what is open.
  server_.DeleteAll();
  ASSERT_THAT(SetHome(), IsOk());
  EXPECT_FALSE(HeldInStorage(first));
  ExpectVerifies();
}

TEST_F(KvHome, AMoveBringsNoDestroyedKeyBack) {
  ASSERT_THAT(SetHome(), IsOk());
  const std::string first = CurrentKid(Newest());
  ASSERT_THAT(Rotate(), IsOk());
  ASSERT_THAT(mount_.Write("config/home", Json{{"type", "mount"}}), IsOk());
  ASSERT_THAT(Destroy(first), IsOk());
  EXPECT_FALSE(HeldInStorage(first));
  // The secret still has it, in its versions and in the record.
  ASSERT_THAT(SetHome(Json{{"take", "kv"}}), IsOk());
  ASSERT_THAT(mount_.Tick(), IsOk());
  EXPECT_FALSE(mek::Record::Parse(Newest())->HasKid(first));
  EXPECT_FALSE(HeldInStorage(first));
  EXPECT_THAT(Entries("destroying"), SizeIs(0));
  ExpectVerifies();
}

// Which the secret has until its own versions are destroyed there.
TEST_F(KvHome, AnEarlierVersionOfADestroyedKeyIsNotFetchedAgain) {
  for (const char* take : {"kv", "mount"}) {
    SCOPED_TRACE(take);
    FakeKvServer server;
    server.Put(TestMount::RecordOf("good_bootstrapped"));
    TestMount mount;
    Json home = HomeAt(server);
    ASSERT_THAT(mount.Write("config/home", home), IsOk());
    for (int i = 0; i < 2; ++i) ASSERT_THAT(mount.Write("rotate"), IsOk());
    const std::string kid = CurrentKid(server.data(2));
    ASSERT_THAT(mount.Write("config/home", Json{{"type", "mount"}}), IsOk());
    ASSERT_THAT(mount.Write(base::Cat("destroy-key/", kid), Json{{"confirm", base::JsonText(kid)}}),
                IsOk());
    EXPECT_FALSE(HeldInStorage(mount, kid));
    home["take"] = take;
    ASSERT_THAT(mount.Write("config/home", home), IsOk());
    for (int i = 0; i < 2; ++i) {
      ASSERT_THAT(mount.Tick(), IsOk());
      EXPECT_FALSE(HeldInStorage(mount, kid));
    }
    ASSERT_THAT(mount.Write("rotate"), IsOk());
    EXPECT_FALSE(HeldInStorage(mount, kid));
    EXPECT_EQ(mount.storage().content().count("destroying"), 0u);
    EXPECT_EQ(mount.storage().content().count("kv/versions/0000000002"), 0u);
    EXPECT_EQ(mount.Read("verify")->at("result"), "ok");
  }
}

// Another hand puts it back, and writes over that before it is seen: what else was in those
// versions is known, and of the key no copy is made.
TEST_F(KvHome, ADestroyedKeyInAVersionThatIsPastBeforeItIsSeenIsNotKept) {
  ASSERT_THAT(SetHome(), IsOk());
  const Json first = Newest();
  const std::string kid = CurrentKid(first);
  ASSERT_THAT(Rotate(), IsOk());
  ASSERT_THAT(Destroy(kid), IsOk());
  const Json good = Newest();
  const Json retained = RotatedByHand(first, 8);
  server_.Put(retained);
  // Of this one it is current, and another key is in no other version.
  const mek::Record with_other = *mek::Record::Parse(RotatedByHand(first, 9));
  server_.Put(mek::Promote(with_other, kid)->ToJson());
  server_.Put(good);
  for (int i = 0; i < 2; ++i) {
    ASSERT_THAT(mount_.Tick(), IsOk());
    EXPECT_FALSE(HeldInStorage(kid));
  }
  EXPECT_THAT(Versions(), ElementsAre("2", "3", "4", "6"));
  for (const std::string& other : {CurrentKid(retained), with_other.current_kid()}) {
    EXPECT_EQ(Text(*mount_.Read(base::Cat("keys/", other)), "left_because"), "external");
  }
  // That it is left out is known, and it is not fetched again.
  EXPECT_THAT(mount_.Read("versions/5"),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("version 5 was deleted")));
  EXPECT_THAT(Verified(), HasSubstr(R"("storage.versions":"ok: versions 2 to 6 can be read")"));
  server_.set_plan([](const FakeKvServer::Call&) { return KvFault::kNone; });
  ASSERT_THAT(mount_.Tick(), IsOk());
  ASSERT_THAT(mount_.Write("repair"), IsOk());
  EXPECT_EQ(server_.CallsTo("version=5"), 0);
  ExpectVerifies();
}

// The secret itself keeps what it was written for as long as its own history goes.
TEST_F(KvHome, ADestroyedKeyIsNotReadOutOfTheSecretsHistory) {
  ASSERT_THAT(SetHome(), IsOk());
  const std::string first = CurrentKid(Newest());
  for (int i = 0; i < 3; ++i) ASSERT_THAT(Rotate(), IsOk());
  const std::string fourth = CurrentKid(Newest());
  ASSERT_THAT(Rotate(), IsOk());
  // Of the first three there is no copy here any more.
  ASSERT_THAT(mount_.Write("config", Json{{"max_versions", 2}}), IsOk());
  ASSERT_THAT(mount_.Tick(), IsOk());
  EXPECT_THAT(Versions(), ElementsAre("4", "5"));
  for (const std::string& kid : {first, fourth}) ASSERT_THAT(Destroy(kid), IsOk());
  const auto read = [&](std::uint64_t version) {
    return mount_.Read("data/encryption/keys/stored_data", Json{{"version", version}});
  };
  EXPECT_THAT(read(4),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("version 4 was deleted")));
  EXPECT_THAT(read(1),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("the versions kept are 5 to 7")));
  for (const std::uint64_t version : {2U, 3U, 5U, 6U}) {
    const auto old = read(version);
    ASSERT_THAT(old, IsOk());
    const auto record = mek::Record::Parse(old->at("data"));
    ASSERT_THAT(record, IsOk());
    EXPECT_EQ(record->current_kid(), CurrentKid(server_.data(version)));
    EXPECT_FALSE(record->HasKid(first));
    EXPECT_FALSE(record->HasKid(fourth));
  }
}

TEST_F(KvHome, AMoveToARecordWhoseCurrentKeyIsDestroyedIsRefused) {
  ASSERT_THAT(SetHome(), IsOk());
  const std::string first = CurrentKid(Newest());
  ASSERT_THAT(mount_.Write("config/home", Json{{"type", "mount"}}), IsOk());
  ASSERT_THAT(Rotate(), IsOk());
  ASSERT_THAT(Destroy(first), IsOk());
  EXPECT_THAT(SetHome(Json{{"take", "kv"}}),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("was destroyed")));
  EXPECT_EQ(mount_.Read("status")->at("home"), "mount");
  EXPECT_EQ(server_.current(), 1u);
}

TEST_F(KvHome, ADestroyedKeyThatAnotherHandPutsBackIsNamedAndCanBeDestroyedAgain) {
  ASSERT_THAT(SetHome(), IsOk());
  const std::string first = CurrentKid(Newest());
  ASSERT_THAT(Rotate(), IsOk());
  const Json with_key = Newest();
  ASSERT_THAT(Destroy(first), IsOk());
  EXPECT_THAT(Destroy(first),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("destroyed already")));
  server_.Put(with_key);
  ASSERT_THAT(mount_.Tick(), IsOk());
  EXPECT_THAT(Verified(), AllOf(HasSubstr(R"("result":"fail")"), HasSubstr("was destroyed, and")));
  EXPECT_THAT(Text(*mount_.Read("status"), "next_step"),
              base::Cat("kid ", first,
                        " was destroyed, and another hand has put it back into the record: write "
                        "destroy-key/",
                        first, " once more"));
  ASSERT_THAT(Destroy(first), IsOk());
  EXPECT_FALSE(mek::Record::Parse(Newest())->HasKid(first));
  EXPECT_FALSE(HeldInStorage(first));
  ExpectVerifies();

  // A put without it leaves none in the archive.
  const Json without = Newest();
  server_.Put(with_key);
  ASSERT_THAT(mount_.Write("data/encryption/keys/stored_data", Json{{"data", without}}), IsOk());
  EXPECT_THAT(Entries(base::Cat("archive/", first)), SizeIs(0));
  // The version with it stops no pruning, and can be freed of it.
  EXPECT_TRUE(HeldInStorage(first));
  EXPECT_THAT(Verified(), HasSubstr(base::Cat("write destroy-key/", first, " once more")));
  ASSERT_THAT(Destroy(first), IsOk());
  EXPECT_FALSE(HeldInStorage(first));
  server_.Put(with_key);
  server_.Put(without);
  ASSERT_THAT(mount_.Tick(), IsOk());
  ASSERT_THAT(mount_.Write("config", Json{{"max_versions", 2}}), IsOk());
  for (int i = 0; i < 2; ++i) ASSERT_THAT(Rotate(), IsOk());
  ASSERT_THAT(mount_.Tick(), IsOk());
  EXPECT_THAT(Versions(), SizeIs(2));
  EXPECT_FALSE(HeldInStorage(first));
}

TEST_F(KvHome, ADestroyedKeyIsNotInAVersionThatStillHasToBeSettled) {
  ASSERT_THAT(SetHome(), IsOk());
  const std::string first = CurrentKid(Newest());
  ASSERT_THAT(Rotate(), IsOk());
  mount_.storage().set_plan([](const FakeStorage::Call& call) {
    return call.key.starts_with("versions/0") ? Fault::kLostBefore : Fault::kNone;
  });
  EXPECT_THAT(mount_.Write("config/home", Json{{"type", "mount"}}),
              StatusIs(absl::StatusCode::kUnavailable, ::testing::_));
  mount_.storage().set_plan(nullptr);
  ASSERT_THAT(Destroy(first), IsOk());
  ASSERT_THAT(mount_.Tick(), IsOk());
  EXPECT_FALSE(HeldInStorage(first));
}

TEST_F(KvHome, ADestructionThatLandsLateIsFinished) {
  ASSERT_THAT(SetHome(), IsOk());
  const std::string first = CurrentKid(Newest());
  ASSERT_THAT(Rotate(), IsOk());
  const std::string second = CurrentKid(Newest());
  ASSERT_THAT(Rotate(), IsOk());
  server_.set_plan(OnWrites(KvFault::kLate));
  EXPECT_THAT(Destroy(first), StatusIs(absl::StatusCode::kUnavailable, HasSubstr("try again")));
  server_.set_plan(nullptr);
  for (const bool restarts : {false, true}) {
    if (restarts) mount_.Restart();
    ASSERT_THAT(mount_.Tick(), IsOk());
    EXPECT_EQ(Text(*mount_.Read(base::Cat("keys/", first)), "state"), "retained");
  }
  server_.DeliverLate();
  ASSERT_THAT(mount_.Tick(), IsOk());
  EXPECT_EQ(server_.current(), 4u);
  EXPECT_EQ(Text(*mount_.Read(base::Cat("keys/", first)), "state"), "destroyed");
  EXPECT_THAT(Entries("archive/"), SizeIs(0));
  EXPECT_THAT(Entries("kv/intents/"), SizeIs(0));
  EXPECT_THAT(Entries("destroying"), SizeIs(0));
  EXPECT_THAT(Versions(), ElementsAre("2", "3", "4"));
  ExpectVerifies();

  // Another destruction may come in between; of the two one lands.
  const std::string third = CurrentKid(Newest());
  ASSERT_THAT(Rotate(), IsOk());
  server_.set_plan(OnWrites(KvFault::kLate));
  EXPECT_THAT(Destroy(second), StatusIs(absl::StatusCode::kUnavailable, HasSubstr("try again")));
  server_.set_plan(nullptr);
  ASSERT_THAT(Destroy(third), IsOk());
  server_.DeliverLate();
  ASSERT_THAT(mount_.Tick(), IsOk());
  EXPECT_EQ(server_.current(), 6u);
  EXPECT_EQ(Text(*mount_.Read(base::Cat("keys/", third)), "state"), "destroyed");
  EXPECT_EQ(Text(*mount_.Read(base::Cat("keys/", second)), "state"), "retained");
  EXPECT_THAT(Entries("destroying"), SizeIs(0));
  EXPECT_THAT(Entries("archive/"), SizeIs(0));
  ASSERT_THAT(Destroy(second), IsOk());
  EXPECT_THAT(KidsOf(Newest()), SizeIs(2));
  ExpectVerifies();
}

TEST_F(KvHome, AHomeThatWasWrittenWithoutAnAnswerIsSettledBeforeAnythingElse) {
  for (const Fault fault : {Fault::kLostBefore, Fault::kLostAfter}) {
    SCOPED_TRACE(static_cast<int>(fault));
    ASSERT_THAT(SetHome(), IsOk());
    const std::uint64_t in_kv = server_.current();
    const auto lose = [&](const FakeStorage::Call& call) {
      return call.name == "put" && call.key == "config/home" ? fault : Fault::kNone;
    };
    mount_.storage().set_plan(lose);
    EXPECT_THAT(mount_.Write("config/home", Json{{"type", "mount"}}),
                StatusIs(absl::StatusCode::kUnavailable, HasSubstr("no answer")));
    for (const char* path : {"rotate", "config/home"}) {
      EXPECT_THAT(mount_.Write(path), StatusIs(absl::StatusCode::kUnavailable,
                                               HasSubstr("config/home was written without")));
    }
    EXPECT_FALSE(mount_.Tick().ok());
    EXPECT_EQ(server_.current(), in_kv);
    EXPECT_THAT(mount_.Record(), server_.data(in_kv));  // reads go on
    mount_.storage().set_plan(nullptr);
    ASSERT_THAT(Rotate(), IsOk());
    EXPECT_EQ(mount_.Read("status")->at("home"), "mount");
    EXPECT_EQ(server_.current(), in_kv);
    EXPECT_NE(mount_.Record(), server_.data(in_kv));
    ASSERT_THAT(SetHome(Json{{"take", "mount"}}), IsOk());
    EXPECT_EQ(server_.current(), in_kv + 1);
  }
}

TEST_F(KvHome, AConnectionThatIsNotUsedAndNotUsableStopsNothing) {
  ASSERT_THAT(SetHome(Json{{"type", "mount"}}), IsOk());
  ASSERT_THAT(mount_.Write("init"), IsOk());
  const auto content = mount_.storage().content();
  Json stored = *base::ParseJson(content.at("config/home"));
  stored.erase("schema");
  stored.erase("sha256");
  stored["address"] = "ftp://elsewhere";
  mount_.storage().Set("config/home", mek::WriteDocument(1, stored)->view());
  mount_.Restart();
  ASSERT_THAT(Rotate(), IsOk());
  const auto read = mount_.Read("config/home");
  ASSERT_THAT(read, IsOk());
  EXPECT_THAT(Text(*read, "connection"), HasSubstr("fail: address: expected"));
  ASSERT_THAT(SetHome(Json{{"take", "kv"}}), IsOk());
  EXPECT_EQ(mount_.Read("status")->at("home"), "kv");
}

TEST_F(KvHome, ImportCanFetchTheRecordFromTheSecret) {
  EXPECT_THAT(mount_.Write("import", Json{{"from", "kv"}}),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("no connection")));
  ASSERT_THAT(SetHome(Json{{"type", "mount"}}), IsOk());
  EXPECT_THAT(mount_.Write("import", Json{{"from", "kv"}, {"keys", "x"}}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("give one of")));
  ASSERT_THAT(mount_.Write("import", Json{{"from", "kv"}}), IsOk());
  EXPECT_EQ(mount_.Record(), server_.data(1));
  ASSERT_THAT(Rotate(), IsOk());
  EXPECT_EQ(server_.current(), 1u);
}

TEST_F(KvHome, AScheduleRotatesTheSecret) {
  ASSERT_THAT(SetHome(), IsOk());
  ASSERT_THAT(mount_.Write("config", Json{{"auto_rotate_period", "1h"}}), IsOk());
  ASSERT_THAT(mount_.Tick(), IsOk());
  EXPECT_EQ(server_.current(), 2u);
  mount_.Run(absl::Minutes(61));
  EXPECT_EQ(server_.current(), 3u);
  EXPECT_EQ(OperationOf(3), "rotate");
}

// Everything that changes the record, from one and the same start, with one fault. The host sends
// the request again.
class KvOperation : public ::testing::TestWithParam<std::string> {
 protected:
  // In kv: first (retained), second (retired), third (current), fourth (staged), fifth (dropped by
  // another hand). In the mount: the same and one more rotation for the moves into kv.
  struct World {
    FakeKvServer server;
    TestMount mount;
    std::string first, second, third;
    std::uint64_t start = 0;
    std::set<std::string> kids;
  };

  static void Prepare(World& world) {
    FakeKvServer& server = world.server;
    TestMount& mount = world.mount;
    server.Put(TestMount::RecordOf("good_bootstrapped"));
    world.first = CurrentKid(server.data(1));
    ASSERT_THAT(mount.Write("config/home", Home(world)), IsOk());
    ASSERT_THAT(mount.Write("rotate"), IsOk());
    world.second = CurrentKid(server.data(2));
    ASSERT_THAT(mount.Write("rotate"), IsOk());
    world.third = CurrentKid(server.data(3));
    ASSERT_THAT(mount.Write(base::Cat("keys/", world.second, "/retire")), IsOk());
    const Json before = server.data(4);
    server.Put(RotatedByHand(before, 3));
    ASSERT_THAT(mount.Tick(), IsOk());
    server.Put(before);
    ASSERT_THAT(mount.Write("rotate", Json{{"activation", "staged"}}), IsOk());
    if (GetParam().starts_with("move into kv")) {
      ASSERT_THAT(mount.Write("config/home", Json{{"type", "mount"}}), IsOk());
      ASSERT_THAT(mount.Write("rotate", Json{{"force", true}}), IsOk());
    }
    world.kids = KidsOf(mount.Record());
    world.start = server.current();
  }

  static Json Home(World& world) {
    return Json{{"type", "kv"},
                {"address", base::JsonText(world.server.address())},
                {"role_id", "role-1"},
                {"secret_id", "secret-1"}};
  }

  static absl::StatusOr<Json> Do(World& world, const std::string& id) {
    const std::string& name = GetParam();
    TestMount& mount = world.mount;
    if (name == "rotate") return mount.Write("rotate", Json{{"force", true}}, id);
    if (name == "activate") return mount.Write("activate", Json{{"force", true}}, id);
    if (name == "rollback") return mount.Write("rollback", Json{{"version", 1}}, id);
    if (name == "repair") return mount.Write("repair", Json::object(), id);
    if (name == "put") {
      return mount.Write("data/encryption/keys/stored_data", Json{{"data", world.server.data(1)}},
                         id);
    }
    if (name == "import") {
      Json data{{"force", true}};
      data["backup"] = Json{{"data", Json{{"data", world.server.data(3)}}}};
      return mount.Write("import", std::move(data), id);
    }
    if (name == "retire") {
      return mount.Write(base::Cat("keys/", world.first, "/retire"), Json::object(), id);
    }
    if (name == "restore") {
      return mount.Write(base::Cat("keys/", world.second, "/restore"), Json::object(), id);
    }
    if (name == "compromised") {
      return mount.Write(base::Cat("keys/", world.first, "/compromised"), Json::object(), id);
    }
    if (name == "destroy") {
      return mount.Write(base::Cat("destroy-key/", world.first),
                         Json{{"confirm", base::JsonText(world.first)}}, id);
    }
    if (name == "move into mount") {
      return mount.Write("config/home", Json{{"type", "mount"}}, id);
    }
    Json home = Home(world);
    home["take"] = name == "move into kv, its record" ? "kv" : "mount";
    return mount.Write("config/home", std::move(home), id);
  }

  // It is done, once, and no key is lost but the one that is destroyed.
  static void ExpectDoneOnce(World& world) {
    const std::string& name = GetParam();
    EXPECT_EQ(world.server.current(), world.start + (name == "move into mount" ? 0 : 1));
    EXPECT_EQ(Text(*world.mount.Read("status"), "home"),
              name == "move into mount" ? "mount" : "kv");
    ASSERT_THAT(world.mount.Tick(), IsOk());
    for (const auto& [key, value] : world.mount.storage().content()) {
      EXPECT_FALSE(key.starts_with("kv/intents/")) << key;
      EXPECT_NE(key, "destroying");
    }
    const auto verified = world.mount.Read("verify");
    ASSERT_THAT(verified, IsOk());
    EXPECT_THAT(Text(*verified, "storage.no_key_lost"), HasSubstr("ok: "));
    std::set<std::string> known;
    const auto keys = world.mount.Call(Operation::kList, "keys");
    ASSERT_THAT(keys, IsOk());
    for (const Json& kid : (*keys)->data.at("keys")) {
      known.emplace(std::string(kid.get_ref<const base::JsonString&>()));
    }
    for (const std::string& kid : world.kids) {
      EXPECT_TRUE(known.contains(kid.substr(kid.find(' ') + 1))) << kid;
    }
    if (name == "destroy") {
      EXPECT_EQ(Text(*world.mount.Read(base::Cat("keys/", world.first)), "state"), "destroyed");
    }
  }
};

TEST_P(KvOperation, ACrashOrFaultAtAnyStorageCallIsMadeGoodByTheReplay) {
  int points = 0;
  for (const Fault fault : {Fault::kCrashBefore, Fault::kCrashAfter, Fault::kErrorBefore,
                            Fault::kErrorAfter, Fault::kLostBefore, Fault::kLostAfter}) {
    for (int n = 1;; ++n) {
      SCOPED_TRACE(absl::StrCat("fault ", static_cast<int>(fault), " at call ", n));
      World world;
      ASSERT_NO_FATAL_FAILURE(Prepare(world));
      bool reached = false;
      world.mount.storage().set_plan([&](const FakeStorage::Call& call) {
        if (call.number != n) return Fault::kNone;
        reached = true;
        return fault;
      });
      bool crashed = false;
      try {
        Do(world, "id").status().IgnoreError();
      } catch (const Crash&) {
        crashed = true;
      }
      world.mount.storage().set_plan(nullptr);
      if (crashed) world.mount.Restart();
      ASSERT_THAT(Do(world, "id"), IsOk());
      ASSERT_NO_FATAL_FAILURE(ExpectDoneOnce(world));
      if (!reached) break;
      ++points;
    }
  }
  EXPECT_GE(points, 6 * 4);
}

TEST_P(KvOperation, AFaultAtAnyCallToTheServerIsMadeGoodByTheReplay) {
  for (const KvFault fault :
       {KvFault::kLostBefore, KvFault::kLostAfter, KvFault::kErrorBefore, KvFault::kErrorAfter,
        KvFault::kSealed, KvFault::kGarbage, KvFault::kCut, KvFault::kForbidden}) {
    for (int n = 1;; ++n) {
      SCOPED_TRACE(absl::StrCat("fault ", static_cast<int>(fault), " at call ", n));
      World world;
      ASSERT_NO_FATAL_FAILURE(Prepare(world));
      int call = 0;
      bool reached = false;
      world.server.set_plan([&](const FakeKvServer::Call&) {
        if (++call != n) return KvFault::kNone;
        reached = true;
        return fault;
      });
      Do(world, "id").status().IgnoreError();
      world.server.set_plan(nullptr);
      ASSERT_THAT(Do(world, "id"), IsOk());
      ASSERT_NO_FATAL_FAILURE(ExpectDoneOnce(world));
      if (!reached) break;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, KvOperation,
                         ::testing::Values("rotate", "activate", "rollback", "repair", "put",
                                           "import", "retire", "restore", "compromised", "destroy",
                                           "move into mount", "move into kv, its record",
                                           "move into kv, the mount's record"),
                         [](const auto& parameter) {
                           std::string name;
                           for (const char c : parameter.param) {
                             if (c != ' ' && c != ',' && c != '\'') name += c;
                           }
                           return name;
                         });

}  // namespace
}  // namespace testing_support
