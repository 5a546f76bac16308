#include "support/test_mount.h"

#include <stdexcept>
#include <utility>

#include "base/status_macros.h"
#include "base/text.h"
#include "support/records.h"

namespace testing_support {

using base::Json;
using openbao::Operation;

void KeptLog::Log(base::LogLevel, std::string_view message,
                  std::initializer_list<base::LogPair> pairs) {
  absl::MutexLock lock(&mutex_);
  text_ += message;
  for (const auto& [key, value] : pairs) text_ += base::Cat(" ", key, "=", value);
  text_ += "\n";
}

std::string KeptLog::text() {
  absl::MutexLock lock(&mutex_);
  return text_;
}

bool FakeContext::Cancelled() const {
  absl::MutexLock lock(&mutex_);
  asked_.insert(std::this_thread::get_id());
  return cancelled;
}

bool FakeContext::AskedBy(std::thread::id thread) {
  absl::MutexLock lock(&mutex_);
  return asked_.contains(thread);
}

TestMount::TestMount(std::uint64_t seed)
    : clock_(absl::FromUnixSeconds(1'800'000'000)),
      random_(seed),
      factory_(engine::EngineFactory("v0.0.0-test", clock_, random_)) {
  Restart();
}

void TestMount::Restart() {
  openbao::BackendConfig config;
  config.logger = &log_;
  config.system = &system_;
  engine_ = *factory_(config);
  engine_->Initialize(storage_).IgnoreError();
}

absl::StatusOr<std::optional<openbao::Response>> TestMount::Call(Operation operation,
                                                                 std::string_view path, Json data,
                                                                 std::string id) {
  openbao::Request request;
  request.id = id.empty() ? absl::StrCat("request-", ++requests_) : std::move(id);
  request.operation = operation;
  request.path = std::string(path);
  request.data = std::move(data);
  request.mount_point = "mek/";
  request.display_name = "token-test";
  request.entity_id = "entity-1";
  request.client_token_accessor = accessor_;
  request.remote_address = address_;
  request.context = &context_;
  request.storage = &storage_;
  return engine_->HandleRequest(request);
}

absl::Status TestMount::Tick() { return Call(Operation::kRollback, "").status(); }

void TestMount::Run(absl::Duration time) {
  for (absl::Duration passed; passed < time; passed += absl::Minutes(1)) {
    clock_.Advance(absl::Minutes(1));
    Tick().IgnoreError();
  }
}

absl::StatusOr<Json> TestMount::Write(std::string_view path, Json data, std::string id) {
  ASSIGN_OR_RETURN(std::optional<openbao::Response> response,
                   Call(Operation::kUpdate, path, std::move(data), std::move(id)));
  return response.has_value() ? std::move(response->data) : Json();
}

absl::StatusOr<Json> TestMount::Read(std::string_view path, Json data) {
  ASSIGN_OR_RETURN(std::optional<openbao::Response> response,
                   Call(Operation::kRead, path, std::move(data)));
  return response.has_value() ? std::move(response->data) : Json();
}

Json TestMount::RecordOf(const std::string& name) { return ReadRecord(name); }

absl::Status TestMount::Put(const std::string& name) {
  return Write("data/encryption/keys/stored_data", Json{{"data", RecordOf(name)}}).status();
}

Json TestMount::Record() {
  const absl::StatusOr<Json> read = Read("data/encryption/keys/stored_data");
  if (!read.ok()) throw std::runtime_error(std::string(read.status().message()));
  return read->is_null() ? Json() : read->at("data");
}

std::uint64_t TestMount::LiveVersion() {
  const absl::StatusOr<Json> status = Read("status");
  if (!status.ok()) throw std::runtime_error(std::string(status.status().message()));
  return status->at("version").get<std::uint64_t>();
}

}  // namespace testing_support
