#ifndef TESTS_SUPPORT_HOST_IDENTITY_H_
#define TESTS_SUPPORT_HOST_IDENTITY_H_

#include <openssl/x509.h>

#include <string>

#include "goplugin/automtls.h"

namespace testing_support {

// A new certificate and its key as OpenBao's go-plugin makes them: ECDSA P-521 with SHA-512, which
// the plugin's own are not (src/adr/0012-p256-identity.md). Aborts if it can't be made.
goplugin::Identity HostIdentity();

// A certificate as PEM. Aborts if it can't be written.
std::string CertificatePem(X509* certificate);

}  // namespace testing_support

#endif  // TESTS_SUPPORT_HOST_IDENTITY_H_
