// Help texts and the OpenAPI 3.0.2 document of a mount, made from its paths. The host merges the
// document into its own (sys/internal/specs/openapi; openbao sdk/framework/openapi.go) and the UI's
// API explorer reads it.
#ifndef SDK_FRAMEWORK_OPENAPI_H_
#define SDK_FRAMEWORK_OPENAPI_H_

#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "sdk/framework/path.h"

namespace openbao {

// `root_paths` are the special paths that need sudo, for x-vault-sudo.
base::Json OpenApiDocument(std::string_view title, std::string_view version,
                           const std::vector<Path>& paths,
                           const std::vector<std::string>& root_paths);

// What `bao path-help mount/` prints: the description and every path with its synopsis.
std::string RootHelp(std::string_view description, const std::vector<Path>& paths);

// What `bao path-help mount/path` prints: the path's description, operations and parameters.
std::string PathHelp(const Path& path);

}  // namespace openbao

#endif  // SDK_FRAMEWORK_OPENAPI_H_
