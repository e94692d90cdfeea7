// clang-format Language: Cpp
// What the depthwise_s8 kernels with SDOT share: constants, and the way from sums to outputs (sums_epilogue.h).
//
// Sums start at the bits of the float M = 1.5 * 2^23 instead of 0. As |sum| < 2^22, the finished bits are the float
// M + sum, and subtracting M gives float(sum), exact, where SCVTF would cost two turns of the one pipe that converts.
// With folded offsets the sums start where the params say, and neither is needed.
// FMLA adds to a copy of the offset; the copy is a load, which leaves the ASIMD pipes alone.
//
// Registers, here and in every kernel that includes this
//   x0 params   x8 offset   x9 M twice, or the start   x10 C   x11 C's channels 4-7 (F32)   x12 outputs left
//   w13 output   v11 scale 0-3   v12 scale 4-7   v13 M   v14 low, v15 high: codes or values
#ifndef EDGEDEPLOY_KERNELS_DEPTHWISE_S8_ASM_H_
#define EDGEDEPLOY_KERNELS_DEPTHWISE_S8_ASM_H_

#include "kernels/depthwise_s8/depthwise_s8_offsets.h"

// clang-format off
.macro SAVE_D8_D15
    stp d8, d9, [sp, #-64]!
    .cfi_adjust_cfa_offset 64
    stp d10, d11, [sp, #16]
    stp d12, d13, [sp, #32]
    stp d14, d15, [sp, #48]
.endm

.macro RESTORE_D8_D15
    ldp d14, d15, [sp, #48]
    ldp d12, d13, [sp, #32]
    ldp d10, d11, [sp, #16]
    ldp d8, d9, [sp], #64
    .cfi_adjust_cfa_offset -64
.endm

// Two vectors of M, after the function's end.
.macro MAGIC label
    .p2align 4
\label:
    .rept 8
    .word DEPTHWISE_S8_MAGIC
    .endr
.endm

// Takes x14 and x17. Flags: Z set for F32.
.macro LOAD_CONSTANTS magic
    adr x9, \magic
    ldp x14, x8, [x0, #DEPTHWISE_S8_SCALE]
    ldp x10, x11, [x0, #DEPTHWISE_S8_C]
    ldr x12, [x0, #DEPTHWISE_S8_OUTPUTS]
    ldp w13, w15, [x0, #DEPTHWISE_S8_OUTPUT]
    ldp w16, w17, [x0, #DEPTHWISE_S8_HIGH_CODE]
    ldp q11, q12, [x14]
    ldr q13, [x9]
    add x11, x10, x11
    dup v14.16b, w15
    dup v15.16b, w16
    cmp w13, #DEPTHWISE_S8_TO_S8_FOLDED
    ldp x14, x15, [x0, #DEPTHWISE_S8_START]  // and rows
    mov x16, x12
    csel x9, x14, x9, eq
    cmp w13, #DEPTHWISE_S8_TO_F32
.endm

// Follows LOAD_CONSTANTS for F32.
.macro LOAD_VALUES
    ldr w14, [x0, #DEPTHWISE_S8_HIGH_VALUE]
    dup v14.4s, w17
    dup v15.4s, w14
.endm

// Two outputs' sums to fixed point of 24 bits in t0-t3. a: v of output 0 channels 0-3, 4-7, of output 1.
.macro PAIR_TO_FIXED a0, a1, a2, a3, t0, t1, t2, t3
    fsub v\a0\().4s, v\a0\().4s, v13.4s
    fsub v\a1\().4s, v\a1\().4s, v13.4s
    fsub v\a2\().4s, v\a2\().4s, v13.4s
    fsub v\a3\().4s, v\a3\().4s, v13.4s
    ldp q\t0, q\t1, [x8]
    ldp q\t2, q\t3, [x8]
    fmla v\t0\().4s, v\a0\().4s, v11.4s
    fmla v\t1\().4s, v\a1\().4s, v12.4s
    fmla v\t2\().4s, v\a2\().4s, v11.4s
    fmla v\t3\().4s, v\a3\().4s, v12.4s
    fcvtzs v\t0\().4s, v\t0\().4s, #24
    fcvtzs v\t1\().4s, v\t1\().4s, #24
    fcvtzs v\t2\().4s, v\t2\().4s, #24
    fcvtzs v\t3\().4s, v\t3\().4s, #24
.endm

// Their top bytes, clamped, to 16 codes in t0.
.macro PAIR_TO_S8 a0, a1, a2, a3, t0, t1, t2, t3
    PAIR_TO_FIXED \a0, \a1, \a2, \a3, \t0, \t1, \t2, \t3
    uzp2 v\t0\().8h, v\t0\().8h, v\t1\().8h
    uzp2 v\t2\().8h, v\t2\().8h, v\t3\().8h
    uzp2 v\t0\().16b, v\t0\().16b, v\t2\().16b
    smax v\t0\().16b, v\t0\().16b, v14.16b
    smin v\t0\().16b, v\t0\().16b, v15.16b
.endm

// The same where offsets are folded: the codes are the low halves of the floats' bits.
.macro PAIR_TO_S8_FOLDED a0, a1, a2, a3, t0, t1, t2, t3
    ldp q\t0, q\t1, [x8]
    ldp q\t2, q\t3, [x8]
    fmla v\t0\().4s, v\a0\().4s, v11.4s
    fmla v\t1\().4s, v\a1\().4s, v12.4s
    fmla v\t2\().4s, v\a2\().4s, v11.4s
    fmla v\t3\().4s, v\a3\().4s, v12.4s
    uzp1 v\t0\().8h, v\t0\().8h, v\t1\().8h
    uzp1 v\t2\().8h, v\t2\().8h, v\t3\().8h
    sqxtn v\t0\().8b, v\t0\().8h
    sqxtn2 v\t0\().16b, v\t2\().8h
    smax v\t0\().16b, v\t0\().16b, v14.16b
    smin v\t0\().16b, v\t0\().16b, v15.16b
.endm

// One output's sums to floats, stored.
.macro STORE_F32 a0, a1, t0, t1
    fsub v\a0\().4s, v\a0\().4s, v13.4s
    fsub v\a1\().4s, v\a1\().4s, v13.4s
    ldp q\t0, q\t1, [x8]
    fmla v\t0\().4s, v\a0\().4s, v11.4s
    fmla v\t1\().4s, v\a1\().4s, v12.4s
    fmax v\t0\().4s, v\t0\().4s, v14.4s
    fmax v\t1\().4s, v\t1\().4s, v14.4s
    fmin v\t0\().4s, v\t0\().4s, v15.4s
    fmin v\t1\().4s, v\t1\().4s, v15.4s
    st1 {v\t0\().4s}, [x10], #16
    st1 {v\t1\().4s}, [x11], #16
.endm
// clang-format on

#endif  // EDGEDEPLOY_KERNELS_DEPTHWISE_S8_ASM_H_
