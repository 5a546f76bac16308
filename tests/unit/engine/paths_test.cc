#include "engine/paths.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/base64.h"
#include "base/text.h"
#include "mek/kid.h"
#include "mek/record.h"
#include "sdk/framework/path_backend.h"
#include "support/status_matchers.h"
#include "support/test_mount.h"

namespace testing_support {
namespace {

using base::Json;
using base::JsonText;
using openbao::Operation;
using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr char kData[] = "data/encryption/keys/stored_data";
constexpr char kFirstKid[] = "6aa44e80-fb25-11f0-b358-d9f191b7584a";

std::string Text(const Json& value) {
  return std::string(value.get_ref<const base::JsonString&>());
}

class Paths : public ::testing::Test {
 protected:
  void Bootstrap() {
    ASSERT_THAT(mount_.Write("import", TestMount::RecordOf("good_bootstrapped")), IsOk());
  }
  std::vector<std::string> Warnings(Operation operation, std::string_view path, Json data) {
    const auto done = mount_.Call(operation, path, std::move(data));
    EXPECT_THAT(done, IsOk());
    return done.ok() ? (*done)->warnings : std::vector<std::string>{};
  }
  TestMount mount_;
};

TEST_F(Paths, TheTableHasNoMistake) {
  EXPECT_THAT(openbao::CheckTable(*engine::MakeTable("v0.1.0")), IsOk());
}

TEST_F(Paths, AnEmptyMountSaysWhatToDo) {
  EXPECT_EQ(mount_.Read("status")->at("phase"), "empty");
  EXPECT_THAT(mount_.Write("rotate"), StatusIs(absl::StatusCode::kNotFound, HasSubstr("init")));
  EXPECT_TRUE(mount_.Read(kData)->is_null());
  EXPECT_TRUE(mount_.Read("metadata/encryption/keys/stored_data")->is_null());
  EXPECT_EQ(mount_.Read("verify")->at("result"), "warn");
  EXPECT_THAT(mount_.Read("versions/1"),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("no version yet")));
  EXPECT_EQ(mount_.Call(Operation::kList, "versions")->value().data.at("keys").size(), 0u);
}

TEST_F(Paths, InitMakesAFirstRecordOnce) {
  const Json reply = *mount_.Write("init");
  EXPECT_EQ(reply.at("version"), 1u);
  EXPECT_EQ(reply.at("key_count"), 1u);
  EXPECT_EQ(Text(reply.at("previous_kid")), "");
  const auto record = mek::Record::Parse(mount_.Record());
  ASSERT_THAT(record, IsOk());
  EXPECT_EQ(record->current_kid(), Text(reply.at("current_kid")));
  EXPECT_FALSE(record->mirrored());
  EXPECT_EQ(mek::UuidV1Time(record->current_kid()), mount_.clock().Now());
  EXPECT_THAT(mount_.Write("init"),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("version 1")));
}

TEST_F(Paths, InitAsADryRunChangesNothing) {
  const Json reply = *mount_.Write("init", Json{{"dry_run", true}});
  EXPECT_EQ(Text(reply.at("current_kid")), "(new)");
  EXPECT_EQ(reply.at("version"), 0u);
  EXPECT_TRUE(mount_.storage().content().empty());
}

TEST_F(Paths, ImportKeepsTheRecordByteForByte) {
  Bootstrap();
  EXPECT_EQ(mount_.Record(), TestMount::RecordOf("good_bootstrapped"));
  EXPECT_THAT(mount_.Write("import", TestMount::RecordOf("good_bootstrapped")),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("force=true")));
}

TEST_F(Paths, ImportTakesABackupAsTheCommandLinePrintsIt) {
  const Json record = TestMount::RecordOf("good_fifth_field");
  const Json backup{{"request_id", "x"},
                    {"data", Json{{"data", record}, {"metadata", Json{{"version", 3}}}}}};
  // From the command line a file's content comes as text.
  ASSERT_THAT(mount_.Write("import", Json{{"backup", JsonText(backup.dump())}}), IsOk());
  EXPECT_EQ(mount_.Record(), record);
  EXPECT_THAT(mount_.Write("import", Json{{"backup", record}, {"force", true}}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("data.data")));
  EXPECT_THAT(mount_.Write("import", Json{{"backup", backup}, {"keys", "x"}}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("not both"), HasSubstr("Nothing was changed"))));
  EXPECT_THAT(mount_.Write("import", Json{{"backup", backup}, {"from", "kv"}}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("give one of"), HasSubstr("Nothing was changed"))));
}

