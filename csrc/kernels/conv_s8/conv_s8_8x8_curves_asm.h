// clang-format Language: Cpp
// What a tile of conv_s8_8x8_neondot or conv_s8_8x8_neoni8mm ends with behind sigmoid or mish (sums_epilogue.h), two
// pixels at a time, the last ones first: a tile of fewer pixels enters where its last ones are. Their sums and, of the
// tile that they belong to, nothing else are still needed: v0-v7 and v10-v15 serve.
//   x8 C's channels 4-7 from its channels 0-3   x16 where a pair's second pixel goes: of an odd number the last pair's
//   to its first one's place, which is written after it
#ifndef EDGEDEPLOY_KERNELS_CONV_S8_8X8_CURVES_ASM_H_
#define EDGEDEPLOY_KERNELS_CONV_S8_8X8_CURVES_ASM_H_

#include "kernels/conv_s8/conv_s8_8x8_ends_asm.h"
#include "kernels/sums_curves_asm.h"

// clang-format off
.macro LOAD_GATE offset, register
    ldr q\register, [x0, #CONV_S8_GATE_SLOPE + \offset]
.endm

// Factors to codes of v\s0: two pixels of eight.
.macro CURVED_CODES start, s0, s1, s2, s3
    .ifc \start, FOLDED
    LOAD_FOUR code, \s0, \s1, \s2, \s3
    ON_FOUR fmla, \s0, \s1, \s2, \s3, 0, 1, 2, 3, 4, 5, 6, 7
    uzp1 v\s0\().8h, v\s0\().8h, v\s1\().8h
    uzp1 v\s2\().8h, v\s2\().8h, v\s3\().8h
    .else
    LOAD_FOUR half, \s0, \s1, \s2, \s3
    ON_FOUR fmla, \s0, \s1, \s2, \s3, 0, 1, 2, 3, 4, 5, 6, 7
    TO_FIXED_FOUR \s0, \s1, \s2, \s3
    uzp2 v\s0\().8h, v\s0\().8h, v\s1\().8h
    uzp2 v\s2\().8h, v\s2\().8h, v\s3\().8h
    .endif
    ldr q15, .Lcurve_lowest
    NARROW_PAIR \start, \s0, \s0, \s2
    smax v\s0\().16b, v\s0\().16b, v15.16b
.endm

.macro STORE_CURVED_S8 start, pair, s0, s1, s2, s3
    CURVED_CODES \start, \s0, \s1, \s2, \s3
    st1 {v\s0\().d}[1], [x16]
    str d\s0, [x19, #16 * \pair]
    ONLY_IF \pair, add x16, x19, #(16 * \pair - 8)
.endm

.macro STORE_CURVED_F32 start, pair, s0, s1, s2, s3
    ON_FOUR fmul, 0, 1, 2, 3, 0, 1, 2, 3, 4, 5, 6, 7
    str q2, [x16]
    str q3, [x16, x8]
    str q0, [x19, #32 * \pair]
    str q1, [x28, #32 * \pair]
    ONLY_IF \pair, add x16, x19, #(32 * \pair - 16)
.endm

.macro STORE_CURVED_F16 start, pair, s0, s1, s2, s3
    ON_FOUR fmul, 0, 1, 2, 3, 0, 1, 2, 3, 4, 5, 6, 7
    fcvtn v0.4h, v0.4s
    fcvtn v2.4h, v2.4s
    fcvtn2 v0.8h, v1.4s
    fcvtn2 v2.8h, v3.4s
    str q2, [x16]
    str q0, [x19, #32 * \pair]
    ONLY_IF \pair, add x16, x19, #(32 * \pair - 16)
.endm

.macro CURVED_PAIR curve, output, start, pair, s0, s1, s2, s3
    FLOATS_\start \s0, \s1
    FLOATS_\start \s2, \s3
    ldp q0, q1, [x25]
    ldp q2, q3, [x25]
    ON_FOUR fmla, 0, 1, 2, 3, \s0, \s1, \s2, \s3, 8, 9, 8, 9
    CURVE_\curve 0, 1, 2, 3, \s0, \s1, \s2, \s3, 4, 5, 6, 7, 10, 11, 12, 13, 14, 15
    STORE_CURVED_\output \start, \pair, \s0, \s1, \s2, \s3
.endm

// x16 for x24 pixels, if fewer than eight.
.macro SECOND_PIXEL output, pixels
    sub x16, \pixels, #1
    .ifc \output, S8
    add x16, x19, x16, lsl #3
    .else
    add x16, x19, x16, lsl #4
    .endif
    sub x8, x28, x19
.endm

// Behind it C and its channels 4-7 are the next tile's.
.macro CURVED_PAIRS label, curve, output, start
    CURVED_PAIR \curve, \output, \start, 3, 28, 29, 30, 31
\label\()_6:
    CURVED_PAIR \curve, \output, \start, 2, 24, 25, 26, 27
\label\()_4:
    CURVED_PAIR \curve, \output, \start, 1, 20, 21, 22, 23
\label\()_2:
    CURVED_PAIR \curve, \output, \start, 0, 16, 17, 18, 19
    .ifc \output, S8
    add x19, x19, #64
    .else
    add x19, x19, #128
    add x28, x28, #128
    .endif
.endm
// clang-format on

#endif  // EDGEDEPLOY_KERNELS_CONV_S8_8X8_CURVES_ASM_H_
