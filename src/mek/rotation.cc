#include "mek/rotation.h"
