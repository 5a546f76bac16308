#include "mek/json_span.h"
