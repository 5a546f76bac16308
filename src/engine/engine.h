#ifndef ENGINE_ENGINE_H_
#define ENGINE_ENGINE_H_

#include <string>

#include "base/clock.h"
#include "base/random.h"
#include "sdk/logical/backend.h"

namespace engine {

// Makes each mount's secrets engine. What they have in common is made once, with the first of them.
// `clock`, `random` and what the factory is given outlive the engines.
openbao::BackendFactory EngineFactory(std::string version, base::Clock& clock,
                                      base::Random& random);

}  // namespace engine

#endif  // ENGINE_ENGINE_H_
