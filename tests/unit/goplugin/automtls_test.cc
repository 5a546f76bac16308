#include "goplugin/automtls.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <memory>
#include <string>

#include "support/status_matchers.h"

namespace goplugin {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;
using ::testing_support::IsOk;
using ::testing_support::StatusIs;

std::shared_ptr<X509> Parse(const std::string& der) {
  const auto* in = reinterpret_cast<const unsigned char*>(der.data());
  return {d2i_X509(nullptr, &in, std::ssize(der)), X509_free};
}

std::string CommonName(const X509_NAME* name) {
  char text[100] = {};
  X509_NAME_get_text_by_NID(const_cast<X509_NAME*>(name), NID_commonName, text, sizeof text);
  return text;
}

class MakeIdentityTest : public ::testing::Test {
 protected:
  const absl::Time now_ = absl::FromUnixSeconds(1'800'000'000);
  const Identity identity_ = *MakeIdentity(now_);
  const std::shared_ptr<X509> certificate_ = Parse(identity_.certificate_der);
};

TEST_F(MakeIdentityTest, CertificateIsForLocalhostAndSignsItself) {
  X509* certificate = certificate_.get();
  ASSERT_NE(certificate, nullptr);
  EXPECT_EQ(X509_get_version(certificate), X509_VERSION_3);
  EXPECT_EQ(CommonName(X509_get_subject_name(certificate)), "localhost");
  EXPECT_EQ(CommonName(X509_get_issuer_name(certificate)), "localhost");
  EXPECT_EQ(
      X509_check_host(certificate, "localhost", 0, X509_CHECK_FLAG_NEVER_CHECK_SUBJECT, nullptr),
      1);
  EXPECT_EQ(X509_check_host(certificate, "other", 0, 0, nullptr), 0);
  EXPECT_EQ(X509_verify(certificate, X509_get0_pubkey(certificate)), 1);
}

TEST_F(MakeIdentityTest, KeyIsEcdsaP256) {
  char group[100] = {};
  ASSERT_EQ(
      EVP_PKEY_get_group_name(X509_get0_pubkey(certificate_.get()), group, sizeof group, nullptr),
      1);
  EXPECT_STREQ(group, "prime256v1");
}

TEST_F(MakeIdentityTest, CertificateIsAnAuthorityForBothEndsOfAConnection) {
  X509* certificate = certificate_.get();
  const std::uint32_t flags = X509_get_extension_flags(certificate);
  EXPECT_EQ(flags & EXFLAG_CA, unsigned{EXFLAG_CA});
  EXPECT_EQ(X509_get_key_usage(certificate), unsigned{KU_DIGITAL_SIGNATURE | KU_KEY_ENCIPHERMENT |
                                                      KU_KEY_AGREEMENT | KU_KEY_CERT_SIGN});
  EXPECT_EQ(X509_get_extended_key_usage(certificate), unsigned{XKU_SSL_CLIENT | XKU_SSL_SERVER});
}

TEST_F(MakeIdentityTest, IsValidFromJustBeforeNowForThirtyYears) {
  const auto compare = [&](const ASN1_TIME* time, absl::Time with) {
    return ASN1_TIME_cmp_time_t(time, absl::ToTimeT(with));
  };
  EXPECT_EQ(compare(X509_get0_notBefore(certificate_.get()), now_ - absl::Seconds(30)), 0);
  EXPECT_EQ(compare(X509_get0_notAfter(certificate_.get()), now_ + absl::Hours(262'980)), 0);
}

TEST_F(MakeIdentityTest, PemFormsBelongTogether) {
  const std::unique_ptr<BIO, int (*)(BIO*)> certificate_bio(
      BIO_new_mem_buf(identity_.certificate_pem.data(), -1), BIO_free);
  const std::unique_ptr<X509, void (*)(X509*)> certificate(
      PEM_read_bio_X509(certificate_bio.get(), nullptr, nullptr, nullptr), X509_free);
  ASSERT_NE(certificate, nullptr);
  EXPECT_EQ(X509_cmp(certificate.get(), certificate_.get()), 0);

  const std::string_view pem = identity_.private_key_pem.view();
  EXPECT_THAT(std::string(pem.substr(0, 30)), StartsWith("-----BEGIN EC PRIVATE KEY-----"));
  const std::unique_ptr<BIO, int (*)(BIO*)> key_bio(
      BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())), BIO_free);
  const std::unique_ptr<EVP_PKEY, void (*)(EVP_PKEY*)> key(
      PEM_read_bio_PrivateKey(key_bio.get(), nullptr, nullptr, nullptr), EVP_PKEY_free);
  ASSERT_NE(key, nullptr);
  EXPECT_EQ(X509_check_private_key(certificate.get(), key.get()), 1);
}

TEST_F(MakeIdentityTest, IsNeverTheSameTwice) {
  const Identity other = *MakeIdentity(now_);
  EXPECT_FALSE(other.private_key_pem == identity_.private_key_pem);
  EXPECT_NE(ASN1_INTEGER_cmp(X509_get0_serialNumber(Parse(other.certificate_der).get()),
                             X509_get0_serialNumber(certificate_.get())),
            0);
}

TEST(MakeMutualTls, NeedsExactlyOneCertificateOfThePeer) {
  const auto make = [](std::string_view peer) {
    return MakeMutualTls(*MakeIdentity(absl::Now()), peer);
  };
  const std::string peer = MakeIdentity(absl::Now())->certificate_pem;
  EXPECT_THAT(make(peer), IsOk());
  EXPECT_THAT(make(peer + "\n"), IsOk());
  EXPECT_THAT(make(peer + peer),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("more than one")));
  for (const std::string& bad : {std::string(), std::string("certificate"),
                                 peer.substr(0, peer.size() / 2), std::string(2'000'000, 'x')}) {
    EXPECT_THAT(make(bad), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("certificate")));
  }
}

TEST(MakeMutualTls, GivesOurCertificateForTheHandshake) {
  Identity identity = *MakeIdentity(absl::Now());
  const std::string der = identity.certificate_der;
  EXPECT_EQ(MakeMutualTls(std::move(identity), MakeIdentity(absl::Now())->certificate_pem)
                ->certificate_der,
            der);
}

}  // namespace
}  // namespace goplugin
