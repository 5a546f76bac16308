#include "bench/records.h"

#include <map>
#include <optional>
#include <utility>

#include "support/fakes.h"

namespace bench {

mek::NewKey KeyFor(const mek::Record* live) {
  static testing_support::SeededRandom random(1'000);
  return *mek::GenerateKey(live, std::nullopt, mek::PrivateJwks::kIndependent, kNow, random);
}

mek::Record RecordOf(std::int64_t keys) {
  static std::map<std::int64_t, mek::Record> made;
  if (const auto at = made.find(keys); at != made.end()) return at->second.Clone();
  mek::Record record = *mek::Init(KeyFor(nullptr));
  for (std::int64_t i = 1; i < keys; ++i) record = *mek::Rotate(record, KeyFor(&record));
  return made.emplace(keys, std::move(record)).first->second.Clone();
}

void Sizes(benchmark::internal::Benchmark* benchmark) {
  benchmark->RangeMultiplier(10)->Range(1, 1000)->Complexity();
}

}  // namespace bench
