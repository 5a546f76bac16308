// Whole requests within this process: what of their cost is ours, and not OpenBao's, gRPC's or the
// storage's.
#include <cstddef>
#include <cstdlib>
#include <iostream>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "base/json.h"
#include "bench/records.h"
#include "benchmark/benchmark.h"
#include "mek/record.h"
#include "mek/version_doc.h"
#include "support/test_mount.h"

namespace bench {
namespace {

using testing_support::TestMount;

constexpr std::string_view kRecordPath = "data/encryption/keys/stored_data";

void Must(const absl::Status& status) {
  if (status.ok()) return;
  std::cerr << status << "\n";
  std::abort();
}

void Put(TestMount& mount, const mek::Record& record) {
  base::Json body = base::Json::object();
  body["data"] = record.ToJson();
  Must(mount.Write(kRecordPath, std::move(body)).status());
}

void ReadRequest(benchmark::State& state) {
  TestMount mount;
  Put(mount, RecordOf(state.range(0)));
  for (auto _ : state) Must(mount.Read(kRecordPath).status());
  state.SetComplexityN(state.range(0));
}
BENCHMARK(ReadRequest)->Apply(Sizes);

// After as many requests as a version remembers, the usual state of a mount that is old enough.
// Each rotation adds a key, so the storage is put back now and then, outside of the timing.
void RotateRequest(benchmark::State& state) {
  constexpr int kInARow = 16;
  TestMount mount;
  const mek::Record record = RecordOf(state.range(0));
  for (std::size_t i = 0; i < mek::kMaxRequestStamps; ++i) Put(mount, record);
  const testing_support::TxStore::Content content = mount.storage().content();
  int rotated = 0;
  for (auto _ : state) {
    if (rotated++ % kInARow == 0) {
      state.PauseTiming();
      mount.storage().store().set_content(content);
      mount.Restart();
      Must(mount.Write("rotate").status());
      state.ResumeTiming();
    }
    Must(mount.Write("rotate").status());
  }
  state.SetComplexityN(state.range(0));
}
BENCHMARK(RotateRequest)->Apply(Sizes);

}  // namespace
}  // namespace bench
