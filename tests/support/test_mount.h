// The engine over a FakeStorage, as a host would drive it, with everything else under the test's
// control.
#ifndef TESTS_SUPPORT_TEST_MOUNT_H_
#define TESTS_SUPPORT_TEST_MOUNT_H_

#include <atomic>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <thread>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "base/json.h"
#include "engine/engine.h"
#include "sdk/logical/backend.h"
#include "support/fake_storage.h"
#include "support/fakes.h"

namespace testing_support {

// Keeps what was logged. Thread-safe.
class KeptLog final : public base::Logger {
 public:
  void Log(base::LogLevel, std::string_view message,
           std::initializer_list<base::LogPair> pairs) override;
  std::string text();

 private:
  absl::Mutex mutex_;
  std::string text_ ABSL_GUARDED_BY(mutex_);
};

class FakeSystemView final : public openbao::SystemView {
 public:
  absl::StatusOr<bool> PerformanceStandby() override { return standby; }
  std::atomic<bool> standby = false;
};

class FakeContext final : public openbao::Context {
 public:
  bool Cancelled() const override;
  // Whether that thread has asked: who waits for the mount's lock does, once it stands in the
  // queue.
  bool AskedBy(std::thread::id thread);
  std::atomic<bool> cancelled = false;

 private:
  mutable absl::Mutex mutex_;
  mutable std::set<std::thread::id> asked_ ABSL_GUARDED_BY(mutex_);
};

// Thread-safe as the engine is.
class TestMount {
 public:
  explicit TestMount(std::uint64_t seed = 1);

  // Drops the engine and builds a new one on the same storage.
  void Restart();

  // Each call is a request of its own, unless `id` is given.
  absl::StatusOr<std::optional<openbao::Response>> Call(openbao::Operation operation,
                                                        std::string_view path,
                                                        base::Json data = base::Json::object(),
                                                        std::string id = "");
  // The host's tick: what the engine does by itself. Its failure, if there is one.
  absl::Status Tick();
  // Ticks once a minute for that long.
  void Run(absl::Duration time);

  // The host's word that another node changed an entry.
  void Invalidate(std::string_view key) { engine_->InvalidateKey(key); }

  // Who calls from now on.
  void set_caller(std::string accessor, std::string address) {
    accessor_ = std::move(accessor);
    address_ = std::move(address);
  }

  // As Call, but the answer must be there: its data, or an error.
  absl::StatusOr<base::Json> Write(std::string_view path, base::Json data = base::Json::object(),
                                   std::string id = "");
  absl::StatusOr<base::Json> Read(std::string_view path, base::Json data = base::Json::object());

  // The four fields of tests/records/NAME.json and whatever else its record has.
  static base::Json RecordOf(const std::string& name);
  // Puts that record as the next version.
  absl::Status Put(const std::string& name);
  // The record that a reader gets, with key material; null if there is none.
  base::Json Record();
  // The live version, 0 if there is none.
  std::uint64_t LiveVersion();

  FakeStorage& storage() { return storage_; }
  FakeClock& clock() { return clock_; }
  SeededRandom& random() { return random_; }
  KeptLog& log() { return log_; }
  FakeSystemView& system() { return system_; }
  // That of every request.
  FakeContext& context() { return context_; }

 private:
  FakeStorage storage_;
  FakeClock clock_;
  SeededRandom random_;
  KeptLog log_;
  FakeSystemView system_;
  FakeContext context_;
  std::atomic<int> requests_ = 0;
  std::string accessor_ = "accessor-1";
  std::string address_ = "127.0.0.1";
  openbao::BackendFactory factory_;
  std::unique_ptr<openbao::Backend> engine_;
};

}  // namespace testing_support

#endif  // TESTS_SUPPORT_TEST_MOUNT_H_
