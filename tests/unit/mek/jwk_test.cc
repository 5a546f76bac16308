#include "mek/jwk.h"

#include <gtest/gtest.h>

#include <string>

#include "absl/strings/str_replace.h"
#include "support/status_matchers.h"
#include "unit/mek/samples.h"

namespace mek {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;
using ::testing_support::IsOk;
using ::testing_support::StatusIs;

constexpr std::string_view kGood =
    R"({"kty":"oct","use":"enc","kid":"a-1","k":"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8","alg":"A256GCM"})";

std::string Edited(absl::string_view from, absl::string_view to) {
  return absl::StrReplaceAll(std::string(kGood), {{from, to}});
}

absl::StatusOr<Jwk> Parse(std::string_view json, Set set = Set::kKeys) {
  return Jwk::Parse(set, 3, base::SecretBytes(json));
}

TEST(Jwk, KeepsItsTextAndReadsKidAndKey) {
  const std::string text = Edited(R"("kid")", R"( "x":1.0e2 ,"k\u0069d")");
  const absl::StatusOr<Jwk> jwk = Parse(text);
  ASSERT_THAT(jwk, IsOk());
  EXPECT_EQ(jwk->kid(), "a-1");
  EXPECT_EQ(jwk->json(), text);
  ASSERT_EQ(jwk->key().size(), 32u);
  for (std::size_t i = 0; i < 32; ++i) EXPECT_EQ(jwk->key().span()[i], i);
}

TEST(Jwk, IsMadeAsTheBootstrapWritesIt) {
  base::SecretBytes k(kKeySize);
  for (std::size_t i = 0; i < 32; ++i) k.mutable_span()[i] = static_cast<std::uint8_t>(i);
  const Jwk jwk = Jwk::Make("a-1", k);
  EXPECT_EQ(jwk.json(), kGood);
  for (const Set set : kSets) {
    const absl::StatusOr<Jwk> parsed = Jwk::Parse(set, 0, base::SecretBytes(jwk.json()));
    ASSERT_THAT(parsed, IsOk());
    EXPECT_EQ(parsed->kid(), "a-1");
    EXPECT_EQ(parsed->key(), k);
  }
}

TEST(Jwk, RefusesEachBrokenRuleWithItsOwnMessage) {
  const struct {
    std::string json;
    std::string_view message;
  } kCases[] = {
      {"[1]", "keys[3]: not a JSON object"},
      {"7", "keys[3]: not a JSON object"},
      {"{", "keys[3]: not valid JSON"},
      {Edited(R"("kid":"a-1",)", ""), "keys[3]: kid is missing"},
      {Edited(R"("a-1")", "12"), "keys[3]: kid is not a string"},
      {Edited("a-1", "a\\\"1"), "keys[3]: kid must be a string of 1 to 128"},
      {Edited("a-1", ""), "keys[3]: kid must be a string of 1 to 128"},
      {Edited("a-1", ".."), "keys[3]: kid must be a string of 1 to 128"},
      {Edited(R"("kty":"oct",)", ""), "keys[3] (kid a-1): kty is missing: expected \"oct\""},
      {Edited(R"("oct")", "true"), "keys[3] (kid a-1): kty is not a string"},
      {Edited("oct", "OCT"), "keys[3] (kid a-1): kty must be \"oct\""},
      {Edited(R"("use":"enc",)", ""), "keys[3] (kid a-1): use is missing: expected \"enc\""},
      {Edited(R"("enc")", "null"), "keys[3] (kid a-1): use is not a string"},
      {Edited("enc", "sig"), "keys[3] (kid a-1): use must be \"enc\""},
      {Edited(R"(,"alg":"A256GCM")", ""),
       "keys[3] (kid a-1): alg is missing: expected \"A256GCM\""},
      {Edited("A256GCM", "A128GCM"), "keys[3] (kid a-1): alg must be \"A256GCM\""},
      {Edited(R"("k":"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8",)", ""),
       "(kid a-1): k is missing"},
      {Edited(R"("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8")", "[]"),
       "(kid a-1): k is not a string"},
      {Edited("dHh8", "dHh8="), "(kid a-1): k is not base64url"},
      {Edited("AAEC", "+/EC"), "(kid a-1): k is not base64url"},
      {Edited("dHh8", "dHh9"),
       "(kid a-1): k is not base64url"},                      // stray bits in the last character
      {Edited("Hh8", "H"), "(kid a-1): k is not base64url"},  // a lone last character
      {Edited("AAEC", ""), "(kid a-1): k is 29 bytes long: expected 32 bytes"},
      {Edited("AAEC", "AAECAAEC"), "(kid a-1): k is 35 bytes long: expected 32 bytes"},
      {Edited("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8", ""), "(kid a-1): k is 0 bytes long"},
      {Edited(R"("kty")", R"("kty":"oct","kty")"), "keys[3]: a JSON member stands twice"},
  };
  for (const auto& broken : kCases) {
    EXPECT_THAT(Parse(broken.json),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         AllOf(StartsWith("keys[3]"), HasSubstr(std::string(broken.message)),
                               Not(HasSubstr("AwQFBgcI")))))
        << broken.json;
  }
}

TEST(Jwk, MayLackUseInPrivateJwksOnly) {
  const std::string without = Edited(R"("use":"enc",)", "");
  EXPECT_THAT(Parse(without, Set::kPrivateJwks), IsOk());
  EXPECT_THAT(Parse(Edited("enc", "sig"), Set::kPrivateJwks),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("private_jwks[3] (kid a-1): use must be")));
}

// A JWK from the archive goes back into a set, two levels down.
TEST(Jwk, IsNestedNoDeeperThanASetCanHold) {
  const auto nested = [](int depth) {
    return Edited(R"("kty")", "\"x\":" + std::string(static_cast<std::size_t>(depth), '[') +
                                  std::string(static_cast<std::size_t>(depth), ']') + R"(,"kty")");
  };
  const absl::StatusOr<Jwk> deepest = Parse(nested(base::kMaxJsonDepth - 3));
  ASSERT_THAT(deepest, IsOk());
  EXPECT_THAT(base::ParseJson(Cat(R"({"keys":[)", deepest->json(), "]}")), IsOk());
  EXPECT_THAT(Parse(nested(base::kMaxJsonDepth - 2)),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("nested deeper than 62")));
}

TEST(Jwk, CloneSharesTheSameKey) {
  const Jwk one = MakeJwk("a", 1);
  const Jwk two = one.Clone();
  EXPECT_EQ(two.kid(), "a");
  EXPECT_EQ(two.key(), one.key());
  EXPECT_EQ(two.json(), one.json());
  EXPECT_EQ(two.json().data(), one.json().data());  // shared: a JWK never changes
}

}  // namespace
}  // namespace mek
