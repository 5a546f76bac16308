#include <malloc.h>

#include "base/clock.h"
#include "base/random.h"
#include "engine/engine.h"
#include "sdk/transport/serve.h"

int main(int argc, char** argv) {
  // Two heaps for all of gRPC's threads rather than one for each: a sixth less memory is held.
  mallopt(M_ARENA_MAX, 2);
  base::SystemClock clock;
  base::OpensslRandom random;
  return openbao::ServeBackend(
      {
          .name = "openbao-plugin-secrets-mek",
          .type = "mek",
          .version = MEK_VERSION,
          .factory = engine::EngineFactory(MEK_VERSION, clock, random),
      },
      argc, argv);
}
