#ifndef SDK_TRANSPORT_SERVE_H_
#define SDK_TRANSPORT_SERVE_H_

#include <string>

#include "sdk/logical/backend.h"

namespace openbao {

struct BackendPlugin {
  std::string name;     // the program's name
  std::string type;     // the name it is registered and enabled by
  std::string version;  // "vX.Y.Z"; the catalog holds a registration to it
  BackendFactory factory;
};

// Serves a secrets engine to OpenBao until the host is done with it; answers --version and --help
// to people. Call it from main, first of all. Returns the exit code.
int ServeBackend(const BackendPlugin& plugin, int argc, char** argv);

}  // namespace openbao

#endif  // SDK_TRANSPORT_SERVE_H_
