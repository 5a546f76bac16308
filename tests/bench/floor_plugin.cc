// What a plugin on this SDK can't do without: a read is answered from memory, a rotation is one Put
// of an entry as large as ours, in turn. It makes no key and checks nothing. `make bench` measures
// it beside the engine, so that what is the engine's own can be told from what any plugin pays.

#include <malloc.h>

#include <memory>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "engine/fair_lock.h"
#include "sdk/framework/path_backend.h"
#include "sdk/transport/serve.h"

namespace {

using openbao::FieldData;
using openbao::Operation;
using openbao::PathBackend;
using openbao::Request;
using openbao::Response;

// What a key more adds to the two sets, each in Base64.
constexpr std::size_t kKeySize = std::size_t{2} * 220;

class Floor final : public PathBackend {
 public:
  using PathBackend::PathBackend;

  absl::StatusOr<std::optional<Response>> Put(const Request& request, const FieldData& data) {
    absl::StatusOr<engine::FairLock::Holder> holder = lock_.Acquire(request.context);
    if (!holder.ok()) return holder.status();
    const base::Json* fields = data.Object("data");
    absl::StatusOr<base::SecretBytes> text = base::DumpJson(*fields);
    if (!text.ok()) return text.status();
    entry_ = std::string(text->view());
    {
      absl::MutexLock lock(&mutex_);
      fields_ = *fields;
    }
    return Write(request);
  }

  absl::StatusOr<std::optional<Response>> Read(const Request&, const FieldData&) {
    Response response;
    absl::MutexLock lock(&mutex_);
    response.data["data"] = fields_;
    return response;
  }

  absl::StatusOr<std::optional<Response>> Rotate(const Request& request, const FieldData&) {
    absl::StatusOr<engine::FairLock::Holder> holder = lock_.Acquire(request.context);
    if (!holder.ok()) return holder.status();
    entry_.append(kKeySize, 'x');
    return Write(request);
  }

 private:
  absl::StatusOr<std::optional<Response>> Write(const Request& request) {
    const absl::Status status =
        request.storage->Put(absl::StrCat("versions/", ++version_), base::SecretBytes(entry_));
    if (!status.ok()) return status;
    Response response;
    response.data["version"] = version_;
    return response;
  }

  engine::FairLock lock_;  // over all of a write
  std::string entry_;
  int version_ = 0;
  absl::Mutex mutex_;
  base::Json fields_ ABSL_GUARDED_BY(mutex_);
};

std::shared_ptr<const openbao::PathTable> Paths() {
  openbao::Path data;
  data.pattern = "data/{path...}";
  data.fields = {
      {.name = "path", .description = "Any."},
      {.name = "data", .type = openbao::FieldType::kObject, .description = "The fields."}};
  data.operations = {{.operation = Operation::kRead,
                      .handler = openbao::For<Floor>(&Floor::Read),
                      .summary = "What was put."},
                     {.operation = Operation::kUpdate,
                      .handler = openbao::For<Floor>(&Floor::Put),
                      .summary = "Put."}};
  openbao::Path rotate;
  rotate.pattern = "rotate";
  rotate.operations = {{.operation = Operation::kUpdate,
                        .handler = openbao::For<Floor>(&Floor::Rotate),
                        .summary = "Put more."}};
  return std::make_shared<const openbao::PathTable>(openbao::PathTable{
      .title = "floor", .version = "v0.0.0", .description = "Bench.", .paths = {data, rotate}});
}

}  // namespace

int main(int argc, char** argv) {
  mallopt(M_ARENA_MAX, 2);  // as plugin/main.cc
  const auto table = Paths();
  return openbao::ServeBackend({.name = "floor_plugin",
                                .type = "floor",
                                .version = "v0.0.0",
                                .factory =
                                    [&](const openbao::BackendConfig& config) {
                                      return std::make_unique<Floor>(table, *config.system);
                                    }},
                               argc, argv);
}