TEST_F(Paths, AForcedImportKeepsTheLiveKeysOrArchivesThem) {
  Bootstrap();
  Json other = TestMount::RecordOf("good_rotated_independent");
  other["force"] = true;
  ASSERT_THAT(mount_.Write("import", other), IsOk());
  EXPECT_EQ(mek::Record::Parse(mount_.Record())->Kids(mek::Set::kKeys).back(), kFirstKid);
  EXPECT_EQ(mount_.LiveVersion(), 2u);
  other["newer_keys"] = "drop";
  ASSERT_THAT(mount_.Write("import", other), IsOk());
  EXPECT_EQ(mount_.Record(), TestMount::RecordOf("good_rotated_independent"));
  EXPECT_TRUE(mount_.storage().content().contains(absl::StrCat("archive/", kFirstKid)));
}

TEST_F(Paths, RotateAnswersWithWhatItDid) {
  Bootstrap();
  const Json reply = *mount_.Write("rotate", Json{{"reason", "yearly"}, {"cas", "1"}});
  EXPECT_EQ(reply.at("version"), 2u);
  EXPECT_EQ(Text(reply.at("previous_kid")), kFirstKid);
  EXPECT_EQ(Text(reply.at("staged_kid")), "");
  EXPECT_EQ(reply.at("key_count"), 2u);
  EXPECT_EQ(Text(reply.at("created_time")), "2027-01-15T08:00:00.000000000Z");
  EXPECT_EQ(reply.at("effective_time"), reply.at("created_time"));
  EXPECT_FALSE(reply.contains("dry_run"));
  const Json version = *mount_.Read("versions/2");
  EXPECT_EQ(Text(version.at("operation")), "rotate");
  EXPECT_EQ(Text(version.at("reason")), "yearly");
  EXPECT_EQ(Text(version.at("display_name")), "token-test");
  EXPECT_EQ(Text(version.at("entity_id")), "entity-1");
  EXPECT_EQ(version.at("kids"), Json::array({reply.at("current_kid"), kFirstKid}));
  EXPECT_EQ(version.at("private_kids"), version.at("kids"));
}

TEST_F(Paths, RotateWarnsWithinTheGracePeriodOnly) {
  ASSERT_THAT(mount_.Write("init"), IsOk());
  EXPECT_THAT(Warnings(Operation::kUpdate, "rotate", Json::object()),
              ::testing::ElementsAre(AllOf(HasSubstr("0s old"), HasSubstr("grace period of 48h"))));
  // The new kid is 1 ms later than the first.
  mount_.clock().Advance(absl::Hours(48) + absl::Milliseconds(1));
  EXPECT_TRUE(Warnings(Operation::kUpdate, "rotate", Json::object()).empty());
}

TEST_F(Paths, ADryRunShowsNeitherKidNorVersionAndChangesNothing) {
  Bootstrap();
  const auto content = mount_.storage().content();
  const Json reply = *mount_.Write("rotate", Json{{"dry_run", "true"}});
  EXPECT_EQ(reply.at("dry_run"), true);
  EXPECT_EQ(reply.at("version"), 1u);
  EXPECT_EQ(Text(reply.at("current_kid")), "(new)");
  EXPECT_EQ(Text(reply.at("previous_kid")), kFirstKid);
  EXPECT_EQ(reply.at("key_count"), 2u);
  ASSERT_THAT(mount_.Write("rollback", Json{{"version", 9}, {"dry_run", true}}),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("no version 9")));
  EXPECT_EQ(mount_.storage().content(), content);
}

TEST_F(Paths, CasMeansTheLiveVersion) {
  EXPECT_THAT(mount_.Write("init", Json{{"cas", 1}}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("no version yet")));
  ASSERT_THAT(mount_.Write("init", Json{{"cas", 0}}), IsOk());
  const auto content = mount_.storage().content();
  for (const Json& bad :
       {Json(0), Json(2), Json("2"), Json(-1), Json("-1"), Json(1.5), Json("1.5"), Json("x"),
        Json(""), Json(9223372036854775808u), Json("9223372036854775808"), Json(true),
        Json::array({1}), Json("1 "), Json("0x1"), Json(nullptr)}) {
    EXPECT_THAT(mount_.Write("rotate", Json{{"cas", bad}}),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("cas")))
        << bad.dump();
  }
  EXPECT_EQ(mount_.storage().content(), content);
  EXPECT_EQ(mount_.Write("rotate", Json{{"cas", 1}})->at("version"), 2u);
  EXPECT_EQ(mount_.Write("rotate", Json{{"cas", "2"}})->at("version"), 3u);
}

