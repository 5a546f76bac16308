#include "mek/verify.h"
