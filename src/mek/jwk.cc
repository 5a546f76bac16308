#include "mek/jwk.h"
