// clang-format Language: Cpp
// What stands between the values of a tile of conv_s8_4x8_neon and its stores behind sigmoid or mish
// (sums_epilogue.h): two pixels at a time, the third and the fourth where there is a third.
//   x0 pixels left - 4   x8 the params' gate   x10 where to go on
//   v0-v3, v4-v7 values of channels 0-3, 4-7; floats in their place   v28, v29 codes   v16-v31 serve
#ifndef EDGEDEPLOY_KERNELS_CONV_S8_4X8_CURVES_ASM_H_
#define EDGEDEPLOY_KERNELS_CONV_S8_4X8_CURVES_ASM_H_

#include "kernels/conv_s8/conv_s8_asm.h"
#include "kernels/conv_s8/conv_s8_offsets.h"
#include "kernels/sums_curves_asm.h"

#define BITS_OF_HALF_A_PAGE 11

// clang-format off
.macro LOAD_GATE offset, register
    ldr q\register, [x8, #\offset]
.endm

.macro CONVERT sum
    scvtf v\sum\().4s, v\sum\().4s
.endm

.macro CONVERT_SUMS rows
    .irp sum, 16, 17, 18, 19, 20, 21, 22, 23
    PIXEL 2*\rows+16, \sum, CONVERT \sum
    .endr
.endm

// Factors to what is handed on, by v16-v19.
.macro CURVED_F32 codes, t0, t1, t2, t3
    ON_FOUR fmul, \t0, \t1, \t2, \t3, \t0, \t1, \t2, \t3, 20, 21, 22, 23
.endm

.macro CURVED_FOLDED codes, t0, t1, t2, t3
    LOAD_FOUR code, 16, 17, 18, 19
    ON_FOUR fmla, 16, 17, 18, 19, \t0, \t1, \t2, \t3, 20, 21, 22, 23
    xtn v16.4h, v16.4s
    xtn v18.4h, v18.4s
    xtn2 v16.8h, v17.4s
    xtn2 v18.8h, v19.4s
    sqxtn v\codes\().8b, v16.8h
    sqxtn2 v\codes\().16b, v18.8h
.endm

.macro CURVED_S8 codes, t0, t1, t2, t3
    LOAD_FOUR half, 16, 17, 18, 19
    ON_FOUR fmla, 16, 17, 18, 19, \t0, \t1, \t2, \t3, 20, 21, 22, 23
    TO_FIXED_FOUR 16, 17, 18, 19
    shrn v16.4h, v16.4s, #16
    shrn v18.4h, v18.4s, #16
    shrn2 v16.8h, v17.4s, #16
    shrn2 v18.8h, v19.4s, #16
    shrn v\codes\().8b, v16.8h, #8
    shrn2 v\codes\().16b, v18.8h, #8
.endm

.macro CURVED label, curve, form
    .p2align BITS_OF_HALF_A_PAGE
.Lconv_s8_4x8_neon_\label:
    hint #36                            // BTI J
    CURVE_\curve 0, 4, 1, 5, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 30, 31
    CURVED_\form 28, 0, 4, 1, 5
    cmn x0, #2
    b.le .Lconv_s8_4x8_neon_\label\()_curved
    CURVE_\curve 2, 6, 3, 7, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 30, 31
    CURVED_\form 29, 2, 6, 3, 7
.Lconv_s8_4x8_neon_\label\()_curved:
    br x10
.endm
// clang-format on

#endif  // EDGEDEPLOY_KERNELS_CONV_S8_4X8_CURVES_ASM_H_
