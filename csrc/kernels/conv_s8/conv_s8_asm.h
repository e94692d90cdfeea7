// clang-format Language: Cpp
// What the assembly of conv_s8 shares.
#ifndef EDGEDEPLOY_KERNELS_CONV_S8_ASM_H_
#define EDGEDEPLOY_KERNELS_CONV_S8_ASM_H_

// clang-format off
// An instruction for a tile that has pixel m.
.macro PIXEL rows, m, instruction:vararg
    .if \rows > \m
    \instruction
    .endif
.endm
// clang-format on

#endif  // EDGEDEPLOY_KERNELS_CONV_S8_ASM_H_
