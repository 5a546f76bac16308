#include "kvclient/address.h"

#include <gtest/gtest.h>

#include <string>

#include "kvclient/settings.h"
#include "support/status_matchers.h"

namespace kvclient {
namespace {

using ::testing::HasSubstr;
using ::testing_support::IsOk;
using ::testing_support::IsOkAndHolds;
using ::testing_support::StatusIs;

TEST(ParseAddress, TakesWhatOpenBaoIsReachedBy) {
  EXPECT_THAT(ParseAddress("https://bao.example.com"),
              IsOkAndHolds(Address{true, "bao.example.com", 443, ""}));
  EXPECT_THAT(ParseAddress("http://openbao:8200/"),
              IsOkAndHolds(Address{false, "openbao", 8200, ""}));
  EXPECT_THAT(ParseAddress("https://[2001:db8::1]:8200/bao"),
              IsOkAndHolds(Address{true, "2001:db8::1", 8200, "/bao"}));
  EXPECT_EQ(ParseAddress("https://[2001:db8::1]:8200")->Authority(), "[2001:db8::1]:8200");
  EXPECT_EQ(ParseAddress("http://127.0.0.1")->Authority(), "127.0.0.1:80");
}

TEST(ParseAddress, RefusesTheRest) {
  for (const char* bad :
       {"", "bao:8200", "ftp://bao", "https://", "https://:8200", "https://user@bao",
        "https://bao:", "https://bao:0", "https://bao:65536", "https://bao:+1",
        "https://bao:8200?x=1", "https://bao/#a", "https://ba o", "https://bao\r\nX: y",
        "https://[::1", "https://[bao]", "https://[::1]8200"}) {
    EXPECT_THAT(ParseAddress(bad),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("expected https://HOST")))
        << bad;
  }
}

TEST(IsLocal, IsLoopbackPrivateAndInClusterNames) {
  for (const char* host :
       {"127.0.0.1", "127.9.9.9", "::1", "10.1.2.3", "172.16.0.1", "172.31.255.255", "192.168.1.1",
        "169.254.1.1", "fd00::1", "fe80::1", "openbao", "openbao.vault.svc",
        "openbao.vault.svc.cluster.local", "openbao.vault.svc.cluster.local.", "x.localhost"}) {
    EXPECT_TRUE(IsLocal(host)) << host;
  }
  for (const char* host : {"bao.example.com", "8.8.8.8", "172.32.0.1", "172.15.0.1", "192.169.0.1",
                           "2001:db8::1", "svc.example.com", "a.svc.cluster.local.example.com"}) {
    EXPECT_FALSE(IsLocal(host)) << host;
  }
}

Settings Approle() {
  Settings settings;
  settings.address = "http://127.0.0.1:8200";
  settings.mount = "kv";
  settings.path = "a/secret";
  settings.role_id = "role-1";
  return settings;
}

TEST(Settings, AreCheckedPieceByPiece) {
  EXPECT_THAT(Approle().Check(), IsOk());
  const auto refused = [](const char* name, auto change) {
    Settings settings = Approle();
    change(settings);
    EXPECT_THAT(settings.Check(), StatusIs(absl::StatusCode::kInvalidArgument,
                                           HasSubstr(std::string(name) + ": expected")));
  };
  refused("address", [](Settings& s) { s.address = "bao"; });
  refused("ca_cert", [](Settings& s) { s.ca_cert = "-----BEGIN CERTIFICATE-----\nAAAA\n"; });
  refused("ca_cert", [](Settings& s) { s.ca_cert = "no PEM"; });
  refused("tls_server_name", [](Settings& s) { s.tls_server_name = "a b"; });
  refused("tls_server_name", [](Settings& s) { s.tls_server_name = "https://a"; });
  refused("mount", [](Settings& s) { s.mount = "a/../b"; });
  refused("mount", [](Settings& s) { s.mount = "/kv"; });
  refused("path", [](Settings& s) { s.path = "a?version=1"; });
  refused("path", [](Settings& s) { s.path = ""; });
  refused("mount", [](Settings& s) { s.mount = Settings().mount; });
  refused("path", [](Settings& s) { s.path = Settings().path; });
  refused("namespace", [](Settings& s) { s.name_space = "a b"; });
  refused("auth_mount", [](Settings& s) { s.auth_mount = "a//b"; });
  refused("role_id", [](Settings& s) { s.role_id = "a\r\nX-Vault-Token: b"; });
  refused("secret_id",
          [](Settings& s) { s.secret_id = base::SecretBytes(std::string_view("a b")); });
  refused("token", [](Settings& s) { s.auth_method = AuthMethod::kToken; });
  refused("role", [](Settings& s) { s.auth_method = AuthMethod::kJwt; });
  refused("jwt_path", [](Settings& s) {
    s.auth_method = AuthMethod::kJwt;
    s.role = "reader";
    s.jwt_path = "token";
  });
}

TEST(Settings, AnAddressIsTheSameHoweverItIsWritten) {
  Settings one = Approle();
  Settings other = Approle();
  for (const auto& [a, b] :
       {std::pair{"https://bao", "https://BAO:443/"}, std::pair{"http://bao", "http://bao:80"},
        std::pair{"https://bao:8200/x/", "https://bao:8200/x"}}) {
    one.address = a;
    other.address = b;
    EXPECT_TRUE(one.NamesSameSecret(other)) << a;
    EXPECT_TRUE(one.ConfidesAs(other)) << a;
  }
  for (const auto& [a, b] :
       {std::pair{"https://bao", "http://bao:443"}, std::pair{"https://bao", "https://bao:8200"},
        std::pair{"https://bao/x", "https://bao"}}) {
    one.address = a;
    other.address = b;
    EXPECT_FALSE(one.NamesSameSecret(other)) << a;
    EXPECT_FALSE(one.ConfidesAs(other)) << a;
  }
  other.address = one.address;
  other.tls_server_name = "bao";
  EXPECT_TRUE(one.NamesSameSecret(other));
  EXPECT_FALSE(one.ConfidesAs(other));
}

}  // namespace
}  // namespace kvclient
