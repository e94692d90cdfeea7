// No emulator counts on other architectures.
#include "runner/mark.h"

void edgedeploy_mark(unsigned char* /*slot*/) {}