TEST_F(Paths, WhatAPathDoesNotKnowIsRefused) {
  Bootstrap();
  EXPECT_THAT(mount_.Write("rotate", Json{{"csa", 1}}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("unknown parameter \"csa\"")));
  EXPECT_THAT(mount_.Write("rotate", Json{{"activation", "later"}}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("one of immediate")));
  EXPECT_THAT(mount_.Write("rotate", Json{{"reason", 5}}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("reason: expected a string")));
  EXPECT_THAT(mount_.Write("rotate", Json{{"reason", JsonText(std::string(1025, 'r'))}}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("1024")));
  EXPECT_THAT(
      mount_.Write(kData, Json{{"version", 1}, {"data", TestMount::RecordOf("good_bootstrapped")}}),
      StatusIs(absl::StatusCode::kInvalidArgument,
               HasSubstr("this operation takes data, options")));
  EXPECT_THAT(mount_.Read("config", Json{{"grace_period", "1h"}}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("grace_period")));
  EXPECT_THAT(mount_.Write("rotation"),
              StatusIs(absl::StatusCode::kUnimplemented, HasSubstr("path")));
  EXPECT_THAT(mount_.Read("rotate"),
              StatusIs(absl::StatusCode::kUnimplemented, HasSubstr("operation")));
  EXPECT_THAT(mount_.Call(Operation::kOther, "rotate"),
              StatusIs(absl::StatusCode::kUnimplemented, HasSubstr("operation")));
  EXPECT_EQ(mount_.LiveVersion(), 1u);
}

TEST_F(Paths, RollbackKeepsNewerKeysAtTheEnd) {
  Bootstrap();
  const std::string second = Text(mount_.Write("rotate")->at("current_kid"));
  const std::string third = Text(mount_.Write("rotate")->at("current_kid"));
  const Json reply = *mount_.Write("rollback", Json{{"version", "1"}});
  EXPECT_EQ(reply.at("version"), 4u);
  EXPECT_EQ(reply.at("rolled_back_to"), 1u);
  EXPECT_EQ(Text(reply.at("current_kid")), kFirstKid);
  EXPECT_EQ(Text(reply.at("previous_kid")), third);
  EXPECT_EQ(mount_.Read("versions/4")->at("kids"),
            Json::array({kFirstKid, JsonText(third), JsonText(second)}));
  EXPECT_EQ(mount_.Read("versions/4")->at("rolled_back_to"), 1u);
}

TEST_F(Paths, RollbackWithDropIsByteForByteAndArchivesFirst) {
  Bootstrap();
  const std::string second = Text(mount_.Write("rotate")->at("current_kid"));
  const auto warnings =
      Warnings(Operation::kUpdate, "rollback", Json{{"version", 1}, {"newer_keys", "drop"}});
  ASSERT_EQ(warnings.size(), 1u);
  EXPECT_THAT(warnings[0], HasSubstr(second));
  EXPECT_EQ(mount_.Record(), TestMount::RecordOf("good_bootstrapped"));
  EXPECT_TRUE(mount_.storage().content().contains(absl::StrCat("archive/", second)));
  // Back to version 2: the dropped key returns as it was.
  ASSERT_THAT(mount_.Write("rollback", Json{{"version", 2}}), IsOk());
  EXPECT_EQ(Text(mount_.Record().at("current_kid")), second);
}

TEST_F(Paths, RollbackRefusesTheLiveVersionAndUnknownOnes) {
  Bootstrap();
  EXPECT_THAT(mount_.Write("rollback", Json{{"version", 1}}),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("live")));
  for (const char* version : {"0", "2", "9223372036854775807"}) {
    EXPECT_THAT(mount_.Write("rollback", Json{{"version", version}}),
                StatusIs(absl::StatusCode::kNotFound, HasSubstr("the versions kept are 1 to 1")));
  }
  EXPECT_THAT(mount_.Write("rollback"),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("version is missing")));
}

TEST_F(Paths, AKeyThatContradictsALiveOrArchivedOneIsRefused) {
  Bootstrap();
  // The same kid with other material, as after the runbook's overwritten private_jwks.
  Json contradiction = TestMount::RecordOf("good_bootstrapped");
  contradiction["private_jwks"] = contradiction["keys"];
  EXPECT_THAT(mount_.Write(kData, Json{{"data", contradiction}}),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       AllOf(HasSubstr(kFirstKid), HasSubstr("private_jwks"))));
  // Archived: the bootstrapped record is dropped for another, then contradicted.
  ASSERT_THAT(mount_.Put("good_unknown_members"), IsOk());
  EXPECT_THAT(mount_.Write(kData, Json{{"data", contradiction}}),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr(kFirstKid)));
  EXPECT_EQ(mount_.LiveVersion(), 2u);
}

