#include "base/base64.h"

#include <gtest/gtest.h>

#include <string>

#include "support/status_matchers.h"

namespace base {
namespace {

using ::testing::_;
using ::testing_support::StatusIs;

// RFC 4648 section 10.
constexpr std::pair<std::string_view, std::string_view> kVectors[] = {{"", ""},
                                                                      {"f", "Zg=="},
                                                                      {"fo", "Zm8="},
                                                                      {"foo", "Zm9v"},
                                                                      {"foob", "Zm9vYg=="},
                                                                      {"fooba", "Zm9vYmE="},
                                                                      {"foobar", "Zm9vYmFy"}};

TEST(Base64, EncodesAndDecodesTheVectorsOfTheRfc) {
  for (const auto& [plain, text] : kVectors) {
    EXPECT_EQ(Base64Encode(plain).view(), text);
    EXPECT_EQ(Base64Decode(text)->view(), plain);
  }
}

TEST(Base64, RefusesWhatIsNotCanonical) {
  for (std::string_view bad : {"Zg", "Zg=", "Zh==", "Zm9v\n", " Zm9v", "Zm 9v", "Zm9-",
                               "Z===", "====", "Zg==Zg==", "Zm9v===="}) {
    EXPECT_THAT(Base64Decode(bad), StatusIs(absl::StatusCode::kInvalidArgument, _)) << bad;
  }
}

TEST(Base64Url, IsUnpaddedAndHasItsOwnAlphabet) {
  const std::string bytes = "\xfb\xff\xfe\x01";
  EXPECT_EQ(Base64UrlEncode(bytes).view(), "-__-AQ");
  EXPECT_EQ(Base64UrlDecode("-__-AQ")->view(), bytes);
  for (std::string_view bad : {"+//+AQ", "-__-AQ==", "-__-AR", "-", "a b", "-__-A"}) {
    EXPECT_THAT(Base64UrlDecode(bad), StatusIs(absl::StatusCode::kInvalidArgument, _)) << bad;
  }
}

TEST(Base64Url, RefusesMoreTextThanAnyKeySetHas) {
  // By its size: not a byte of it is read.
  const std::string_view huge("", (std::size_t{1} << 28) + 4);
  EXPECT_THAT(Base64UrlDecode(huge), StatusIs(absl::StatusCode::kInvalidArgument, _));
}

TEST(Base64, RefusesEveryOtherCharacterAtEveryPlace) {
  constexpr std::string_view kCommon =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
  const auto both = [](auto decode, std::string text, std::size_t at, std::string_view alphabet) {
    for (int byte = 0; byte < 256; ++byte) {
      text[at] = static_cast<char>(byte);
      const bool known = alphabet.find(text[at]) != std::string_view::npos;
      EXPECT_EQ(decode(text).ok(), known) << "byte " << byte << " at " << at;
    }
  };
  for (std::size_t at = 0; at < 5; ++at) {
    both(Base64Decode, "AAAAAA==", at, std::string(kCommon) + "+/");
    both(Base64UrlDecode, "AAAAAA", at, std::string(kCommon) + "-_");
  }
}

TEST(Base64Url, RoundTripsEveryLength) {
  std::string bytes;
  EXPECT_EQ(Base64Decode("")->view(), "");
  for (int i = 0; i < 100; ++i) {
    EXPECT_EQ(Base64UrlDecode(Base64UrlEncode(bytes).view())->view(), bytes);
    bytes.push_back(static_cast<char>(i * 37));
  }
}

}  // namespace
}  // namespace base
