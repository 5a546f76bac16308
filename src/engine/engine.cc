#include "engine/engine.h"

#include <future>
#include <memory>
#include <string_view>
#include <utility>

#include "engine/kv_time.h"
#include "engine/mount.h"
#include "engine/paths.h"
#include "engine/tick.h"
#include "sdk/framework/path_backend.h"

namespace engine {
namespace {

constexpr char kDescription[] =
    "The mek secrets engine keeps a platform's Master Encryption Key record and rotates it: one "
    "call makes a new key, in both key sets, atomically, as a new version; another goes back. No "
    "key that was ever current leaves the record unless a person says so.\n\n"
    "    write -f rotate                     a fresh key, current at once\n"
    "    write rotate activation=staged      a fresh key, current once its readers have it\n"
    "    write -f activate                   make the staged key current\n"
    "    write rollback version=N            go back to version N, keeping the keys made since\n"
    "    read status                         version, kids, phase, what comes next\n\n"
    "Readers fetch the record at data/encryption/keys/stored_data, as a secret of KV v2.";

// One mount under the paths of all.
class Engine final : public openbao::PathBackend {
 public:
  Engine(std::shared_ptr<const openbao::PathTable> table, openbao::SystemView& system,
         Sources sources)
      : PathBackend(std::move(table), system), mount_(sources) {}

  void InvalidateKey(std::string_view) override { mount_.Invalidate(); }

  Mount& mount() { return mount_; }

 private:
  void OnActive() override { mount_.MayRemember(); }
  absl::Status OnTick(const openbao::Request& request) override { return Tick(mount_, request); }

  Mount mount_;
};

}  // namespace

std::shared_ptr<const openbao::PathTable> MakeTable(std::string version) {
  auto table = std::make_shared<openbao::PathTable>();
  table->title = "openbao-plugin-secrets-mek";
  table->version = std::move(version);
  table->description = kDescription;
  for (auto make : {RotatePaths, RollbackPaths, RepairPaths, StatusPaths, VersionsPaths, KeysPaths,
                    ImportPaths, VerifyPaths, ReadersPaths, ConfigPaths, HomePaths, RecordPaths}) {
    for (openbao::Path& path : make()) table->paths.push_back(std::move(path));
  }
  // config/home can send the record, and the login to its server, elsewhere.
  table->special.root = {"destroy-key/*", "config/home"};
  table->special.seal_wrap_storage = {"versions/", "archive/", "kv/", "config/home"};
  return table;
}

openbao::Handler Bind(MountHandler handler) {
  return openbao::For<Engine>([handler = std::move(handler)](Engine& engine,
                                                             const openbao::Request& request,
                                                             const openbao::FieldData& data) {
    const kvclient::Allowance allowance = KvAllowance(request);
    return handler(engine.mount(), request, data);
  });
}

openbao::BackendFactory EngineFactory(std::string version, base::Clock& clock,
                                      base::Random& random) {
  // Deferred: the host waits for the handshake, which needs no paths.
  return [table = std::async(std::launch::deferred, MakeTable, std::move(version)).share(), &clock,
          &random](const openbao::BackendConfig& config)
             -> absl::StatusOr<std::unique_ptr<openbao::Backend>> {
    return std::make_unique<Engine>(table.get(), *config.system,
                                    Sources{&clock, &random, config.logger});
  };
}

}  // namespace engine