TEST_F(Paths, ANewKidIsLaterThanAnArchivedOne) {
  ASSERT_THAT(mount_.Write("init"), IsOk());
  const std::string dropped = Text(mount_.Write("rotate")->at("current_kid"));
  ASSERT_THAT(mount_.Write("rollback", Json{{"version", 1}, {"newer_keys", "drop"}}), IsOk());
  const std::string next = Text(mount_.Write("rotate")->at("current_kid"));
  EXPECT_EQ(*mek::UuidV1Time(next) - *mek::UuidV1Time(dropped), absl::Milliseconds(1));
}

TEST_F(Paths, ReadsAnswerAsKvVersion2AtBothPaths) {
  Bootstrap();
  ASSERT_THAT(mount_.Write("rotate"), IsOk());
  for (const char* path : {kData, "encryption/keys/stored_data"}) {
    const Json live = *mount_.Read(path);
    EXPECT_EQ(live.at("metadata").at("version"), 2u);
    EXPECT_EQ(live.at("metadata").at("deletion_time"), "");
    EXPECT_EQ(live.at("metadata").at("destroyed"), false);
    const Json first = *mount_.Read(path, Json{{"version", "1"}});
    EXPECT_EQ(first.at("data"), TestMount::RecordOf("good_bootstrapped"));
    EXPECT_EQ(*mount_.Read(path, Json{{"version", 0}}), live);
    EXPECT_THAT(mount_.Read(path, Json{{"version", 3}}),
                StatusIs(absl::StatusCode::kNotFound, HasSubstr("1 to 2")));
  }
  const Json metadata = *mount_.Read("metadata/encryption/keys/stored_data");
  EXPECT_EQ(metadata.at("current_version"), 2u);
  EXPECT_EQ(metadata.at("oldest_version"), 1u);
  EXPECT_EQ(metadata.at("versions").at("1").at("destroyed"), false);
  EXPECT_EQ(metadata.at("versions").size(), 2u);
  EXPECT_EQ(mount_.Call(Operation::kList, "metadata/encryption/keys", Json{{"list", "true"}})
                ->value()
                .data.dump(),
            R"({"keys":["stored_data"]})");
}

TEST_F(Paths, PutReplacesExactlyAndPatchMerges) {
  Bootstrap();
  const Json reply = *mount_.Write(kData, Json{{"data", TestMount::RecordOf("good_fifth_field")},
                                               {"options", Json{{"cas", 1}}}});
  EXPECT_EQ(reply.at("version"), 2u);
  EXPECT_EQ(mount_.Record(), TestMount::RecordOf("good_fifth_field"));
  ASSERT_THAT(mount_.Call(Operation::kPatch, kData,
                          Json{{"data", Json{{"note", nullptr}, {"owner", "ess"}}},
                               {"options", Json{{"cas", 2}}}}),
              IsOk());
  Json expected = TestMount::RecordOf("good_fifth_field");
  expected.erase("note");
  expected["owner"] = "ess";
  EXPECT_EQ(mount_.Record(), expected);
  EXPECT_THAT(mount_.Call(Operation::kPatch, kData, Json{{"data", Json{{"keys", nullptr}}}}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("keys is missing")));
  EXPECT_THAT(mount_.Write(kData, Json{{"data", expected}, {"options", Json{{"cas", 1}}}}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("live version is 3")));
  EXPECT_THAT(mount_.Write(kData, Json{{"data", expected}, {"options", Json{{"csa", 3}}}}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("csa")));
  EXPECT_THAT(mount_.Write(kData),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("data is missing")));
  EXPECT_EQ(mount_.LiveVersion(), 3u);
}

TEST_F(Paths, AKeyPutInAKidsPlaceIsNotShown) {
  Bootstrap();
  constexpr char kKey[] = "xLuGw9HEJxA8NExBiesvHnvV1H5Eb87Co9gRc2EQ5Xg";
  Json record = TestMount::RecordOf("good_bootstrapped");
  record["current_kid"] = kKey;
  EXPECT_THAT(mount_.Write(kData, Json{{"data", record}}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("current_kid"), ::testing::Not(HasSubstr(kKey)))));
  record = TestMount::RecordOf("good_bootstrapped");
  record["jwe_mapping"] = JsonText(absl::StrCat("{\"payload_jwe_kid\":\"", kKey, "\"}"));
  EXPECT_THAT(mount_.Write(kData, Json{{"data", record}}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("payload_jwe_kid"), ::testing::Not(HasSubstr(kKey)))));
}

