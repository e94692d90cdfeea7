// A kernel that breaks AAPCS64: x19 and d8 come back changed.

#include "asm/aarch64.h"

FUNCTION broken_registers
    mov x19, #0
    fmov d8, xzr
    ret
END_FUNCTION broken_registers

END_FILE
