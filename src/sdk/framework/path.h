#ifndef SDK_FRAMEWORK_PATH_H_
#define SDK_FRAMEWORK_PATH_H_

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "sdk/framework/field.h"
#include "sdk/logical/request.h"

namespace openbao {

class PathBackend;

// Serves the requests of every mount: `backend` is the one that the request came to.
using Handler = std::function<absl::StatusOr<std::optional<Response>>(
    PathBackend& backend, const Request&, const FieldData&)>;

// What a path does for one operation.
struct PathOperation {
  Operation operation;
  Handler handler;
  std::string summary = {};
  // On a standby, answered with ReadOnlyStorage() before anything is read, so that the host
  // forwards it: for all that writes, and for reads of what only the active node knows.
  bool active_node_only = false;
  // Parameters are neither checked nor given to the handler: for what is refused whatever they are.
  bool any_parameters = false;
};

// One path of a plugin's mounts: what it is, takes and does. Everything the help and the OpenAPI
// document say comes from here. Of those that match a request, the first in the table that has its
// operation serves it.
struct Path {
  // Segments between slashes; "{name}" takes one segment (any text without a slash, but not none),
  // "{name...}" at the end one or more. Each name is a field. "versions/{version}".
  std::string pattern;
  std::string synopsis = {};
  // Paragraphs; help breaks them into lines, but for lines that begin with a space.
  std::string description = {};
  std::vector<Field> fields = {};
  std::vector<PathOperation> operations = {};
};

// The values of the pattern's names if `path` has the pattern, else nullopt.
std::optional<std::map<std::string, std::string>> MatchPath(std::string_view pattern,
                                                            std::string_view path);

// The names that a pattern captures.
std::vector<std::string> CapturedNames(std::string_view pattern);

}  // namespace openbao

#endif  // SDK_FRAMEWORK_PATH_H_
