#include "mek/kid.h"