TEST_F(Paths, AReasonThatShowsAKeyIsRefused) {
  Bootstrap();
  for (const char* reason : {"key is xLuGw9HEJxA8NExBiesvHnvV1H5Eb87Co9gRc2EQ5Xg",
                             "xLuGw9HEJxA8NExB", "c4bb86c3d1c42710"}) {
    EXPECT_THAT(mount_.Write("rotate", Json{{"reason", reason}}),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         AllOf(HasSubstr("reason"), ::testing::Not(HasSubstr(reason)))))
        << reason;
  }
  EXPECT_EQ(mount_.LiveVersion(), 1u);
}

TEST_F(Paths, AKidThatShowsAKeyIsRefused) {
  // Another kid in all four places: the k of the first key, its beginning, its hex.
  const auto with_kid = [](std::string_view kid) {
    Json record = TestMount::RecordOf("good_bootstrapped");
    for (const char* field : {"keys", "private_jwks"}) {
      const Json& encoded = record.at(field);
      std::string text(base::Base64Decode(encoded.get_ref<const base::JsonString&>())->view());
      text.replace(text.find(kFirstKid), sizeof(kFirstKid) - 1, kid);
      record[field] = JsonText(base::Base64Encode(text).view());
    }
    record["current_kid"] = JsonText(kid);
    record["jwe_mapping"] = JsonText(base::Cat("{\"payload_jwe_kid\":\"", kid, "\"}"));
    return record;
  };
  for (std::string_view kid : {"xLuGw9HEJxA8NExBiesvHnvV1H5Eb87Co9gRc2EQ5Xg", "xLuGw9HEJxA8NExB",
                               "C4BB86C3D1C42710", "old-xLuGw9HEJxA8NExB"}) {
    EXPECT_THAT(
        mount_.Write("import", with_kid(kid)),
        StatusIs(absl::StatusCode::kInvalidArgument,
                 AllOf(HasSubstr("shows a key"), ::testing::Not(HasSubstr(std::string(kid))))))
        << kid;
  }
  EXPECT_TRUE(mount_.storage().content().empty());
  EXPECT_FALSE(absl::StrContains(mount_.log().text(), "xLuGw9HEJxA8NExB"));
  EXPECT_THAT(mount_.Write("import", with_kid("legacy-2024.a_1")), IsOk());
}

TEST_F(Paths, ANewKidFarInTheFutureIsRefusedAndAKnownOneIsNot) {
  constexpr char kFar[] = "ffffffff-ffff-1fff-8000-010203040506";
  Json record = TestMount::RecordOf("good_bootstrapped");
  for (const char* field : {"keys", "private_jwks"}) {
    const Json& encoded = record.at(field);
    std::string text(base::Base64Decode(encoded.get_ref<const base::JsonString&>())->view());
    text.replace(text.find(kFirstKid), sizeof(kFirstKid) - 1, kFar);
    record[field] = JsonText(base::Base64Encode(text).view());
  }
  record["current_kid"] = kFar;
  record["jwe_mapping"] = JsonText(absl::StrCat("{\"payload_jwe_kid\":\"", kFar, "\"}"));
  EXPECT_THAT(mount_.Write("import", record),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("more than a year ahead")));
  EXPECT_EQ(mount_.LiveVersion(), 0u);
  // A clock that steps back makes every known kid lie ahead: nothing stops for that.
  Bootstrap();
  mount_.clock().Advance(-absl::Hours(24 * 3650));
  EXPECT_THAT(mount_.Put("good_bootstrapped"), IsOk());
  EXPECT_THAT(mount_.Write("rotate"), IsOk());
}

TEST_F(Paths, DeletingIsRefusedWithTheReason) {
  Bootstrap();
  const auto content = mount_.storage().content();
  for (const char* path :
       {kData, "encryption/keys/stored_data", "metadata/encryption/keys/stored_data",
        "delete/encryption/keys/stored_data"}) {
    EXPECT_THAT(mount_.Call(Operation::kDelete, path),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("unreadable")));
  }
  for (const char* path :
       {"delete/encryption/keys/stored_data", "destroy/encryption/keys/stored_data",
        "undelete/encryption/keys/stored_data"}) {
    EXPECT_THAT(mount_.Write(path, Json{{"versions", Json::array({1})}}),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("unreadable")));
  }
  EXPECT_THAT(mount_.Write("metadata/encryption/keys/stored_data", Json{{"max_versions", 1}}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("config")));
  EXPECT_THAT(mount_.Write("encryption/keys/stored_data", Json{{"keys", "x"}}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("bao secrets tune -options=version=2")));
  EXPECT_EQ(mount_.storage().content(), content);
}

