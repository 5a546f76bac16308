#ifndef GOPLUGIN_HEALTH_H_
#define GOPLUGIN_HEALTH_H_

#include "goplugin/calls.h"

namespace goplugin {

// Says that the service "plugin" serves, and the server as a whole: that is how the host pings us.
// Watch is not implemented. (gRPC's own health service would cost two more threads.)
void RegisterHealth(Calls& calls);

}  // namespace goplugin

#endif  // GOPLUGIN_HEALTH_H_
