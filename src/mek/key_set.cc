#include "mek/key_set.h"
