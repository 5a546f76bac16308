#include "kvclient/tls.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509_vfy.h>

#include "base/status_macros.h"
#include "base/turn.h"
#include "kvclient/address.h"

namespace kvclient {
namespace {

// Where distributions keep the public authorities: OpenSSL's own default is Debian's alone.
constexpr const char* kSystemFiles[] = {"/etc/ssl/certs/ca-certificates.crt", "/etc/ssl/cert.pem",
                                        "/etc/pki/tls/certs/ca-bundle.crt"};

absl::Status Failed() {
  ERR_clear_error();
  return absl::InternalError("TLS can't be set up");
}

absl::Status AddAuthorities(X509_STORE* store, std::string_view pem) {
  struct Free {
    void operator()(BIO* bio) const { BIO_free(bio); }
    void operator()(X509* certificate) const { X509_free(certificate); }
  };
  const std::unique_ptr<BIO, Free> text(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  if (text == nullptr) return Failed();
  int count = 0;
  for (;;) {
    const std::unique_ptr<X509, Free> certificate(
        PEM_read_bio_X509(text.get(), nullptr, nullptr, nullptr));
    if (certificate == nullptr) break;
    if (X509_STORE_add_cert(store, certificate.get()) != 1) return Failed();
    ++count;
  }
  // The end of the text is no error; anything else is.
  const auto why = ERR_peek_last_error();
  ERR_clear_error();
  if (count == 0 || ERR_GET_REASON(why) != PEM_R_NO_START_LINE) {
    return absl::InvalidArgumentError(
        "ca_cert: expected the PEM text of one or more certificates (-----BEGIN CERTIFICATE-----)");
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<TlsContext> NewTlsContext(std::string_view ca_pem) {
  TlsContext context(SSL_CTX_new(TLS_client_method()));
  if (context == nullptr || SSL_CTX_set_min_proto_version(context.get(), TLS1_2_VERSION) != 1) {
    return Failed();
  }
  SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER, nullptr);
  SSL_CTX_set_options(context.get(), SSL_OP_CLEANSE_PLAINTEXT | SSL_OP_NO_COMPRESSION);
  SSL_CTX_set_mode(context.get(), SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_session_cache_mode(context.get(), SSL_SESS_CACHE_OFF);
  X509_STORE* store = SSL_CTX_get_cert_store(context.get());
  if (!ca_pem.empty()) {
    RETURN_IF_ERROR(AddAuthorities(store, ca_pem));
    return context;
  }
  base::PassTurnOn();  // the system's authorities take 50 ms
  X509_STORE_set_default_paths(store);
  for (const char* file : kSystemFiles) X509_STORE_load_file(store, file);
  ERR_clear_error();  // most of the files are not there
  return context;
}

absl::StatusOr<Tls> NewTls(SSL_CTX* context, const std::string& host) {
  Tls tls(SSL_new(context));
  if (tls == nullptr) return Failed();
  const bool named = IsIpAddress(host) ? X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(tls.get()),
                                                                       host.c_str()) == 1
                                       : SSL_set1_host(tls.get(), host.c_str()) == 1 &&
                                             SSL_set_tlsext_host_name(tls.get(), host.c_str()) == 1;
  if (!named) return Failed();
  return tls;
}

}  // namespace kvclient
