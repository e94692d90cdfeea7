// gemm_s8 with SDOT: a tile of 8 x 8, 4 bytes of k a unit. Formula, packing and ranges: gemm_s8.h.
//
// Layout     A panel: for each unit 8 rows x 4 bytes of k; B panel: for each unit 8 rows (columns of C) x 4 bytes.
// Alignment  none. Over-read none. C: 8 rows of 8 values. k_units >= 1.
// Target     Cortex-A76 (RK3588, Raspberry Pi 5): two ASIMD pipes, SDOT once a cycle on each, two loads a cycle.
//            A unit is 16 SDOT (16 MAC each) and 4 loads: the bound is 256 MAC in 8 cycles, 32 MAC a cycle. Sixteen
//            accumulators give every SDOT eight cycles before its register is needed again (latency 4, forwarded 1).
//            Two units a turn, so that the loop's counting and branch hide behind the SDOTs.
// Reached    16.01 cycles a turn, 31.98 MAC a cycle, as llvm-mca 19 estimates for neoverse-n1, the same core design.
// Source     Arm Cortex-A76 Software Optimization Guide, ASIMD dot product: latency 4(1), throughput 2, pipes V.
//
// Registers
//   x0 params   x1 A   x2 B   x3 units left   x4 C   x5 C's stride   w6 activation   w7 output   x8 scale, then bias
//   v0-v1 v4-v5   A: rows 0-3, 4-7 of the even and of the odd unit; in the epilogue scale and bias
//   v2-v3 v6-v7   B: columns 0-3, 4-7 of the even and of the odd unit; in the epilogue temporaries and constants
//   v16-v31       C: v(16 + 2m) columns 0-3 of row m, v(17 + 2m) columns 4-7
//   v8-v15, x18-x30 are not touched.

#include "asm/aarch64.h"
#include "kernels/gemm_s8/gemm_s8_offsets.h"

    .arch armv8.2-a+dotprod

// acc[m][0:4], acc[m][4:8] += A[m] . B[0:4], B[4:8], for m = 0..7
.macro MULTIPLY_UNIT a_low, a_high, b_low, b_high
    sdot v16.4s, \b_low\().16b,  \a_low\().4b[0]
    sdot v17.4s, \b_high\().16b, \a_low\().4b[0]
    sdot v18.4s, \b_low\().16b,  \a_low\().4b[1]
    sdot v19.4s, \b_high\().16b, \a_low\().4b[1]
    sdot v20.4s, \b_low\().16b,  \a_low\().4b[2]
    sdot v21.4s, \b_high\().16b, \a_low\().4b[2]
    sdot v22.4s, \b_low\().16b,  \a_low\().4b[3]
    sdot v23.4s, \b_high\().16b, \a_low\().4b[3]
    sdot v24.4s, \b_low\().16b,  \a_high\().4b[0]
    sdot v25.4s, \b_high\().16b, \a_high\().4b[0]
    sdot v26.4s, \b_low\().16b,  \a_high\().4b[1]
    sdot v27.4s, \b_high\().16b, \a_high\().4b[1]
    sdot v28.4s, \b_low\().16b,  \a_high\().4b[2]
    sdot v29.4s, \b_high\().16b, \a_high\().4b[2]
    sdot v30.4s, \b_low\().16b,  \a_high\().4b[3]
    sdot v31.4s, \b_high\().16b, \a_high\().4b[3]
.endm

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

FUNCTION gemm_s8_8x8_neondot
    ldp x1, x2, [x0, #GEMM_S8_A]
    ldr x3, [x0, #GEMM_S8_K_UNITS]
    ON_ALL ZERO
    subs x3, x3, #2
    b.lo .Lgemm_s8_8x8_neondot_last_unit

.Lgemm_s8_8x8_neondot_two_units:
    ldp q0, q1, [x1]
    ldp q2, q3, [x2]
    subs x3, x3, #2
    MULTIPLY_UNIT v0, v1, v2, v3
    ldp q4, q5, [x1, #32]
    ldp q6, q7, [x2, #32]
    add x1, x1, #64
    add x2, x2, #64
    MULTIPLY_UNIT v4, v5, v6, v7
    b.hs .Lgemm_s8_8x8_neondot_two_units

.Lgemm_s8_8x8_neondot_last_unit:
    tbz x3, #0, .Lgemm_s8_8x8_neondot_epilogue
    ldp q0, q1, [x1]
    ldp q2, q3, [x2]
    MULTIPLY_UNIT v0, v1, v2, v3

.Lgemm_s8_8x8_neondot_epilogue:
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
    cbz w6, .Lgemm_s8_8x8_neondot_store
    ldr q4, [x0, #GEMM_S8_ACT]
    cmp w6, #GEMM_S8_ACTIVATION_RELU
    b.eq .Lgemm_s8_8x8_neondot_relu
    cmp w6, #GEMM_S8_ACTIVATION_LEAKY_RELU
    b.eq .Lgemm_s8_8x8_neondot_leaky_relu
    cmp w6, #GEMM_S8_ACTIVATION_CLIP
    b.eq .Lgemm_s8_8x8_neondot_clip
    cmp w6, #GEMM_S8_ACTIVATION_HARD_SWISH
    b.ne .Lgemm_s8_8x8_neondot_store

    dup v0.4s, v4.s[2]
    dup v1.4s, v4.s[3]
    dup v5.4s, v4.s[1]
    ON_ALL HARD_SWISH
    b .Lgemm_s8_8x8_neondot_store

.Lgemm_s8_8x8_neondot_relu:
    ON_ALL RELU
    b .Lgemm_s8_8x8_neondot_store

.Lgemm_s8_8x8_neondot_leaky_relu:
    ON_ALL LEAKY_RELU
    b .Lgemm_s8_8x8_neondot_store

.Lgemm_s8_8x8_neondot_clip:
    dup v0.4s, v4.s[0]
    dup v1.4s, v4.s[1]
    ON_ALL CLIP

.Lgemm_s8_8x8_neondot_store:
    ldp x4, x5, [x0, #GEMM_S8_C]
    cmp w7, #GEMM_S8_OUTPUT_F32
    b.eq .Lgemm_s8_8x8_neondot_store_f32
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
    b .Lgemm_s8_8x8_neondot_done

.Lgemm_s8_8x8_neondot_store_f32:
    STORE_ROW_F32 16, 17
    STORE_ROW_F32 18, 19
    STORE_ROW_F32 20, 21
    STORE_ROW_F32 22, 23
    STORE_ROW_F32 24, 25
    STORE_ROW_F32 26, 27
    STORE_ROW_F32 28, 29
    STORE_ROW_F32 30, 31

.Lgemm_s8_8x8_neondot_done:
    ret
END_FUNCTION gemm_s8_8x8_neondot

END_FILE