TEST_F(Paths, StatusShowsThePhase) {
  ASSERT_THAT(mount_.Write("init"), IsOk());
  Json status = *mount_.Read("status");
  EXPECT_EQ(status.at("phase"), "propagating");
  EXPECT_EQ(Text(status.at("current_kid_age")), "0s");
  EXPECT_EQ(Text(status.at("next_step_time")), "2027-01-17T08:00:00.000000000Z");
  mount_.clock().Advance(absl::Hours(48) + absl::Minutes(1));
  status = *mount_.Read("status");
  EXPECT_EQ(status.at("phase"), "active");
  EXPECT_EQ(Text(status.at("current_kid_age")), "48h1m");
  EXPECT_EQ(Text(status.at("next_step_time")), "");
  mount_.clock().Advance(-absl::Hours(24 * 3650));
  EXPECT_EQ(Text(mount_.Read("status")->at("current_kid_age")), "0s");
}

TEST_F(Paths, ConfigIsTypedAndKept) {
  Json expected{
      {"activation", "immediate"},  {"grace_period", "48h"},   {"required_acks", Json::array()},
      {"activate_early", false},    {"reader_margin", "30m"},  {"reader_timeout", "24h"},
      {"auto_rotate_period", "0s"}, {"rotation_schedule", ""}, {"rotation_window", "0s"},
      {"max_versions", 100},        {"private_jwks", "auto"}};
  EXPECT_EQ(*mount_.Read("config"), expected);
  expected["grace_period"] = "1h30m";
  expected["private_jwks"] = "mirror";
  EXPECT_EQ(*mount_.Write("config", Json{{"grace_period", "1h30m"}, {"private_jwks", "mirror"}}),
            expected);
  expected["grace_period"] = "1m";
  expected["max_versions"] = 7;
  EXPECT_EQ(*mount_.Write("config", Json{{"grace_period", 60}, {"max_versions", "7"}}), expected);
  mount_.Restart();
  EXPECT_EQ(*mount_.Read("config"), expected);
  for (const Json& bad : {Json{{"grace_period", "soon"}}, Json{{"grace_period", "-1h"}},
                          Json{{"grace_period", "inf"}}, Json{{"max_versions", 1}},
                          Json{{"private_jwks", "both"}}, Json{{"grace", "1h"}}}) {
    EXPECT_THAT(mount_.Write("config", bad),
                StatusIs(absl::StatusCode::kInvalidArgument, ::testing::_))
        << bad.dump();
  }
  ASSERT_THAT(mount_.Write("init"), IsOk());
  EXPECT_TRUE(mek::Record::Parse(mount_.Record())->mirrored());
}

TEST_F(Paths, HelpCoversEveryPath) {
  const Json root = mount_.Call(Operation::kHelp, "")->value().data;
  const Json& paths = root.at("openapi").at("paths");
  EXPECT_EQ(paths.size(), 29u);
  for (const auto& [path, item] : paths.items()) {
    const std::string relative(std::string_view(path).substr(1));
    const auto help = mount_.Call(Operation::kHelp, relative);
    ASSERT_THAT(help, IsOk()) << relative;
    EXPECT_THAT(Text((*help)->data.at("help")), HasSubstr("OPERATIONS")) << relative;
    EXPECT_TRUE(absl::StrContains(Text(root.at("help")), relative.substr(0, relative.find('{'))))
        << relative;
  }
  const auto parameters = [&](const char* path) -> const Json& {
    return paths.at(path)
        .at("post")
        .at("requestBody")
        .at("content")
        .at("application/json")
        .at("schema")
        .at("properties");
  };
  EXPECT_EQ(parameters("/rotate").at("cas").at("type"), "integer");
  EXPECT_EQ(parameters("/config/home").at("tls_server_name").at("type"), "string");
  EXPECT_THAT(mount_.Call(Operation::kHelp, "nowhere"),
              StatusIs(absl::StatusCode::kUnimplemented, ::testing::_));
}

}  // namespace
}  // namespace testing_support
