// Macros shared by the .S files. AArch64, ELF, GNU and LLVM assemblers.
//
// Rules of the house: AAPCS64; no x18 (the platform's register); v8-v15 only with their low halves saved; one RET a
// function; labels have names and are local (.L...); branch protection needs no more than the BTI landing pad here.
#ifndef EDGEDEPLOY_ASM_AARCH64_H_
#define EDGEDEPLOY_ASM_AARCH64_H_

// clang-format off
// alignment: bits of the address. A function that loops is aligned to its size, so that no loop lies across two pages.
.macro FUNCTION name, alignment=4
    .text
    .p2align \alignment
    .global \name
    .hidden \name
    .type \name, %function
\name:
    .cfi_startproc
    hint #34                            // BTI C, a NOP before armv8.5
.endm

.macro END_FUNCTION name
    .cfi_endproc
    .size \name, . - \name
.endm

// The stack is not executable. Last line of every file.
.macro END_FILE
    .section .note.GNU-stack, "", %progbits
.endm
// clang-format on

#endif  // EDGEDEPLOY_ASM_AARCH64_H_
