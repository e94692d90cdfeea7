// clang-format Language: Cpp
// What the 5x5 kernels for armv8.0 share besides depthwise_s8_neon_asm.h: the weights of a row in v16-v20, products of
// rows in turns in v4-v7 and v21-v24, of the last taps of two rows in v25-v26, and when which are added. The including
// file defines ROW, a row's products with the addition of those of the row before it.
#ifndef EDGEDEPLOY_KERNELS_DEPTHWISE_S8_DEPTHWISE_S8_NEON_5X5_ASM_H_
#define EDGEDEPLOY_KERNELS_DEPTHWISE_S8_DEPTHWISE_S8_NEON_5X5_ASM_H_

// clang-format off
.macro LOAD_WEIGHTS r
    ldr q16, [x6, #(5 * \r) * 16]
    ldr q17, [x6, #(5 * \r + 1) * 16]
    ldr q18, [x6, #(5 * \r + 2) * 16]
    ldr q19, [x6, #(5 * \r + 3) * 16]
    ldr q20, [x6, #(5 * \r + 4) * 16]
.endm

.macro ADD_NOTHING turn
.endm

// Turn 0 to 7: the pairs of a row. 8 and 9 add nothing.
.macro ADD_EVEN turn
    ADD_TURN \turn, 4, 5, 6, 7
.endm
.macro ADD_ODD turn
    ADD_TURN \turn, 21, 22, 23, 24
.endm
.macro ADD_TURN turn, a0, a1, b0, b1
    .if \turn == 0
    ADD_LO 0, \a0
    .elseif \turn == 1
    ADD_HI 1, \a0
    .elseif \turn == 2
    ADD_LO 2, \b0
    .elseif \turn == 3
    ADD_HI 3, \b0
    .elseif \turn == 4
    ADD_LO 0, \a1
    .elseif \turn == 5
    ADD_HI 1, \a1
    .elseif \turn == 6
    ADD_LO 2, \b1
    .elseif \turn == 7
    ADD_HI 3, \b1
    .endif
.endm

// The last taps of two rows.
.macro ADD_LAST_TAPS
    ADD_LO 0, 25
    ADD_HI 1, 25
    ADD_LO 2, 26
    ADD_HI 3, 26
.endm

.macro PAIR_SUMS
    ldr q0, [x9]
    ldr q1, [x9, #16]
    ldr q2, [x9]
    ldr q3, [x9, #16]
    ROW 0, x1, MUL, 4, 5, 6, 7, ADD_NOTHING
    ROW 1, x2, MLA, 21, 22, 23, 24, ADD_EVEN
    ADD_LAST_TAPS
    ROW 2, x3, MUL, 4, 5, 6, 7, ADD_ODD
    ROW 3, x4, MLA, 21, 22, 23, 24, ADD_EVEN
    ADD_LAST_TAPS
    ROW 4, x5, MUL, 4, 5, 6, 7, ADD_ODD
    .irp turn, 0, 1, 2, 3, 4, 5, 6, 7
    ADD_EVEN \turn
    .endr
    ADD_LAST_TAPS
.endm
// clang-format on

#endif  // EDGEDEPLOY_KERNELS_DEPTHWISE_S8_DEPTHWISE_S8_NEON_5X5_ASM_H_
