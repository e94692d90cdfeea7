// clang-format Language: Cpp
// What a tile of conv_s8_4x8_neon ends with: sums to values or codes, and to memory. Registers: the kernel's file.
// Frame: 0 low, 16 high: codes or values | 32 a start of zeros | 64 taps | 72 how a tile ends | 80 the params' gate |
// 88 where values are curved
#ifndef EDGEDEPLOY_KERNELS_CONV_S8_4X8_ENDS_ASM_H_
#define EDGEDEPLOY_KERNELS_CONV_S8_4X8_ENDS_ASM_H_

#include "kernels/conv_s8/conv_s8_asm.h"
#include "kernels/conv_s8/conv_s8_offsets.h"

#define FRAME 96
#define FRAME_TAPS 64
#define FRAME_END 72
#define FRAME_GATE 80
#define FRAME_CURVE 88

// clang-format off
// t = fma(float, scale, offset) of all values; the float is the sum's bits, or the converted sum.
.macro SCALE rows, convert
    ldr q24, [x12]
    ldr q25, [x12, #16]
    .irp m, 0, 1, 2, 3
    PIXEL \rows, \m, SCALE_PIXEL \convert, \m
    .endr
.endm

.macro SCALE_PIXEL convert, m
    .if \m == 0
    SCALE_EIGHT \convert, v16, v17, 0, 4
    .elseif \m == 1
    SCALE_EIGHT \convert, v18, v19, 1, 5
    .elseif \m == 2
    SCALE_EIGHT \convert, v20, v21, 2, 6
    .else
    SCALE_EIGHT \convert, v22, v23, 3, 7
    .endif
.endm

.macro SCALE_EIGHT convert, sum0, sum1, t0, t1
    .if \convert
    scvtf \sum0\().4s, \sum0\().4s
    scvtf \sum1\().4s, \sum1\().4s
    .endif
    ldr q\t0, [x13]
    ldr q\t1, [x13, #16]
    fmla v\t0\().4s, \sum0\().4s, v24.4s
    fmla v\t1\().4s, \sum1\().4s, v25.4s
.endm

.macro ON_VALUES rows, operation
    .irp m, 0, 1, 2, 3
    PIXEL \rows, \m, \operation \m
    .endr
.endm

// Values within the limits. Of floats whose limits are not below zero, or infinite, the bits compare as integers do.
.macro CLAMP_BITS m
    smax v\m\().4s, v\m\().4s, v26.4s
    smin v\m\().4s, v\m\().4s, v27.4s
.endm

.macro CLAMP_FLOATS m
    fmax v\m\().4s, v\m\().4s, v26.4s
    fmin v\m\().4s, v\m\().4s, v27.4s
.endm

.macro ON_ALL_VALUES rows, operation
    PIXEL \rows, 0, \operation 0
    PIXEL \rows, 0, \operation 4
    PIXEL \rows, 1, \operation 1
    PIXEL \rows, 1, \operation 5
    PIXEL \rows, 2, \operation 2
    PIXEL \rows, 2, \operation 6
    PIXEL \rows, 3, \operation 3
    PIXEL \rows, 3, \operation 7
.endm

.macro TO_FIXED t                       // The code is the top byte; FCVTZS saturates.
    fcvtzs v\t\().4s, v\t\().4s, #24
.endm

// Codes from the low halves of the floats' bits (XTN, SQXTN), or from top bytes (SHRN).
.macro NARROW_LOW m
    .if \m == 0
    xtn v0.4h, v0.4s
    xtn2 v0.8h, v4.4s
    .elseif \m == 1
    xtn v1.4h, v1.4s
    xtn2 v1.8h, v5.4s
    .elseif \m == 2
    xtn v2.4h, v2.4s
    xtn2 v2.8h, v6.4s
    .else
    xtn v3.4h, v3.4s
    xtn2 v3.8h, v7.4s
    .endif
.endm

.macro NARROW_TOP m
    .if \m == 0
    shrn v0.4h, v0.4s, #16
    shrn2 v0.8h, v4.4s, #16
    .elseif \m == 1
    shrn v1.4h, v1.4s, #16
    shrn2 v1.8h, v5.4s, #16
    .elseif \m == 2
    shrn v2.4h, v2.4s, #16
    shrn2 v2.8h, v6.4s, #16
    .else
    shrn v3.4h, v3.4s, #16
    shrn2 v3.8h, v7.4s, #16
    .endif
.endm

// Codes within the limits, v28 those of pixels 0 and 1, v29 those of 2 and 3, stored.
.macro STORE_S8 rows
    smax v28.16b, v28.16b, v26.16b
    PIXEL \rows, 2, smax v29.16b, v29.16b, v26.16b
    smin v28.16b, v28.16b, v27.16b
    PIXEL \rows, 2, smin v29.16b, v29.16b, v27.16b
    .if \rows == 1
    str d28, [x17]
    .elseif \rows == 2
    str q28, [x17]
    .elseif \rows == 3
    str q28, [x17]
    str d29, [x17, #16]
    .else
    st1 {v28.16b, v29.16b}, [x17], #32
    .endif
.endm

.macro STORE_F32 rows
    add x4, x17, x16
    .if \rows == 1
    str q0, [x17]
    str q4, [x4]
    .elseif \rows == 2
    st1 {v0.4s, v1.4s}, [x17]
    st1 {v4.4s, v5.4s}, [x4]
    .elseif \rows == 3
    st1 {v0.4s, v1.4s, v2.4s}, [x17]
    st1 {v4.4s, v5.4s, v6.4s}, [x4]
    .else
    st1 {v0.4s, v1.4s, v2.4s, v3.4s}, [x17], #64
    st1 {v4.4s, v5.4s, v6.4s, v7.4s}, [x4]
    .endif
.endm

.macro LIMITS
    ldr q26, [sp]
    ldr q27, [sp, #16]
.endm

// What follows is for values that are gated (sums_epilogue.h). The gates take their sums' registers.
.macro GATE_CONSTANTS
    ldr x8, [sp, #FRAME_GATE]
    ldr q26, [x8, #CONV_S8_GATE_LOW - CONV_S8_GATE_SLOPE]
    ldr q27, [x8, #CONV_S8_GATE_HIGH - CONV_S8_GATE_SLOPE]
    ldr q28, [x8]
.endm

// The gate's limits are not below zero: bits compare as integers do.
.macro GATE gate, t
    ldr q\gate, [x8, #CONV_S8_GATE_OFFSET - CONV_S8_GATE_SLOPE]
    fmla v\gate\().4s, v\t\().4s, v28.4s
    smax v\gate\().4s, v\gate\().4s, v26.4s
    smin v\gate\().4s, v\gate\().4s, v27.4s
.endm

// A pixel's products in place of its values.
.macro GATED_F32 t0, t1, gate0, gate1
    GATE \gate0, \t0
    GATE \gate1, \t1
    fmul v\t0\().4s, v\t0\().4s, v\gate0\().4s
    fmul v\t1\().4s, v\t1\().4s, v\gate1\().4s
.endm

// The products and what they are added to in v24 and v25: 1.5 * 2^23 where sums are folded, else a half.
.macro ADD_PRODUCTS addend, t0, t1, gate0, gate1
    GATE \gate0, \t0
    GATE \gate1, \t1
    ldr q24, \addend
    ldr q25, \addend
    fmla v24.4s, v\t0\().4s, v\gate0\().4s
    fmla v25.4s, v\t1\().4s, v\gate1\().4s
.endm

// A pixel's codes in 16 bits of v\t0, from the low halves or in their top bytes.
.macro GATED_FOLDED t0, t1, gate0, gate1
    ADD_PRODUCTS .Lconv_s8_4x8_neon_middle, \t0, \t1, \gate0, \gate1
    xtn v\t0\().4h, v24.4s
    xtn2 v\t0\().8h, v25.4s
.endm

.macro GATED_S8 t0, t1, gate0, gate1
    ADD_PRODUCTS .Lconv_s8_4x8_neon_half, \t0, \t1, \gate0, \gate1
    TO_FIXED 24
    TO_FIXED 25
    shrn v\t0\().4h, v24.4s, #16
    shrn2 v\t0\().8h, v25.4s, #16
.endm

.macro GATED_PIXELS form, rows, convert
    SCALE \rows, \convert
    GATE_CONSTANTS
    PIXEL \rows, 0, GATED_\form 0, 4, 16, 17
    PIXEL \rows, 1, GATED_\form 1, 5, 18, 19
    PIXEL \rows, 2, GATED_\form 2, 6, 20, 21
    PIXEL \rows, 3, GATED_\form 3, 7, 22, 23
.endm
// clang-format on

#endif  // EDGEDEPLOY_KERNELS_CONV_S8_4X8_ENDS_ASM_H_
