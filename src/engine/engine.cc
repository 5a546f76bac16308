#include "engine/engine.h"

#include <utility>
#include <vector>

#include "base/text.h"
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

std::vector<openbao::Path> AllPaths(Mount& mount) {
  std::vector<openbao::Path> all;
  for (auto make : {RotatePaths, RollbackPaths, RepairPaths, StatusPaths, VersionsPaths, KeysPaths,
                    ImportPaths, VerifyPaths, ReadersPaths, ConfigPaths, HomePaths, RecordPaths}) {
    for (openbao::Path& path : make(mount)) all.push_back(std::move(path));
  }
  return all;
}

// The paths and the mount they work on.
class Engine final : public openbao::Backend {
 public:
  Engine(const openbao::BackendConfig& config, const std::string& version, Sources sources)
      : mount_(sources), paths_(Paths(version), *config.system) {}

  absl::Status Initialize(openbao::Storage& storage) override { return paths_.Initialize(storage); }
  absl::StatusOr<std::optional<openbao::Response>> HandleRequest(
      const openbao::Request& request) override {
    return paths_.HandleRequest(request);
  }
  openbao::SpecialPaths Special() const override { return paths_.Special(); }
  void InvalidateKey(std::string_view key) override { paths_.InvalidateKey(key); }

 private:
  openbao::PathBackend::Config Paths(const std::string& version) {
    openbao::PathBackend::Config config;
    config.title = "openbao-plugin-secrets-mek";
    config.version = version;
    config.description = kDescription;
    config.paths = AllPaths(mount_);
    // config/home can send the record, and the login to its server, elsewhere.
    config.special.root = {"destroy-key/*", "config/home"};
    config.special.seal_wrap_storage = {"versions/", "archive/", "kv/", "config/home"};
    config.on_active = [this] { mount_.MayRemember(); };
    config.on_tick = [this](const openbao::Request& request) { return Tick(mount_, request); };
    config.on_invalidate = [this](std::string_view) { mount_.Invalidate(); };
    return config;
  }

  Mount mount_;
  openbao::PathBackend paths_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<openbao::Backend>> NewEngine(const openbao::BackendConfig& config,
                                                            const std::string& version,
                                                            Sources sources) {
  return std::make_unique<Engine>(config, version, sources);
}

}  // namespace engine
