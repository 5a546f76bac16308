#include "mek/version_doc.h"
