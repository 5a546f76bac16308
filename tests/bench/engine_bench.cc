// Whole requests within this process: what of their cost is ours, and not OpenBao's, gRPC's or the
// storage's.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <map>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "base/json.h"
#include "bench/records.h"
#include "benchmark/benchmark.h"
#include "mek/record.h"
#include "mek/version_doc.h"
#include "support/test_mount.h"
#include "support/tx_store.h"

namespace bench {
namespace {

using testing_support::TestMount;
using testing_support::TxStore;

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

// The storage of a mount with so many keys after as many requests as a version remembers, all but
// the live one pruned: the usual state of one that is old enough. Made once, as that takes long.
const TxStore::Content& OldMount(std::int64_t keys) {
  static std::map<std::int64_t, TxStore::Content> made;
  if (const auto at = made.find(keys); at != made.end()) return at->second;
  TestMount mount;
  const mek::Record record = RecordOf(keys);
  for (std::size_t i = 0; i < mek::kMaxRequestStamps; ++i) Put(mount, record);
  TxStore::Content content = mount.storage().content();
  const auto is_version = [](const auto& entry) { return entry.first.starts_with("versions/"); };
  const auto live = std::find_if(content.rbegin(), content.rend(), is_version);
  std::erase_if(content, [&, name = live->first](const auto& entry) {
    return is_version(entry) && entry.first != name;
  });
  return made.emplace(keys, std::move(content)).first->second;
}

// Each rotation adds a key, so the storage is put back now and then, outside of the timing.
void RotateRequest(benchmark::State& state) {
  constexpr int kInARow = 16;
  TestMount mount;
  const TxStore::Content& content = OldMount(state.range(0));
  int rotated = 0;
  int requests = 0;
  // Ids of its own: that of a request which the version remembers would be answered from there.
  const auto rotate = [&] {
    Must(mount.Write("rotate", base::Json::object(), absl::StrCat("rotation-", ++requests))
             .status());
  };
  for (auto _ : state) {
    if (rotated++ % kInARow == 0) {
      state.PauseTiming();
      mount.storage().store().set_content(content);
      mount.Restart();
      rotate();
      state.ResumeTiming();
    }
    rotate();
  }
  state.SetComplexityN(state.range(0));
}
BENCHMARK(RotateRequest)->Apply(Sizes);

}  // namespace
}  // namespace bench
