// Records of a given size, for the micro-benchmarks.
#ifndef TESTS_BENCH_RECORDS_H_
#define TESTS_BENCH_RECORDS_H_

#include <cstdint>

#include "absl/time/time.h"
#include "benchmark/benchmark.h"
#include "mek/record.h"
#include "mek/rotation.h"

namespace bench {

inline const absl::Time kNow = absl::FromUnixSeconds(1'790'000'000);

// A new key, later than those of `live`.
mek::NewKey KeyFor(const mek::Record* live);

// As rotations leave it; with so many keys in each set.
mek::Record RecordOf(std::int64_t keys);

// 1, 10, 100, 1,000: numbers of keys, by which the benchmark's cost is shown to grow.
void Sizes(benchmark::internal::Benchmark* benchmark);

}  // namespace bench

#endif  // TESTS_BENCH_RECORDS_H_
