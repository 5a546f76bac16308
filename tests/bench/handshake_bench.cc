// The costly parts of the plugin's start.
#include <optional>
#include <string>
#include <utility>

#include "base/secret.h"
#include "bench/records.h"
#include "benchmark/benchmark.h"
#include "goplugin/automtls.h"
#include "goplugin/handshake.h"
#include "support/host_identity.h"

namespace bench {
namespace {

void MakeCertificate(benchmark::State& state) {
  for (auto _ : state) benchmark::DoNotOptimize(goplugin::MakeIdentity(kNow));
}
BENCHMARK(MakeCertificate);

void SetUpTls(benchmark::State& state) {
  const goplugin::Identity host = testing_support::HostIdentity();
  const goplugin::Identity ours = *goplugin::MakeIdentity(kNow);
  for (auto _ : state) {
    goplugin::Identity identity{ours.certificate_der, ours.certificate_pem,
                                ours.private_key_pem.Clone()};
    benchmark::DoNotOptimize(goplugin::MakeMutualTls(std::move(identity), host.certificate_pem));
  }
}
BENCHMARK(SetUpTls);

void ReadHandshake(benchmark::State& state) {
  const goplugin::Identity host = testing_support::HostIdentity();
  const goplugin::Identity ours = *goplugin::MakeIdentity(kNow);
  const goplugin::Environment environment =
      [&](const std::string& name) -> std::optional<std::string> {
    if (name == "PLUGIN_CLIENT_CERT") return host.certificate_pem;
    if (name == "PLUGIN_PROTOCOL_VERSIONS") return "5";
    return std::nullopt;
  };
  for (auto _ : state) {
    const auto request = goplugin::ReadHandshake(environment);
    benchmark::DoNotOptimize(
        goplugin::HandshakeLine(*request, 5, "/tmp/sock", ours.certificate_der));
  }
}
BENCHMARK(ReadHandshake);

}  // namespace
}  // namespace bench
