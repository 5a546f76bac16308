#include "engine/home_store.h"

#include <array>
#include <string>
#include <string_view>
#include <utility>

#include "base/json.h"
#include "base/status_macros.h"
#include "base/text.h"
#include "kvclient/client.h"
#include "mek/document.h"
#include "sdk/logical/errors.h"

namespace engine {
namespace {

using kvclient::Settings;

constexpr std::string_view kKey = "config/home";
constexpr std::string_view kSecretKey = "kv/secret";
constexpr std::uint64_t kSchema = 1;

struct TextSetting {
  std::string_view name;
  std::string Settings::*member;
  bool is_newer = false;  // not in what versions before it wrote; written only if it is set
};
constexpr std::array kTexts{TextSetting{"address", &Settings::address},
                            TextSetting{"ca_cert", &Settings::ca_cert},
                            TextSetting{"tls_server_name", &Settings::tls_server_name, true},
                            TextSetting{"namespace", &Settings::name_space},
                            TextSetting{"mount", &Settings::mount},
                            TextSetting{"path", &Settings::path},
                            TextSetting{"auth_mount", &Settings::auth_mount},
                            TextSetting{"role_id", &Settings::role_id},
                            TextSetting{"role", &Settings::role},
                            TextSetting{"jwt_path", &Settings::jwt_path}};

struct SecretSetting {
  std::string_view name;
  base::SecretBytes Settings::*member;
};
constexpr std::array kSecrets{SecretSetting{"secret_id", &Settings::secret_id},
                              SecretSetting{"token", &Settings::token}};

absl::StatusOr<HomeSettings> Parse(std::string_view text) {
  ASSIGN_OR_RETURN(const base::Json document,
                   mek::ReadDocument(kKey, kSchema,
                                     {"type", "address", "ca_cert", "tls_server_name", "namespace",
                                      "mount", "path", "auth_method", "auth_mount", "role_id",
                                      "role", "jwt_path", "secret_id", "token"},
                                     text));
  HomeSettings settings;
  ASSIGN_OR_RETURN(const std::string type, mek::ReadString(kKey, document, "type"));
  if (type != "mount" && type != "kv") return mek::Damaged(kKey, "type has no known value");
  settings.in_kv = type == "kv";
  for (const TextSetting& setting : kTexts) {
    if (setting.is_newer && !mek::HasMember(document, setting.name)) continue;
    ASSIGN_OR_RETURN(settings.connection.*setting.member,
                     mek::ReadString(kKey, document, setting.name));
  }
  ASSIGN_OR_RETURN(const std::string method, mek::ReadString(kKey, document, "auth_method"));
  const auto known = kvclient::ParseAuthMethod(method);
  if (!known.has_value()) return mek::Damaged(kKey, "auth_method has no known value");
  settings.connection.auth_method = *known;
  for (const SecretSetting& setting : kSecrets) {
    const base::JsonString* value = base::FindString(document, setting.name);
    if (value == nullptr) return mek::Damaged(kKey, "a credential is missing or no text");
    settings.connection.*setting.member = base::SecretBytes(std::string_view(*value));
  }
  return settings;
}

absl::StatusOr<base::SecretBytes> Serialize(const HomeSettings& settings) {
  base::Json body = base::Json::object();
  body["type"] = base::JsonText(settings.type());
  for (const TextSetting& setting : kTexts) {
    const std::string& text = settings.connection.*setting.member;
    if (setting.is_newer && text.empty()) continue;
    body[base::JsonString(setting.name)] = base::JsonText(text);
  }
  body["auth_method"] = base::JsonText(kvclient::AuthMethodName(settings.connection.auth_method));
  for (const SecretSetting& setting : kSecrets) {
    body[base::JsonString(setting.name)] =
        base::JsonText((settings.connection.*setting.member).view());
  }
  return mek::WriteDocument(kSchema, body);
}

}  // namespace

Settings UsualSecret() {
  Settings settings;
  settings.mount = "services/all/kv";
  settings.path = "encryption/keys/stored_data";
  return settings;
}

void HomeStore::MayRemember() {
  active_ = true;
  home_.Allow();
  mount_.MayRemember();
}

void HomeStore::Invalidate() {
  home_.Forget();
  mount_.Invalidate();
}

absl::StatusOr<std::shared_ptr<const HomeStore::Home>> HomeStore::Prepare(
    HomeSettings settings) const {
  Home home;
  if (settings.has_connection() || settings.in_kv) {
    ASSIGN_OR_RETURN(std::unique_ptr<kvclient::Client> client,
                     kvclient::Client::New(settings.connection.Clone(), clock_));
    home.kv = std::make_unique<KvStore>(std::make_unique<kvclient::KvSecret>(std::move(client)),
                                        archive_);
  }
  home.settings = std::move(settings);
  return std::make_shared<const Home>(std::move(home));
}

absl::StatusOr<std::shared_ptr<const HomeStore::Home>> HomeStore::Current(
    openbao::Storage& storage) {
  Remembered<std::shared_ptr<const Home>>::Moment moment = 0;
  if (const auto known = home_.Get(moment); known.has_value()) return *known;
  ASSIGN_OR_RETURN(std::optional<base::SecretBytes> entry, storage.Get(kKey));
  const base::SecretBytes text = entry.has_value() ? *std::move(entry) : base::SecretBytes();
  absl::MutexLock lock(&mutex_);
  if (made_ == nullptr || !(made_from_ == text)) {
    HomeSettings settings;
    if (!text.empty()) {
      ASSIGN_OR_RETURN(settings, Parse(text.view()));
    }
    const bool in_kv = settings.in_kv;
    absl::StatusOr<std::shared_ptr<const Home>> made = Prepare(std::move(settings));
    if (!made.ok() && !in_kv) {
      // A connection that isn't used, and that an older build took, is no reason to stop.
      Home home{.settings = {}, .kv = nullptr, .unusable = made.status()};
      ASSIGN_OR_RETURN(home.settings, Parse(text.view()));
      made = std::make_shared<const Home>(std::move(home));
    }
    ASSIGN_OR_RETURN(made_, std::move(made));
    made_from_ = text.Clone();
  }
  home_.Offer(moment, made_);
  return made_;
}

absl::Status HomeStore::Put(openbao::Storage& storage, const Home& home) {
  RETURN_IF_ERROR(SettlePut(storage));
  ASSIGN_OR_RETURN(base::SecretBytes document, Serialize(home.settings));
  absl::Status put = storage.Put(kKey, document);
  home_.Forget();
  if (absl::IsUnavailable(put)) unsettled_ = std::move(document);
  return put;
}

absl::Status HomeStore::SettlePut(openbao::Storage& storage) {
  if (unsettled_.empty()) return absl::OkStatus();
  const absl::Status put = storage.Put(kKey, unsettled_);
  home_.Forget();
  if (!put.ok()) {
    return absl::Status(put.code(),
                        base::Cat("config/home was written without an answer, and must be stored "
                                  "before anything else changes: ",
                                  put.message()));
  }
  unsettled_ = base::SecretBytes();
  return absl::OkStatus();
}

absl::StatusOr<bool> HomeStore::HasOpenWrites(openbao::Storage& storage) {
  ASSIGN_OR_RETURN(const std::shared_ptr<const Home> home, Current(storage));
  return home->settings.in_kv ? home->kv->HasOpenWrites(storage) : false;
}

absl::StatusOr<bool> HomeStore::KnowsSecret(openbao::Storage& storage, const Settings& settings) {
  ASSIGN_OR_RETURN(const std::optional<base::SecretBytes> entry, storage.Get(kSecretKey));
  if (!entry.has_value()) return false;
  ASSIGN_OR_RETURN(const base::Json document,
                   mek::ReadDocument(kSecretKey, kSchema, {"address", "namespace", "mount", "path"},
                                     entry->view()));
  Settings known;
  ASSIGN_OR_RETURN(known.address, mek::ReadString(kSecretKey, document, "address"));
  ASSIGN_OR_RETURN(known.name_space, mek::ReadString(kSecretKey, document, "namespace"));
  ASSIGN_OR_RETURN(known.mount, mek::ReadString(kSecretKey, document, "mount"));
  ASSIGN_OR_RETURN(known.path, mek::ReadString(kSecretKey, document, "path"));
  return known.NamesSameSecret(settings);
}

absl::Status HomeStore::PutSecret(openbao::Storage& storage, const Settings& settings) {
  base::Json body = base::Json::object();
  body["address"] = base::JsonText(settings.address);
  body["namespace"] = base::JsonText(settings.name_space);
  body["mount"] = base::JsonText(settings.mount);
  body["path"] = base::JsonText(settings.path);
  ASSIGN_OR_RETURN(const base::SecretBytes document, mek::WriteDocument(kSchema, body));
  return storage.Put(kSecretKey, document);
}

absl::StatusOr<HomeStore::Logs> HomeStore::StoredVersions(openbao::Storage& storage) {
  ASSIGN_OR_RETURN(const std::shared_ptr<const Home> home, Current(storage));
  return home->settings.in_kv ? Logs{&copies_, &mount_} : Logs{&mount_, &copies_};
}

absl::StatusOr<RecordStore*> HomeStore::Store(openbao::Storage& storage,
                                              std::shared_ptr<const Home>& home) {
  ASSIGN_OR_RETURN(home, Current(storage));
  if (home->settings.in_kv) return home->kv.get();
  return &mount_;
}

absl::StatusOr<VersionPtr> HomeStore::Live(openbao::Storage& storage) {
  std::shared_ptr<const Home> home;
  ASSIGN_OR_RETURN(RecordStore* const store, Store(storage, home));
  return store->Live(storage);
}

absl::StatusOr<std::optional<Version>> HomeStore::StoredLive(openbao::Storage& storage) {
  std::shared_ptr<const Home> home;
  ASSIGN_OR_RETURN(RecordStore* const store, Store(storage, home));
  return store->StoredLive(storage);
}

absl::StatusOr<std::optional<Version>> HomeStore::Get(openbao::Storage& storage,
                                                      std::uint64_t number) {
  std::shared_ptr<const Home> home;
  ASSIGN_OR_RETURN(RecordStore* const store, Store(storage, home));
  return store->Get(storage, number);
}

absl::StatusOr<std::vector<std::uint64_t>> HomeStore::List(openbao::Storage& storage) {
  std::shared_ptr<const Home> home;
  ASSIGN_OR_RETURN(RecordStore* const store, Store(storage, home));
  return store->List(storage);
}

absl::StatusOr<std::optional<std::size_t>> HomeStore::Count(openbao::Storage& storage) {
  std::shared_ptr<const Home> home;
  ASSIGN_OR_RETURN(RecordStore* const store, Store(storage, home));
  return store->Count(storage);
}

absl::Status HomeStore::Append(openbao::Storage& storage, const VersionPtr& version,
                               const base::SecretBytes& document) {
  RETURN_IF_ERROR(SettlePut(storage));
  std::shared_ptr<const Home> home;
  ASSIGN_OR_RETURN(RecordStore* const store, Store(storage, home));
  // In the kv home our storage's own refusal would come too late.
  if (!active_) return openbao::ReadOnlyStorage();
  return store->Append(storage, version, document);
}

absl::Status HomeStore::Rewrite(openbao::Storage& storage, std::uint64_t number,
                                const base::SecretBytes& document) {
  std::shared_ptr<const Home> home;
  ASSIGN_OR_RETURN(RecordStore* const store, Store(storage, home));
  return store->Rewrite(storage, number, document);
}

absl::Status HomeStore::Prune(openbao::Storage& storage, std::uint64_t number) {
  std::shared_ptr<const Home> home;
  ASSIGN_OR_RETURN(RecordStore* const store, Store(storage, home));
  return store->Prune(storage, number);
}

absl::Status HomeStore::CatchUp(openbao::Storage& storage) {
  RETURN_IF_ERROR(SettlePut(storage));
  std::shared_ptr<const Home> home;
  ASSIGN_OR_RETURN(RecordStore* const store, Store(storage, home));
  if (!active_) return openbao::ReadOnlyStorage();
  return store->CatchUp(storage);
}

}  // namespace engine
