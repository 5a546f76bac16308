#include "goplugin/automtls.h"

#include <grpcpp/security/tls_certificate_provider.h>
#include <grpcpp/security/tls_certificate_verifier.h>
#include <grpcpp/security/tls_credentials_options.h>
#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <array>
#include <functional>
#include <utility>
#include <vector>

#include "base/status_macros.h"

namespace goplugin {
namespace {

template <auto kFree>
struct Free {
  template <class T>
  void operator()(T* object) const {
    kFree(object);
  }
};
using BioPtr = std::unique_ptr<BIO, Free<BIO_free_all>>;
using KeyPtr = std::unique_ptr<EVP_PKEY, Free<EVP_PKEY_free>>;
using CertificatePtr = std::unique_ptr<X509, Free<X509_free>>;
using ExtensionPtr = std::unique_ptr<X509_EXTENSION, Free<X509_EXTENSION_free>>;
using NumberPtr = std::unique_ptr<BIGNUM, Free<BN_free>>;

// go-plugin's 262,980 hours.
constexpr absl::Duration kValidity = absl::Hours(262'980);
constexpr absl::Duration kClockTolerance = absl::Seconds(30);
constexpr char kHost[] = "localhost";

std::string_view Content(BIO* bio) {
  char* data = nullptr;
  const auto size = BIO_get_mem_data(bio, &data);
  return {data, static_cast<std::size_t>(size)};
}

absl::StatusOr<std::string> Der(X509* certificate) {
  const int size = i2d_X509(certificate, nullptr);
  if (size <= 0) return absl::InternalError("a certificate can't be encoded");
  std::string der(static_cast<std::size_t>(size), '\0');
  auto* out = reinterpret_cast<unsigned char*>(der.data());
  i2d_X509(certificate, &out);
  return der;
}

absl::StatusOr<std::string> Pem(X509* certificate) {
  const BioPtr pem(BIO_new(BIO_s_mem()));
  if (PEM_write_bio_X509(pem.get(), certificate) != 1) {
    return absl::InternalError("a certificate can't be written as PEM");
  }
  return std::string(Content(pem.get()));
}

bool AddExtension(X509* certificate, int nid, const char* value) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, certificate, certificate, nullptr, nullptr, 0);
  const ExtensionPtr extension(X509V3_EXT_conf_nid(nullptr, &context, nid, value));
  return extension != nullptr && X509_add_ext(certificate, extension.get(), -1) == 1;
}

bool SetSerial(X509* certificate) {
  const NumberPtr serial(BN_new());
  return serial != nullptr &&
         BN_rand(serial.get(), 127, BN_RAND_TOP_ANY, BN_RAND_BOTTOM_ANY) == 1 &&
         BN_to_ASN1_INTEGER(serial.get(), X509_get_serialNumber(certificate)) != nullptr;
}

// X509_set_pubkey would encode the key and decode it again, and OpenSSL 3.0 decodes slowly.
bool SetPublicKey(X509* certificate, EVP_PKEY* key) {
  unsigned char* point = nullptr;
  const std::size_t size = EVP_PKEY_get1_encoded_public_key(key, &point);
  if (size == 0) return false;
  if (X509_PUBKEY_set0_param(
          X509_get_X509_PUBKEY(certificate), OBJ_nid2obj(NID_X9_62_id_ecPublicKey), V_ASN1_OBJECT,
          OBJ_nid2obj(NID_X9_62_prime256v1), point, static_cast<int>(size)) == 1) {
    return true;
  }
  OPENSSL_free(point);
  return false;
}

bool FillAndSign(X509* certificate, EVP_PKEY* key, absl::Time now) {
  X509_NAME* name = X509_get_subject_name(certificate);
  return X509_set_version(certificate, X509_VERSION_3) == 1 && SetSerial(certificate) &&
         X509_NAME_add_entry_by_NID(name, NID_commonName, MBSTRING_ASC,
                                    reinterpret_cast<const unsigned char*>(kHost), -1, -1,
                                    0) == 1 &&
         X509_set_issuer_name(certificate, name) == 1 &&
         ASN1_TIME_set(X509_getm_notBefore(certificate), absl::ToTimeT(now - kClockTolerance)) !=
             nullptr &&
         ASN1_TIME_set(X509_getm_notAfter(certificate), absl::ToTimeT(now + kValidity)) !=
             nullptr &&
         SetPublicKey(certificate, key) &&
         AddExtension(certificate, NID_basic_constraints, "critical,CA:TRUE") &&
         AddExtension(certificate, NID_key_usage,
                      "critical,digitalSignature,keyEncipherment,keyAgreement,keyCertSign") &&
         AddExtension(certificate, NID_ext_key_usage, "clientAuth,serverAuth") &&
         AddExtension(certificate, NID_subject_key_identifier, "hash") &&
         AddExtension(certificate, NID_subject_alt_name, "DNS:localhost") &&
         X509_sign(certificate, key, EVP_sha256()) > 0;
}

// The one certificate in a PEM text.
absl::StatusOr<CertificatePtr> ParseCertificate(std::string_view pem) {
  if (pem.size() > std::size_t{1} << 20) {
    return absl::InvalidArgumentError("the host's certificate is too long");
  }
  const BioPtr bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  CertificatePtr certificate(PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr));
  if (certificate == nullptr) {
    return absl::InvalidArgumentError("the host's certificate is not one in PEM");
  }
  if (CertificatePtr(PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr)) != nullptr) {
    return absl::InvalidArgumentError("the host gave more than one certificate");
  }
  return certificate;
}

