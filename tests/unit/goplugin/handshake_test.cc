#include "goplugin/handshake.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <string>

#include "support/status_matchers.h"

namespace goplugin {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing_support::IsOk;
using ::testing_support::StatusIs;

Environment Fake(std::map<std::string, std::string> variables) {
  return [variables = std::move(variables)](const std::string& name) -> std::optional<std::string> {
    const auto at = variables.find(name);
    if (at == variables.end()) return std::nullopt;
    return at->second;
  };
}

TEST(StartedByHost, IsToldByTheExactCookie) {
  EXPECT_TRUE(StartedByHost(Fake({{"COOKIE", "crumb"}}), "COOKIE", "crumb"));
  EXPECT_FALSE(StartedByHost(Fake({{"COOKIE", "crumbs"}}), "COOKIE", "crumb"));
  EXPECT_FALSE(StartedByHost(Fake({{"COOKIE", ""}}), "COOKIE", "crumb"));
  EXPECT_FALSE(StartedByHost(Fake({}), "COOKIE", "crumb"));
}

TEST(StartedByHost, IsFalseWithoutACookieToCompareWith) {
  EXPECT_FALSE(StartedByHost(Fake({}), "COOKIE", ""));
  EXPECT_FALSE(StartedByHost(Fake({{"COOKIE", ""}}), "COOKIE", ""));
}

TEST(ReadHandshake, TakesWhatTheHostSays) {
  const auto request = ReadHandshake(Fake({{"PLUGIN_CLIENT_CERT", "pem"},
                                           {"PLUGIN_PROTOCOL_VERSIONS", "4,5"},
                                           {"PLUGIN_UNIX_SOCKET_DIR", "/run/plugins"},
                                           {"PLUGIN_MULTIPLEX_GRPC", "true"},
                                           {"TMPDIR", "/elsewhere"}}));
  ASSERT_THAT(request, IsOk());
  EXPECT_EQ(request->host_certificate_pem, "pem");
  EXPECT_EQ(request->socket_directory, "/run/plugins");
  EXPECT_THAT(request->protocol_versions, ElementsAre(4, 5));
  EXPECT_TRUE(request->knows_multiplexing);
}

TEST(ReadHandshake, FallsBackToTheTemporaryDirectory) {
  EXPECT_EQ(ReadHandshake(Fake({{"PLUGIN_CLIENT_CERT", "pem"}}))->socket_directory, "/tmp");
  EXPECT_EQ(ReadHandshake(Fake({{"PLUGIN_CLIENT_CERT", "pem"}, {"TMPDIR", "/var/tmp"}}))
                ->socket_directory,
            "/var/tmp");
  EXPECT_EQ(
      ReadHandshake(
          Fake({{"PLUGIN_CLIENT_CERT", "pem"}, {"PLUGIN_UNIX_SOCKET_DIR", ""}, {"TMPDIR", ""}}))
          ->socket_directory,
      "/tmp");
}

TEST(ReadHandshake, PassesOverVersionsThatAreNoNumbers) {
  const auto versions = [](const std::string& text) {
    return ReadHandshake(Fake({{"PLUGIN_CLIENT_CERT", "pem"}, {"PLUGIN_PROTOCOL_VERSIONS", text}}))
        ->protocol_versions;
  };
  EXPECT_THAT(versions("x,5,,99999999999999999999,5.5,-1"), ElementsAre(5, -1));
  EXPECT_THAT(versions(""), IsEmpty());
}

TEST(ReadHandshake, RefusesAHostWithoutCertificate) {
  const auto refused = StatusIs(absl::StatusCode::kFailedPrecondition,
                                AllOf(HasSubstr("PLUGIN_CLIENT_CERT"), HasSubstr("AutoMTLS")));
  EXPECT_THAT(ReadHandshake(Fake({{"PLUGIN_PROTOCOL_VERSIONS", "5"}})), refused);
  EXPECT_THAT(ReadHandshake(Fake({{"PLUGIN_CLIENT_CERT", ""}})), refused);
}

TEST(ReadHandshake, KnowsOfMultiplexingOnlyIfTheHostSaysSo) {
  EXPECT_FALSE(ReadHandshake(Fake({{"PLUGIN_CLIENT_CERT", "pem"}}))->knows_multiplexing);
  EXPECT_FALSE(ReadHandshake(Fake({{"PLUGIN_CLIENT_CERT", "pem"}, {"PLUGIN_MULTIPLEX_GRPC", ""}}))
                   ->knows_multiplexing);
  // Whatever its value: the host that sets it reads seven fields.
  EXPECT_TRUE(
      ReadHandshake(Fake({{"PLUGIN_CLIENT_CERT", "pem"}, {"PLUGIN_MULTIPLEX_GRPC", "false"}}))
          ->knows_multiplexing);
}

TEST(CheckProtocolVersion, NeedsOneInCommon) {
  HandshakeRequest request;
  request.protocol_versions = {3, 4};
  EXPECT_THAT(CheckProtocolVersion(request, 4), IsOk());
  EXPECT_THAT(CheckProtocolVersion(request, 5),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       AllOf(HasSubstr("the host speaks 3, 4"), HasSubstr("speaks 5"))));
  request.protocol_versions = {};
  EXPECT_THAT(CheckProtocolVersion(request, 5),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("none")));
}

TEST(HandshakeLine, HasSixFieldsAndAnUnpaddedCertificate) {
  const HandshakeRequest request;
  EXPECT_EQ(HandshakeLine(request, 5, "/tmp/x/sock", "abc"), "1|5|unix|/tmp/x/sock|grpc|YWJj\n");
  EXPECT_EQ(HandshakeLine(request, 5, "/tmp/x/sock", "ab"), "1|5|unix|/tmp/x/sock|grpc|YWI\n");
  EXPECT_EQ(HandshakeLine(request, 7, "/s", std::string("\xff", 1)), "1|7|unix|/s|grpc|/w\n");
}

TEST(HandshakeLine, DeclinesMultiplexingWhereTheHostKnowsOfIt) {
  HandshakeRequest request;
  request.knows_multiplexing = true;
  EXPECT_EQ(HandshakeLine(request, 5, "/tmp/x/sock", "abc"),
            "1|5|unix|/tmp/x/sock|grpc|YWJj|false\n");
}

}  // namespace
}  // namespace goplugin
