#ifndef SDK_LOGICAL_REQUEST_H_
#define SDK_LOGICAL_REQUEST_H_

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "sdk/logical/storage.h"

namespace openbao {

// What is asked of a path (openbao sdk/logical Operation). A request is dispatched on its
// operation, never on its path alone: the host sends other operations with the same path
// ("resolve-path" before every request), and those are kOther. They come without their parameters.
enum class Operation {
  kCreate,
  kRead,
  kUpdate,
  kPatch,
  kDelete,
  kList,
  kScan,
  kHelp,
  kRollback,
  kOther
};

Operation ParseOperation(std::string_view name);
std::string_view OperationName(Operation operation);

// The bounds of one call. Thread-safe.
class Context {
 public:
  virtual ~Context() = default;
  // The caller has gone or its time is up: nothing that has not begun needs to.
  virtual bool Cancelled() const = 0;
};

// One request to a mount. `context` and `storage` belong to the transport and live as long as the
// call.
struct Request {
  // Names the request across a replay: a host that found the plugin dead sends it again with the
  // same id.
  std::string id;
  Operation operation = Operation::kOther;
  // Relative to the mount. "a/" is another path than "a", but for list, scan and help, which lose
  // it.
  std::string path;
  // An object. A body with more than 256 members in an object, or more than 64 levels of them, is
  // refused before it gets here (base/json.h). May hold key material.
  base::Json data = base::Json::object();
  // With the namespace before it and a slash at the end: "mek/", "team/mek/".
  std::string mount_point;
  std::string entity_id;  // "" for a token without an entity, such as a root token
  std::string display_name;
  std::string client_token_accessor;
  std::string remote_address;
  const Context* context = nullptr;
  TransactionalStorage* storage = nullptr;
};

struct Response {
  // An object; what the caller reads under "data".
  base::Json data = base::Json::object();
  std::vector<std::string> warnings;
};

}  // namespace openbao

#endif  // SDK_LOGICAL_REQUEST_H_
