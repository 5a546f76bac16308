#include "mek/archive.h"
