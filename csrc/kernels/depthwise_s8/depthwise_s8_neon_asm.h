// clang-format Language: Cpp
// What the depthwise_s8 kernels for armv8.0 in assembly share: products of 8 channels, and the way from sums to outputs
// (sums_epilogue.h).
//
// SMULL and SMLAL put two products into 16 bits, 2 * 128 * 127 = 32512, hence weights in [-127, 127]; SADDW adds them
// to the sums. A vector holds two pixels, and every weight lies in both halves of its vector, so that LO and HI
// multiply either pixel.
//
// Loads leave the ASIMD pipes alone: sums start as copies of where they start, and FMLA adds to copies of the offset.
// Of two pipes one alone multiplies; additions stand between multiplications so that llvm-mca's model, which deals them
// out in turns, has the other take most of them.
//
// Registers, here and in every kernel that includes this
//   x8 offset   x9 start   x10 C   x11 C's channels 4-7 (F32)   x12 outputs left - 2   x14, x15 C of an odd last output
//   x16 scale   x13, x17 temporaries
//   v0-v3    sums: output 0 channels 0-3, 4-7, output 1 likewise
//   v4-v7    products; then t, narrowed to codes
//   v25-v26  scale 0-3, 4-7   v27 low, v28 high: codes or values
//   x18-x30, v8-v15 are not touched.
// Frame (64 bytes): C of an odd last output, which is computed with one more.
#ifndef EDGEDEPLOY_KERNELS_DEPTHWISE_S8_NEON_ASM_H_
#define EDGEDEPLOY_KERNELS_DEPTHWISE_S8_NEON_ASM_H_

#include "kernels/depthwise_s8/depthwise_s8_offsets.h"

// clang-format off
.macro MUL_LO product, pixels, weight
    smull v\product\().8h, v\pixels\().8b, v\weight\().8b
.endm

.macro MUL_HI product, pixels, weight
    smull2 v\product\().8h, v\pixels\().16b, v\weight\().16b
.endm

.macro MLA_LO product, pixels, weight
    smlal v\product\().8h, v\pixels\().8b, v\weight\().8b
.endm

.macro MLA_HI product, pixels, weight
    smlal2 v\product\().8h, v\pixels\().16b, v\weight\().16b
.endm

.macro ADD_LO sum, product
    saddw v\sum\().4s, v\sum\().4s, v\product\().4h
.endm

.macro ADD_HI sum, product
    saddw2 v\sum\().4s, v\sum\().4s, v\product\().8h
.endm

