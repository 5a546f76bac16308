#include "support/host_identity.h"

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>

#include "absl/time/clock.h"
#include "base/secret.h"

namespace testing_support {
namespace {

using BioPtr = std::unique_ptr<BIO, int (*)(BIO*)>;

std::string_view Content(const BioPtr& bio) {
  char* data = nullptr;
  const auto size = BIO_get_mem_data(bio.get(), &data);
  return {data, static_cast<std::size_t>(size)};
}

}  // namespace

std::string CertificatePem(X509* certificate) {
  const BioPtr pem(BIO_new(BIO_s_mem()), BIO_free);
  if (PEM_write_bio_X509(pem.get(), certificate) != 1) std::abort();
  return std::string(Content(pem));
}

goplugin::Identity HostIdentity() {
  // All but the key is the same.
  goplugin::Identity identity = *goplugin::MakeIdentity(absl::Now());
  const auto* in = reinterpret_cast<const unsigned char*>(identity.certificate_der.data());
  const std::unique_ptr<X509, void (*)(X509*)> certificate(
      d2i_X509(nullptr, &in, std::ssize(identity.certificate_der)), X509_free);
  const std::unique_ptr<EVP_PKEY, void (*)(EVP_PKEY*)> key(EVP_EC_gen("P-521"), EVP_PKEY_free);
  const BioPtr der(BIO_new(BIO_s_mem()), BIO_free);
  const BioPtr key_pem(BIO_new(BIO_s_mem()), BIO_free);
  if (X509_set_pubkey(certificate.get(), key.get()) != 1 ||
      X509_sign(certificate.get(), key.get(), EVP_sha512()) <= 0 ||
      i2d_X509_bio(der.get(), certificate.get()) != 1 ||
      PEM_write_bio_PrivateKey_traditional(key_pem.get(), key.get(), nullptr, nullptr, 0, nullptr,
                                           nullptr) != 1) {
    std::abort();
  }
  identity.certificate_pem = CertificatePem(certificate.get());
  identity.certificate_der = Content(der);
  identity.private_key_pem = base::SecretBytes(Content(key_pem));
  return identity;
}

}  // namespace testing_support
