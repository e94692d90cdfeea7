// clang-format Language: Cpp
// What the 8 x 8 tiles of gemm_s8 end with: sums to values, activation, and to memory. v16-v31 are C: v(16 + 2m)
// columns 0-3 of row m, v(17 + 2m) columns 4-7. v0-v7 and x4-x8 are temporaries.
#ifndef EDGEDEPLOY_KERNELS_GEMM_S8_8X8_ASM_H_
#define EDGEDEPLOY_KERNELS_GEMM_S8_8X8_ASM_H_

#include "kernels/gemm_s8/gemm_s8_offsets.h"

// clang-format off
.macro ZERO acc
    movi \acc\().4s, #0
.endm

// float(acc) * scale + bias, two roundings: FMLA would be one.
.macro DEQUANTIZE acc, scale, bias
    scvtf \acc\().4s, \acc\().4s
    fmul \acc\().4s, \acc\().4s, \scale\().4s
    fadd \acc\().4s, \acc\().4s, \bias\().4s
.endm

.macro RELU acc                         // v > 0 ? v : 0
    fcmgt v2.4s, \acc\().4s, #0.0
    and \acc\().16b, \acc\().16b, v2.16b
.endm

.macro LEAKY_RELU acc                   // v > 0 ? v : v * v4[0]
    fcmgt v2.4s, \acc\().4s, #0.0
    fmul v3.4s, \acc\().4s, v4.s[0]
    bif \acc\().16b, v3.16b, v2.16b
.endm

.macro CLIP acc                         // t = v > v0 ? v : v0;  t < v1 ? t : v1
    fcmgt v2.4s, \acc\().4s, v0.4s
    bif \acc\().16b, v0.16b, v2.16b
    fcmgt v2.4s, v1.4s, \acc\().4s
    bif \acc\().16b, v1.16b, v2.16b
.endm

.macro HARD_SWISH acc                   // v < v0 ? 0 : v > v1 ? v : v * (v * v4[0] + v5)
    fmul v2.4s, \acc\().4s, v4.s[0]
    fcmgt v3.4s, v0.4s, \acc\().4s
    fcmgt v6.4s, \acc\().4s, v1.4s
    fadd v2.4s, v2.4s, v5.4s
    fmul v2.4s, \acc\().4s, v2.4s
    bif \acc\().16b, v2.16b, v6.16b
    bic \acc\().16b, \acc\().16b, v3.16b
.endm

.macro ON_ALL operation
    .irp acc, v16, v17, v18, v19, v20, v21, v22, v23, v24, v25, v26, v27, v28, v29, v30, v31
    \operation \acc
    .endr
.endm

// Round half away from zero (FCVTAS), saturate to a byte, clamp to -127 (v3), store a row. v4[0] is out_scale.
.macro STORE_ROW_S8 low, high
    fmul \low\().4s, \low\().4s, v4.s[0]
    fmul \high\().4s, \high\().4s, v4.s[0]
    fcvtas \low\().4s, \low\().4s
    fcvtas \high\().4s, \high\().4s
    sqxtn v2.4h, \low\().4s
    sqxtn2 v2.8h, \high\().4s
    sqxtn v2.8b, v2.8h
    smax v2.8b, v2.8b, v3.8b
    str d2, [x4]
    add x4, x4, x5
.endm

.macro STORE_ROW_F32 low, high
    stp q\low, q\high, [x4]
    add x4, x4, x5
.endm

// name: the function's.
.macro EPILOGUE name
    ldr x8, [x0, #GEMM_S8_SCALE]
    ldp q0, q1, [x8]
    ldr x8, [x0, #GEMM_S8_BIAS]
    ldp q4, q5, [x8]
    .irp low, v16, v18, v20, v22, v24, v26, v28, v30
    DEQUANTIZE \low, v0, v4
    .endr
    .irp high, v17, v19, v21, v23, v25, v27, v29, v31
    DEQUANTIZE \high, v1, v5
    .endr

    ldp w7, w6, [x0, #GEMM_S8_OUTPUT]
    cbz w6, .L\name\()_store
    ldr q4, [x0, #GEMM_S8_ACT]
    cmp w6, #GEMM_S8_ACTIVATION_RELU
    b.eq .L\name\()_relu
    cmp w6, #GEMM_S8_ACTIVATION_LEAKY_RELU
    b.eq .L\name\()_leaky_relu
    cmp w6, #GEMM_S8_ACTIVATION_CLIP
    b.eq .L\name\()_clip
    cmp w6, #GEMM_S8_ACTIVATION_HARD_SWISH
    b.ne .L\name\()_store

    dup v0.4s, v4.s[2]
    dup v1.4s, v4.s[3]
    dup v5.4s, v4.s[1]
    ON_ALL HARD_SWISH
    b .L\name\()_store

.L\name\()_relu:
    ON_ALL RELU
    b .L\name\()_store

.L\name\()_leaky_relu:
    ON_ALL LEAKY_RELU
    b .L\name\()_store

.L\name\()_clip:
    dup v0.4s, v4.s[0]
    dup v1.4s, v4.s[1]
    ON_ALL CLIP

.L\name\()_store:
    ldp x4, x5, [x0, #GEMM_S8_C]
    cmp w7, #GEMM_S8_OUTPUT_F32
    b.eq .L\name\()_store_f32
    ldr s4, [x0, #GEMM_S8_OUT_SCALE]
    movi v3.8b, #0x81
    STORE_ROW_S8 v16, v17
    STORE_ROW_S8 v18, v19
    STORE_ROW_S8 v20, v21
    STORE_ROW_S8 v22, v23
    STORE_ROW_S8 v24, v25
    STORE_ROW_S8 v26, v27
    STORE_ROW_S8 v28, v29
    STORE_ROW_S8 v30, v31
    b .L\name\()_done

.L\name\()_store_f32:
    STORE_ROW_F32 16, 17
    STORE_ROW_F32 18, 19
    STORE_ROW_F32 20, 21
    STORE_ROW_F32 22, 23
    STORE_ROW_F32 24, 25
    STORE_ROW_F32 26, 27
    STORE_ROW_F32 28, 29
    STORE_ROW_F32 30, 31
.L\name\()_done:
.endm
// clang-format on

#endif  // EDGEDEPLOY_KERNELS_GEMM_S8_8X8_ASM_H_
