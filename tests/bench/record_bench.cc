// What one rotation and one read compute: keys, sets, records, stored versions.
#include <openssl/sha.h>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/random.h"
#include "bench/records.h"
#include "benchmark/benchmark.h"
#include "mek/jwk.h"
#include "mek/kid.h"
#include "mek/record.h"
#include "mek/rotation.h"
#include "mek/version_doc.h"

namespace bench {
namespace {

// What the others are compared with, as it costs about the same on every machine of a kind.
void Yardstick(benchmark::State& state) {
  const std::vector<unsigned char> data(std::size_t{1} << 16, 'x');
  unsigned char digest[SHA256_DIGEST_LENGTH];
  for (auto _ : state) {
    benchmark::DoNotOptimize(SHA256(data.data(), data.size(), digest));
  }
}
BENCHMARK(Yardstick);

void NewKid(benchmark::State& state) {
  base::OpensslRandom random;
  for (auto _ : state) benchmark::DoNotOptimize(mek::NewKid(kNow, kNow, random));
}
BENCHMARK(NewKid);

void ValidateJwk(benchmark::State& state) {
  const mek::Record record = RecordOf(1);
  const std::string_view text = record.set(mek::Set::kKeys).keys()[0].json();
  for (auto _ : state) {
    benchmark::DoNotOptimize(mek::Jwk::Parse(mek::Set::kKeys, 0, base::SecretBytes(text)));
  }
}
BENCHMARK(ValidateJwk);

void GenerateKey(benchmark::State& state) {
  const mek::Record record = RecordOf(state.range(0));
  base::OpensslRandom random;
  for (auto _ : state) {
    benchmark::DoNotOptimize(
        mek::GenerateKey(&record, std::nullopt, mek::PrivateJwks::kAuto, kNow, random));
  }
  state.SetComplexityN(state.range(0));
}
BENCHMARK(GenerateKey)->Apply(Sizes);

void ParseRecord(benchmark::State& state) {
  const base::SecretBytes text = *RecordOf(state.range(0)).ToText();
  for (auto _ : state) benchmark::DoNotOptimize(mek::Record::ParseText(text.view()));
  state.SetComplexityN(state.range(0));
}
BENCHMARK(ParseRecord)->Apply(Sizes);

void SerializeRecord(benchmark::State& state) {
  const mek::Record record = RecordOf(state.range(0));
  for (auto _ : state) benchmark::DoNotOptimize(record.ToText());
  state.SetComplexityN(state.range(0));
}
BENCHMARK(SerializeRecord)->Apply(Sizes);

void RotateRecord(benchmark::State& state) {
  const mek::Record record = RecordOf(state.range(0));
  const mek::NewKey key = KeyFor(&record);
  for (auto _ : state) benchmark::DoNotOptimize(mek::Rotate(record, key));
  state.SetComplexityN(state.range(0));
}
BENCHMARK(RotateRecord)->Apply(Sizes);

mek::VersionDoc VersionOf(std::int64_t keys, std::int64_t requests) {
  mek::VersionDoc doc{.record = RecordOf(keys), .operation = "rotate", .created_time = kNow};
  for (std::int64_t i = 0; i < requests; ++i) {
    doc.requests.Add(absl::StrCat("0e2c7c9a-5f5b-4b6f-9d39-", absl::Dec(i, absl::kZeroPad12)),
                     static_cast<std::uint64_t>(i));
  }
  return doc;
}

// {keys, requests remembered}
void Versions(benchmark::internal::Benchmark* benchmark) {
  benchmark->Args({1, 0})->Args({1, 256})->Args({100, 256})->Args({1000, 256});
}

void ParseVersion(benchmark::State& state) {
  const base::SecretBytes text = *VersionOf(state.range(0), state.range(1)).Serialize();
  for (auto _ : state) benchmark::DoNotOptimize(mek::VersionDoc::Parse("it", text.view()));
}
BENCHMARK(ParseVersion)->Apply(Versions);

void SerializeVersion(benchmark::State& state) {
  const mek::VersionDoc doc = VersionOf(state.range(0), state.range(1));
  for (auto _ : state) benchmark::DoNotOptimize(doc.Serialize());
}
BENCHMARK(SerializeVersion)->Apply(Versions);

}  // namespace
}  // namespace bench
