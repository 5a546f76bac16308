#include "mek/record.h"