.macro SCALES
    ldr q25, [x16]
    ldr q26, [x16, #16]
.endm

// t0, t1 of output 0 and t2, t3 of output 1.
.macro SCALE_PAIR t0, t1, t2, t3
    ldr q\t1, [x8, #16]
    fmla v\t1\().4s, v1.4s, v26.4s
    ldr q\t0, [x8]
    fmla v\t0\().4s, v0.4s, v25.4s
    ldr q\t3, [x8, #16]
    ldr q\t2, [x8]
    fmla v\t2\().4s, v2.4s, v25.4s
    fmla v\t3\().4s, v3.4s, v26.4s
.endm

.macro CONVERT_SUMS
    scvtf v0.4s, v0.4s
    scvtf v1.4s, v1.4s
    scvtf v2.4s, v2.4s
    scvtf v3.4s, v3.4s
.endm

.macro STORE_CODES
    smax v4.16b, v4.16b, v27.16b
    smin v4.16b, v4.16b, v28.16b
    st1 {v4.16b}, [x10], #16
.endm

.macro ON_VALUES operation, limit
    \operation v4.4s, v4.4s, \limit\().4s
    \operation v5.4s, v5.4s, \limit\().4s
    \operation v6.4s, v6.4s, \limit\().4s
    \operation v7.4s, v7.4s, \limit\().4s
.endm

// Two outputs a step, until none is left. The including file defines PAIR_SUMS, which leaves them in v0-v3; SCALES
// comes before each use of them where it takes their registers (`scales` is SCALES), else once.
.macro PAIR_STEPS name, scales=
    sub sp, sp, #64
    .cfi_adjust_cfa_offset 64
    ldp x16, x8, [x0, #DEPTHWISE_S8_SCALE]
    ldp x10, x11, [x0, #DEPTHWISE_S8_C]
    ldr x12, [x0, #DEPTHWISE_S8_OUTPUTS]
    ldr w13, [x0, #DEPTHWISE_S8_OUTPUT]
    add x17, x0, #DEPTHWISE_S8_LOW_CODE
    ld1r {v27.16b}, [x17]
    add x17, x0, #DEPTHWISE_S8_HIGH_CODE
    ld1r {v28.16b}, [x17]
    SCALES
    mov x14, #0
    subs x12, x12, #2
    csel x14, x10, x14, lt              // A single output is an odd last one.
    mov x15, sp
    csel x10, x15, x10, lt
    cmp w13, #DEPTHWISE_S8_TO_S8_FOLDED
    b.ne .L\name\()_not_folded
    ldr x9, [x0, #DEPTHWISE_S8_START]

.L\name\()_folded:
    PAIR_SUMS
    \scales
    SCALE_PAIR 4, 5, 6, 7
    xtn v4.4h, v4.4s
    xtn2 v4.8h, v5.4s
    sqxtn v4.8b, v4.8h
    xtn v6.4h, v6.4s
    xtn2 v6.8h, v7.4s
    sqxtn2 v4.16b, v6.8h
    STORE_CODES
    subs x12, x12, #2
    b.ge .L\name\()_folded
    ODD_LAST .L\name\()_folded, .L\name\()_last_codes
    b .L\name\()_done

.L\name\()_not_folded:
    adr x9, .L\name\()_zeros
    cmp w13, #DEPTHWISE_S8_TO_F32
    b.eq .L\name\()_f32
.L\name\()_s8:
    PAIR_SUMS
    \scales
    CONVERT_SUMS
    SCALE_PAIR 4, 5, 6, 7
    fcvtzs v4.4s, v4.4s, #24
    fcvtzs v5.4s, v5.4s, #24
    fcvtzs v6.4s, v6.4s, #24
    fcvtzs v7.4s, v7.4s, #24
    shrn v4.4h, v4.4s, #16
    shrn v6.4h, v6.4s, #16
    shrn2 v4.8h, v5.4s, #16
    shrn2 v6.8h, v7.4s, #16
    shrn v4.8b, v4.8h, #8
    shrn2 v4.16b, v6.8h, #8
    STORE_CODES
    subs x12, x12, #2
    b.ge .L\name\()_s8
    ODD_LAST .L\name\()_s8, .L\name\()_last_codes
    b .L\name\()_done

.L\name\()_last_codes:
    ldr d0, [sp]
    str d0, [x14]
    b .L\name\()_done

.L\name\()_f32:
    add x17, x0, #DEPTHWISE_S8_LOW_VALUE
    ld1r {v27.4s}, [x17]
    add x17, x0, #DEPTHWISE_S8_HIGH_VALUE
    ld1r {v28.4s}, [x17]
    cmp x14, #0
    add x15, sp, #32
    csel x17, x10, x14, eq
    add x17, x17, x11                   // The distance of the quads so far.
    csel x11, x17, x15, eq
    mov x15, x17
.L\name\()_values:
    PAIR_SUMS
    \scales
    CONVERT_SUMS
    SCALE_PAIR 4, 6, 5, 7
    ON_VALUES fmax, v27
    ON_VALUES fmin, v28
    st1 {v4.4s, v5.4s}, [x10], #32
    st1 {v6.4s, v7.4s}, [x11], #32
    subs x12, x12, #2
    b.ge .L\name\()_values
    cbnz x14, .L\name\()_last_values
    mov x15, x11
    add x11, sp, #32
    ODD_LAST .L\name\()_values, .L\name\()_last_values
    b .L\name\()_done
.L\name\()_last_values:
    ldr q0, [sp]
    ldr q1, [sp, #32]
    str q0, [x14]
    str q1, [x15]

.L\name\()_done:
    add sp, sp, #64
    .cfi_adjust_cfa_offset -64
.endm

// After the pairs: to `last` if the last one was an odd output's, to `again` with the frame for C if there is one.
.macro ODD_LAST again, last
    cbnz x14, \last
    cmn x12, #1
    mov x14, x10
    mov x10, sp
    mov x12, #0
    b.eq \again
.endm

// Where sums that are converted start, after the function's end.
.macro ZEROS name
    .p2align 4
.L\name\()_zeros:
    .fill 8, 4, 0
.endm
// clang-format on

#endif  // EDGEDEPLOY_KERNELS_DEPTHWISE_S8_NEON_ASM_H_
