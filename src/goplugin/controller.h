#ifndef GOPLUGIN_CONTROLLER_H_
#define GOPLUGIN_CONTROLLER_H_

#include "goplugin/calls.h"
#include "goplugin/leaving.h"

namespace goplugin {

// Lets the host ask us to leave. It is answered at once, since the host counts its 2 s of patience
// only from the answer. Thread-safe.
class ControllerService {
 public:
  // `leaving` must outlive it.
  explicit ControllerService(Leaving* leaving) : leaving_(leaving) {}

  // It must outlive the server.
  void Register(Calls& calls);

 private:
  Leaving* const leaving_;
};

}  // namespace goplugin

#endif  // GOPLUGIN_CONTROLLER_H_
