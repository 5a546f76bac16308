#include "mek/incoming.h"

#include <gtest/gtest.h>

#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "mek/kid.h"
#include "support/status_matchers.h"
#include "unit/mek/samples.h"

namespace mek {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing_support::IsOk;
using ::testing_support::StatusIs;

std::string Base64UrlOf(int seed) {
  return std::string(base::Base64UrlEncode(K(seed).view()).view());
}
std::string HexOf(int seed) {
  const base::SecretBytes k = K(seed);
  return absl::BytesToHexString(absl::string_view(k.view().data(), k.size()));
}

TEST(ShowsKey, FindsAKeyOfEitherSetOrItsFirst16Characters) {
  const Record record = TwoKeys();
  for (const int seed : {1, 2, 11, 12}) {
    for (const std::string& key : {Base64UrlOf(seed), HexOf(seed)}) {
      EXPECT_TRUE(ShowsKey(key, record)) << seed;
      EXPECT_TRUE(ShowsKey(Cat("see ", key.substr(0, 16), "!"), record)) << seed;
      EXPECT_FALSE(ShowsKey(key.substr(0, 15), record)) << seed;
      EXPECT_FALSE(ShowsKey(Cat("see ", key.substr(0, 15), "!"), record)) << seed;
    }
    EXPECT_TRUE(ShowsKey(absl::AsciiStrToUpper(HexOf(seed)), record)) << seed;
  }
  EXPECT_FALSE(ShowsKey(Base64UrlOf(3), record));
  // Not whole: K's bytes repeat themselves with an offset.
  EXPECT_FALSE(ShowsKey(HexOf(3).substr(0, 32), record));
  EXPECT_FALSE(ShowsKey("", record));
  EXPECT_FALSE(ShowsKey("the yearly rotation of 2026", record));
}

TEST(CheckIncoming, RefusesAnUnknownKidFarAheadOfTheClock) {
  const Record record = TwoKeys();
  const absl::Time made = *UuidV1Time(kMidKid);
  EXPECT_THAT(CheckIncoming(record, {std::string(kMidKid)}, made - kMaxKidLead), IsOk());
  EXPECT_THAT(CheckIncoming(record, {std::string(kMidKid)}, made - kMaxKidLead - absl::Seconds(1)),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("a time more than a year ahead of the server's clock (2026-")));
  // What is known may stay as it is.
  EXPECT_THAT(CheckIncoming(record, {}, made - 2 * kMaxKidLead), IsOk());
}

TEST(CheckIncoming, RefusesAnUnknownKidThatShowsAKey) {
  const std::string kid = Base64UrlOf(1).substr(0, 20);
  const Record record = MakeRecord({{kMidKid, 1}, {"legacy", 2}}, {{kMidKid, 11}});
  EXPECT_THAT(CheckIncoming(record, {"legacy", std::string(kMidKid)}, kNow), IsOk());
  EXPECT_THAT(CheckIncoming(record, {"legacy", kid}, kNow),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("a kid of the record shows a key"), Not(HasSubstr(kid)))));
}

}  // namespace
}  // namespace mek
