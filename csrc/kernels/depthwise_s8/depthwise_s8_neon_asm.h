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
//   x0 params, then rows left   x7 pointers to rows   x8 offset   x9 start   x10 C   x11 C's channels 4-7 (F32)
//   x12 outputs left - 2   x13 outputs   x14, x15 C of an odd last output   x16 scale   x17 output
//   v0-v3    sums: output 0 channels 0-3, 4-7, output 1 likewise
//   v4-v7    products; then t, narrowed to codes
//   v25-v26  scale 0-3, 4-7   v27 low, v28 high: codes or values
//   x18-x30, v13-v15 are not touched, v8-v12 behind sigmoid and mish alone.
// Frame (112 bytes): C of an odd last output, which is computed with one more | 64 d8-d12
#ifndef EDGEDEPLOY_KERNELS_DEPTHWISE_S8_NEON_ASM_H_
#define EDGEDEPLOY_KERNELS_DEPTHWISE_S8_NEON_ASM_H_

#include "kernels/depthwise_s8/depthwise_s8_neon_curves_asm.h"
#include "kernels/depthwise_s8/depthwise_s8_neon_gates_asm.h"

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

// Rows of outputs, two outputs a step. The including file defines LOAD_ROWS, which loads a row's pointers from x7 and
// moves that to the next row's, and PAIR_SUMS, which leaves the sums in v0-v3. SCALES comes before each use of them
// where the sums take their registers (`scales` is SCALES), else once.
.macro PAIR_STEPS name, scales=
    sub sp, sp, #112
    .cfi_adjust_cfa_offset 112
    ldp x16, x8, [x0, #DEPTHWISE_S8_SCALE]
    ldp x10, x11, [x0, #DEPTHWISE_S8_C]
    ldr x13, [x0, #DEPTHWISE_S8_OUTPUTS]
    ldr w17, [x0, #DEPTHWISE_S8_OUTPUT]
    add x14, x0, #DEPTHWISE_S8_LOW_CODE
    ld1r {v27.16b}, [x14]
    add x14, x0, #DEPTHWISE_S8_HIGH_CODE
    ld1r {v28.16b}, [x14]
    ldp x9, x12, [x0, #DEPTHWISE_S8_START]
    SCALES
    ldr w14, [x0, #DEPTHWISE_S8_GATED]
    cbnz w14, .L\name\()_gated
    cmp w17, #DEPTHWISE_S8_TO_F32
    b.eq .L\name\()_values
    mov x0, x12
    cmp w17, #DEPTHWISE_S8_TO_S8_FOLDED
    b.ne .L\name\()_from_zero

.L\name\()_folded_row:
    START_ROW .L\name\()_folded_odd
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
    END_CODES .L\name\()_folded
    b .L\name\()_done

.L\name\()_from_zero:
    adr x9, .L\name\()_zeros
.L\name\()_s8_row:
    START_ROW .L\name\()_s8_odd
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
    END_CODES .L\name\()_s8
    b .L\name\()_done

.L\name\()_values:
    adr x9, .L\name\()_zeros
    add x14, x0, #DEPTHWISE_S8_LOW_VALUE
    ld1r {v27.4s}, [x14]
    add x14, x0, #DEPTHWISE_S8_HIGH_VALUE
    ld1r {v28.4s}, [x14]
    add x11, x10, x11
    mov x0, x12
.L\name\()_f32_row:
    START_ROW .L\name\()_f32_odd
.L\name\()_f32:
    PAIR_SUMS
    \scales
    CONVERT_SUMS
    SCALE_PAIR 4, 6, 5, 7
    ON_VALUES fmax, v27
    ON_VALUES fmin, v28
    STORE_VALUES
    END_VALUES .L\name\()_f32
    b .L\name\()_done

    GATED_PAIR_STEPS \name, \scales
    b .L\name\()_done

    CURVED_PAIR_STEPS \name, \scales

.L\name\()_done:
    add sp, sp, #112
    .cfi_adjust_cfa_offset -112
.endm

// To `odd` where the row has a single output.
.macro START_ROW odd
    LOAD_ROWS
    mov x14, #0
    subs x12, x13, #2
    b.lt \odd
.endm

// The next step of codes. An odd last output is computed with one more, into the frame. Then the next row.
.macro END_CODES step
    subs x12, x12, #2
    b.ge \step
    cbnz x14, \step\()_last
    cmn x12, #1
    b.ne \step\()_next
\step\()_odd:
    mov x14, x10
    mov x10, sp
    mov x12, #0
    b \step
\step\()_last:
    ldr d0, [sp]
    str d0, [x14], #8
    mov x10, x14
\step\()_next:
    subs x0, x0, #1
    b.ne \step\()_row
.endm

.macro STORE_VALUES
    st1 {v4.4s, v5.4s}, [x10], #32
    st1 {v6.4s, v7.4s}, [x11], #32
.endm

// The same for values.
.macro END_VALUES step
    subs x12, x12, #2
    b.ge \step
    cbnz x14, \step\()_last
    cmn x12, #1
    b.ne \step\()_next
\step\()_odd:
    mov x14, x10
    mov x15, x11
    mov x10, sp
    add x11, sp, #32
    mov x12, #0
    b \step
\step\()_last:
    ldr q0, [sp]
    ldr q1, [sp, #32]
    str q0, [x14], #16
    str q1, [x15], #16
    mov x10, x14
    mov x11, x15
\step\()_next:
    subs x0, x0, #1
    b.ne \step\()_row
.endm

// Where sums that are converted start, after the function's end.
.macro ZEROS name
    .p2align 4
.L\name\()_zeros:
    .fill 8, 4, 0
.endm
// clang-format on

#endif  // EDGEDEPLOY_KERNELS_DEPTHWISE_S8_NEON_ASM_H_
