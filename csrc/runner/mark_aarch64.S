// void edgedeploy_mark(unsigned char* slot)
//
// The MOVZ names a register that swallows it, so it is a no-op on every core; no compiler makes one, and so its word
// (kMarkWord of csrc/plugin/marks.h) announces the store after it. Aligned to 16 bytes, hence never across two pages:
// an emulator translates both instructions together.

#include "asm/aarch64.h"

FUNCTION edgedeploy_mark
    movz xzr, #0xed9e
    strb wzr, [x0]
    ret
END_FUNCTION edgedeploy_mark

END_FILE
