#ifndef KVCLIENT_KV_SECRET_H_
#define KVCLIENT_KV_SECRET_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/json.h"
#include "kvclient/client.h"

namespace kvclient {

// One version of the secret, with its content unless that was deleted.
struct SecretVersion {
  std::uint64_t number = 0;
  absl::Time created_time;
  std::optional<base::Json> data;  // an object; may hold key material
  bool destroyed = false;          // for good; else a deleted one can be undeleted
};

struct SecretMetadata {
  std::uint64_t current_version = 0;
  std::string created_time;  // as the server writes it; another once the secret is made anew
  bool cas_required = false;
  absl::Duration delete_version_after;      // zero: not set
  std::optional<absl::Time> deletion_time;  // of the current version; may be to come
  std::map<std::uint64_t, bool> versions;   // each with whether it can come back: not destroyed
};

// What became of a write.
struct Written {
  enum class Result {
    kDone,
    kConflict,  // the secret is at another version: this write was refused, or is one sent again
    kRefused,   // nothing was written
    kUnknown,   // it was written, will be, or never
  };
  Result result;
  absl::Status why;  // for kRefused and kUnknown
};

// A secret of a KV v2 engine (openbao builtin/logical/kv). Thread-safe.
class KvSecret {
 public:
  explicit KvSecret(std::unique_ptr<Client> client) : client_(std::move(client)) {}

  // The version `number`, or for 0 the newest; nullopt if there is none.
  absl::StatusOr<std::optional<SecretVersion>> Read(std::uint64_t number);
  // nullopt if there is no such secret.
  absl::StatusOr<std::optional<SecretMetadata>> ReadMetadata();
  // Writes `fields` as the version after `newest`, and only then (check-and-set).
  Written Write(std::uint64_t newest, const base::Json& fields);
  // What the login's policies lack of what is needed here: "update on kv/data/…";
  // nullopt if they don't allow to ask.
  absl::StatusOr<std::optional<std::vector<std::string>>> MissingCapabilities();
  // What makes KV delete versions by itself, in sentences with what to do. (The engine's own
  // setting only if the policies allow to read it.)
  absl::StatusOr<std::vector<std::string>> SelfDeletions(const SecretMetadata& metadata,
                                                         absl::Time now);

  Client& client() { return *client_; }

 private:
  const std::unique_ptr<Client> client_;
};

}  // namespace kvclient

#endif  // KVCLIENT_KV_SECRET_H_
