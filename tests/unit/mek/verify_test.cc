#include "mek/verify.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>
#include <string>

#include "support/faulty.h"
#include "support/status_matchers.h"
#include "unit/mek/samples.h"

namespace mek {
namespace {

using ::testing::HasSubstr;
using Level = Finding::Level;

std::map<std::string, Level> NotOk(const std::vector<Finding>& findings) {
  std::map<std::string, Level> bad;
  for (const Finding& finding : findings) {
    if (finding.level != Level::kOk) bad[finding.check] = finding.level;
  }
  return bad;
}

std::string MessageOf(const std::vector<Finding>& findings, std::string_view check) {
  const auto at = std::ranges::find(findings, check, &Finding::check);
  return at == findings.end() ? "" : at->message;
}

TEST(Verify, HasTheSameChecksForEveryRecordEachOnce) {
  std::vector<std::string> expected;
  for (const RecordFile& file : RecordFiles()) {
    if (!file.valid) continue;
    std::vector<std::string> checks;
    for (const Finding& finding : Verify(*Record::Parse(file.data), kNow)) {
      checks.push_back(finding.check);
      EXPECT_FALSE(finding.message.empty()) << finding.check;
    }
    if (expected.empty()) expected = checks;
    EXPECT_EQ(checks, expected) << file.name;
    EXPECT_EQ(std::set(checks.begin(), checks.end()).size(), checks.size());
  }
  EXPECT_EQ(expected.size(), 14u);
}

TEST(Verify, PassesTheGoodRecords) {
  for (const RecordFile& file : RecordFiles()) {
    if (!file.valid) continue;
    const std::vector<Finding> findings = Verify(*Record::Parse(file.data), kNow);
    EXPECT_EQ(WorstLevel(findings), Level::kOk) << file.name;
  }
}

TEST(Verify, FailsACurrentKidThatEssRefuses) {
  const std::vector<Finding> findings = Verify(MakeRecord({{"legacy", 1}}, {{"legacy", 2}}), kNow);
  EXPECT_EQ(NotOk(findings),
            (std::map<std::string, Level>{{"ess.current_kid_is_uuidv1", Level::kFail}}));
  EXPECT_EQ(WorstLevel(findings), Level::kFail);
}

TEST(Verify, WarnsOfWhatOnlyMightHurt) {
  EXPECT_EQ(NotOk(Verify(MakeRecord({{kMidKid, 1}, {kOldKid, 1}}, {{kMidKid, 1}}),
                         kNow - absl::Hours(24 * 365))),
            (std::map<std::string, Level>{{"record.no_key_repeated", Level::kWarn},
                                          {"record.sets_independent", Level::kWarn},
                                          {"ess.kid_times_not_ahead", Level::kWarn},
                                          {"api_keys.every_kid_in_private_jwks", Level::kWarn}}));
  const Record record = *Record::Parse(
      Fields(Jwks({{kMidKid, 1}}),
             Cat(R"({"x":"${y}","keys":[)", Jwk::Make(kMidKid, base::SecretBytes(32)).json(), "]}"),
             kMidKid, Mapping(kMidKid)));
  EXPECT_EQ(NotOk(Verify(record, kNow)),
            (std::map<std::string, Level>{{"record.no_key_trivial", Level::kWarn},
                                          {"api_keys.no_placeholder", Level::kWarn}}));
}

TEST(Verify, SaysWhatAMirroredRecordMeans) {
  for (const Finding& finding : Verify(*Record::Parse(RecordData("rotated_by_runbook")), kNow)) {
    if (finding.check == "record.sets_independent") {
      EXPECT_EQ(finding.level, Level::kOk);
      EXPECT_THAT(finding.message, HasSubstr("mirrors keys"));
    }
  }
}

TEST(Verify, ShowsNoMaterial) {
  for (const RecordFile& file : RecordFiles()) {
    if (!file.valid) continue;
    const Record record = *Record::Parse(file.data);
    for (const Finding& finding : Verify(record, kNow - absl::Hours(24 * 3650))) {
      for (const Set set : kSets) {
        for (const Jwk& jwk : record.set(set).keys()) {
          const base::SecretBytes k = base::Base64UrlEncode(jwk.key().view());
          EXPECT_EQ(finding.message.find(k.view().substr(0, 8)), std::string::npos);
        }
      }
    }
  }
}

// No way of making a record lets this one through; should one ever, verify is the last to see it.
TEST(Verify, FailsARecordThatReadersRefuse) {
  const Record good = TwoKeys();
  KeySet keys = good.set(Set::kKeys).Clone();
  keys.Append(Jwk::Make(kNewKid, base::SecretBytes(K(3).view().substr(1))));
  const Record record = *good.With(std::move(keys), good.set(Set::kPrivateJwks).Clone(), kMidKid);
  const std::vector<Finding> findings = Verify(record, kNow);
  EXPECT_EQ(NotOk(findings),
            (std::map<std::string, Level>{{"record.reads_back", Level::kFail},
                                          {"record.selectors_agree", Level::kFail},
                                          {"ess.keys_open", Level::kFail},
                                          {"nvcf_api.current_kid_in_keys", Level::kFail},
                                          {"api_keys.current_kid_in_private_jwks", Level::kFail},
                                          {"api_keys.every_kid_in_private_jwks", Level::kWarn}}));
  EXPECT_THAT(MessageOf(findings, "record.reads_back"), HasSubstr("k is 31 bytes long"));
  EXPECT_THAT(MessageOf(findings, "ess.keys_open"), HasSubstr(Cat("of keys: ", kNewKid, ".")));
}

TEST(Verify, FailsEveryKeyWhereTheCipherDoesNotWork) {
  const testing_support::Faulty cipher("EVP_EncryptFinal_ex");
  const std::vector<Finding> findings = Verify(TwoKeys(), kNow);
  EXPECT_EQ(NotOk(findings), (std::map<std::string, Level>{{"ess.keys_open", Level::kFail},
                                                           {"api_keys.keys_open", Level::kFail}}));
  EXPECT_THAT(MessageOf(findings, "api_keys.keys_open"),
              HasSubstr(Cat("of private_jwks: ", kMidKid, ", ", kOldKid, ".")));
}

TEST(SealsAndOpens, NeedsAKeyOf32BytesAndACipherThatGivesBackWhatItGot) {
  EXPECT_TRUE(SealsAndOpens(K(1)));
  for (const std::size_t size : {0u, 16u, 31u, 33u}) {
    EXPECT_FALSE(SealsAndOpens(base::SecretBytes(size))) << size;
  }
  for (const char* function : {"RAND_bytes", "EVP_EncryptUpdate", "EVP_DecryptUpdate"}) {
    const testing_support::Faulty fault(function);
    EXPECT_FALSE(SealsAndOpens(K(1))) << function;
  }
  const testing_support::Faulty garbage("EVP_DecryptUpdate", 1,
                                        testing_support::Faulty::How::kLies);
  EXPECT_FALSE(SealsAndOpens(K(1)));
}

TEST(LevelName, IsWhatAReplyShows) {
  EXPECT_EQ(LevelName(Level::kOk), "ok");
  EXPECT_EQ(LevelName(Level::kWarn), "warn");
  EXPECT_EQ(LevelName(Level::kFail), "fail");
  EXPECT_EQ(LevelName(static_cast<Level>(3)), "fail");
}

}  // namespace
}  // namespace mek
