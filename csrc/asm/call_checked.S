// uint64_t edgedeploy_call_checked(void (*function)(const void*), const void* argument)
//
// Calls function(argument) with a pattern in every register that AAPCS64 lets the caller keep, and returns which of them
// came back changed: bits 0-9 x19-x28, bit 10 the stack pointer, bits 16-23 the low halves of v8-v15. For tests.
//
// Frame (160 bytes): 0 x29 x30 | 16 x19-x28 | 96 d8-d15
// The patterns are the register's number times 0x0101010101010101, so that no two are alike.

#include "asm/aarch64.h"

.macro PATTERN number, into
    mov \into, #\number * 0x0101
    movk \into, #\number * 0x0101, lsl #16
    movk \into, #\number * 0x0101, lsl #32
    movk \into, #\number * 0x0101, lsl #48
.endm

.macro CHECK bit
    cmp x9, x10
    cset x11, ne
    orr x0, x0, x11, lsl #\bit
.endm

FUNCTION edgedeploy_call_checked
    stp x29, x30, [sp, #-160]!
    .cfi_def_cfa_offset 160
    .cfi_offset x29, -160
    .cfi_offset x30, -152
    mov x29, sp
    .cfi_def_cfa_register x29
    stp x19, x20, [sp, #16]
    stp x21, x22, [sp, #32]
    stp x23, x24, [sp, #48]
    stp x25, x26, [sp, #64]
    stp x27, x28, [sp, #80]
    stp d8, d9, [sp, #96]
    stp d10, d11, [sp, #112]
    stp d12, d13, [sp, #128]
    stp d14, d15, [sp, #144]

    mov x9, x0
    mov x0, x1
    .irp number, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28
    PATTERN \number, x\number
    .endr
    .irp number, 8, 9, 10, 11, 12, 13, 14, 15
    PATTERN \number, x10
    fmov d\number, x10
    .endr
    blr x9

    mov x0, #0
    .irp number, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28
    mov x9, x\number
    PATTERN \number, x10
    CHECK (\number - 19)
    .endr
    mov x9, sp
    mov x10, x29
    CHECK 10
    .irp number, 8, 9, 10, 11, 12, 13, 14, 15
    fmov x9, d\number
    PATTERN \number, x10
    CHECK (\number + 8)
    .endr

    mov sp, x29
    ldp x19, x20, [sp, #16]
    ldp x21, x22, [sp, #32]
    ldp x23, x24, [sp, #48]
    ldp x25, x26, [sp, #64]
    ldp x27, x28, [sp, #80]
    ldp d8, d9, [sp, #96]
    ldp d10, d11, [sp, #112]
    ldp d12, d13, [sp, #128]
    ldp d14, d15, [sp, #144]
    ldp x29, x30, [sp], #160
    .cfi_def_cfa sp, 0
    ret
END_FUNCTION edgedeploy_call_checked

END_FILE