// Accepts the one certificate and no other, after TLS has checked that the peer has its key. It
// replaces the check of the peer's name, which is localhost for everyone. Compared is the text,
// which gRPC has from PEM_write_bio_X509 too: reading a certificate decodes its key once more.
class OnlyThisPeer final : public grpc::experimental::ExternalCertificateVerifier {
 public:
  explicit OnlyThisPeer(std::string certificate_pem)
      : certificate_pem_(std::move(certificate_pem)) {}

  bool Verify(grpc::experimental::TlsCustomVerificationCheckRequest* request,
              std::function<void(grpc::Status)> /*callback*/, grpc::Status* sync_status) override {
    *sync_status =
        request->peer_cert() == certificate_pem_
            ? grpc::Status::OK
            : grpc::Status(grpc::StatusCode::UNAUTHENTICATED, "not the peer's certificate");
    return true;
  }
  void Cancel(grpc::experimental::TlsCustomVerificationCheckRequest* /*request*/) override {}

 private:
  const std::string certificate_pem_;
};

}  // namespace

absl::StatusOr<Identity> MakeIdentity(absl::Time now) {
  const KeyPtr key(EVP_EC_gen("P-256"));
  const CertificatePtr certificate(X509_new());
  if (key == nullptr || certificate == nullptr || !FillAndSign(certificate.get(), key.get(), now)) {
    return absl::InternalError("no certificate could be made for mutual TLS");
  }
  Identity identity;
  ASSIGN_OR_RETURN(identity.certificate_der, Der(certificate.get()));
  ASSIGN_OR_RETURN(identity.certificate_pem, Pem(certificate.get()));
  // This kind of buffer is wiped when it grows and when it is freed.
  const BioPtr key_pem(BIO_new(BIO_s_secmem()));
  if (PEM_write_bio_PrivateKey_traditional(key_pem.get(), key.get(), nullptr, nullptr, 0, nullptr,
                                           nullptr) != 1) {
    return absl::InternalError("the key for mutual TLS could not be written as PEM");
  }
  identity.private_key_pem = base::SecretBytes(Content(key_pem.get()));
  return identity;
}

absl::StatusOr<MutualTls> MakeMutualTls(Identity identity, std::string_view peer_certificate_pem) {
  namespace tls = grpc::experimental;
  ASSIGN_OR_RETURN(const CertificatePtr peer, ParseCertificate(peer_certificate_pem));
  ASSIGN_OR_RETURN(const std::string peer_pem, Pem(peer.get()));

  std::vector<tls::IdentityKeyCertPair> pairs(1);
  pairs[0].private_key = identity.private_key_pem.view();
  pairs[0].certificate_chain = identity.certificate_pem;
  const auto provider = std::make_shared<tls::StaticDataCertificateProvider>(
      std::string(peer_certificate_pem), pairs);
  OPENSSL_cleanse(pairs[0].private_key.data(), pairs[0].private_key.size());
  const auto verifier = tls::ExternalCertificateVerifier::Create<OnlyThisPeer>(peer_pem);

  tls::TlsServerCredentialsOptions server(provider);
  server.watch_root_certs();
  server.watch_identity_key_cert_pairs();
  server.set_cert_request_type(GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY);
  server.set_certificate_verifier(verifier);

  tls::TlsChannelCredentialsOptions channel;
  channel.set_certificate_provider(provider);
  channel.watch_root_certs();
  channel.watch_identity_key_cert_pairs();
  channel.set_certificate_verifier(verifier);
  channel.set_check_call_host(false);

  return MutualTls{std::move(identity.certificate_der), tls::TlsServerCredentials(server),
                   tls::TlsCredentials(channel)};
}

}  // namespace goplugin
