#include "base/aes_gcm.h"

#include <gtest/gtest.h>

#include <climits>
#include <string>

#include "absl/strings/escaping.h"
#include "support/faulty.h"

namespace base {
namespace {

using ::testing_support::Faulty;

SecretBytes KeyOf(char byte) { return SecretBytes(std::string(kAes256KeySize, byte)); }
Aes256Key Span(const SecretBytes& key) { return Aes256Key(key.span()); }

TEST(AesGcm, OpensWhatItSealedUnderTheSameKeyOnly) {
  const SecretBytes key = KeyOf('k');
  for (const std::string& plain : {std::string(), std::string("x"), std::string(1 << 16, 'p')}) {
    const auto sealed = SealAesGcm(Span(key), plain);
    ASSERT_TRUE(sealed.has_value());
    EXPECT_EQ(sealed->size(), 12 + plain.size() + 16);
    EXPECT_EQ(OpenAesGcm(Span(key), *sealed)->view(), plain);
    EXPECT_FALSE(OpenAesGcm(Span(KeyOf('K')), *sealed).has_value());
  }
}

// The Galois/Counter Mode of Operation (McGrew, Viega), test case 14: key, nonce and plaintext
// zero.
TEST(AesGcm, OpensTheSpecificationsVector) {
  const std::string sealed = std::string(12, '\0') + std::string(absl::HexStringToBytes(
                                                         "cea7403d4d606b6e074ec5d3baf39d18"
                                                         "d0d1c8a799996bf0265b98b5d48ab919"));
  const auto* bytes = reinterpret_cast<const std::uint8_t*>(sealed.data());
  const auto opened = OpenAesGcm(Span(SecretBytes(kAes256KeySize)), {bytes, sealed.size()});
  ASSERT_TRUE(opened.has_value());
  EXPECT_EQ(opened->view(), std::string(16, '\0'));
}

TEST(AesGcm, OpensNothingThatIsTooShortToBeSealed) {
  const SecretBytes key = KeyOf('k');
  const auto sealed = *SealAesGcm(Span(key), "");
  for (std::size_t size = 0; size < sealed.size(); ++size) {
    EXPECT_FALSE(OpenAesGcm(Span(key), {sealed.data(), size}).has_value()) << size;
  }
}

TEST(AesGcm, SealsNothingThatOpensslCanNotCount) {
  // Refused by its size: not a byte of it is read.
  const std::string_view huge("", static_cast<std::size_t>(INT_MAX) + 1);
  EXPECT_FALSE(SealAesGcm(Span(KeyOf('k')), huge).has_value());
}

TEST(AesGcm, GivesNothingWhereAFunctionOfOpensslFails) {
  const SecretBytes key = KeyOf('k');
  const auto sealed = *SealAesGcm(Span(key), "plain");
  for (const char* function : {"EVP_CIPHER_CTX_new", "RAND_bytes", "EVP_EncryptInit_ex",
                               "EVP_EncryptUpdate", "EVP_EncryptFinal_ex", "EVP_CIPHER_CTX_ctrl"}) {
    const Faulty fault(function);
    EXPECT_FALSE(SealAesGcm(Span(key), "plain").has_value()) << function;
  }
  for (const char* function :
       {"EVP_CIPHER_CTX_new", "EVP_DecryptInit_ex", "EVP_DecryptUpdate", "EVP_CIPHER_CTX_ctrl"}) {
    const Faulty fault(function);
    EXPECT_FALSE(OpenAesGcm(Span(key), sealed).has_value()) << function;
  }
  EXPECT_EQ(OpenAesGcm(Span(key), sealed)->view(), "plain");
}

}  // namespace
}  // namespace base
