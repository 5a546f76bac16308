#include "mek/document.h"
