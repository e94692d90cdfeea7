// clang-format Language: Cpp
// The steps of the depthwise_s8 kernels that read rows in whole quads, four pixels a lane, none twice: all with SDOT
// but 3x3 of stride 1. A step is 8 outputs, a row's last one 4 if no more are left.
//
// The including file defines ROW outputs, which adds a row to the sums: windows from x6, weights from x7 (it moves
// that on). Takes v0-v10.
//
// Registers, besides those of depthwise_s8_asm.h
//   x1 the step's place in the rows   x2 pointers to the outputs' first row   x5 pointers to rows   x6 row   x7 weights
//   v16-v31  sums: v(16 + 2p) channels 0-3 of output p, v(17 + 2p) channels 4-7
#ifndef EDGEDEPLOY_KERNELS_DEPTHWISE_S8_QUADS_ASM_H_
#define EDGEDEPLOY_KERNELS_DEPTHWISE_S8_QUADS_ASM_H_

#include "kernels/depthwise_s8/depthwise_s8_curves_asm.h"

// clang-format off
.macro SUMS kernel, outputs
    ldr x7, [x0, #DEPTHWISE_S8_WEIGHTS]
    mov x5, x2
    ldp q16, q17, [x9]
    ldp q18, q19, [x9]
    ldp q20, q21, [x9]
    ldp q22, q23, [x9]
    .if \outputs == 8
    ldp q24, q25, [x9]
    ldp q26, q27, [x9]
    ldp q28, q29, [x9]
    ldp q30, q31, [x9]
    .endif
    .rept \kernel
    ldr x6, [x5], #8
    add x6, x6, x1
    ROW \outputs
    .endr
.endm

// The codes of eight outputs to v0-v3, or of four to v0 and v1.
.macro CODES to_s8, outputs
    \to_s8 16, 17, 18, 19, 0, 1, 2, 3
    \to_s8 20, 21, 22, 23, 1, 2, 3, 4
    .if \outputs == 8
    \to_s8 24, 25, 26, 27, 2, 3, 4, 5
    \to_s8 28, 29, 30, 31, 3, 4, 5, 6
    .endif
.endm

.macro STORE_EACH_F32 name, a0, a1, a2, a3
    STORE_F32 \a0, \a1, 0, 1
    subs x12, x12, #1
    b.eq .L\name\()_next_row
    STORE_F32 \a2, \a3, 2, 3
    subs x12, x12, #1
    b.eq .L\name\()_next_row
.endm

// The same of gated values.
.macro GATED_CODES to_s8, outputs
    \to_s8 16, 17, 18, 19, 0, 4, 5, 6, 7, 8
    \to_s8 20, 21, 22, 23, 1, 4, 5, 6, 7, 8
    .if \outputs == 8
    \to_s8 24, 25, 26, 27, 2, 4, 5, 6, 7, 8
    \to_s8 28, 29, 30, 31, 3, 4, 5, 6, 7, 8
    .endif
.endm

.macro STORE_EACH_GATED_F32 name, a0, a1, a2, a3
    STORE_GATED_F32 \a0, \a1, 0, 1
    subs x12, x12, #1
    b.eq .L\name\()_next_row
    STORE_GATED_F32 \a2, \a3, 2, 3
    subs x12, x12, #1
    b.eq .L\name\()_next_row
.endm

// Gated codes to registers, then on at `store`. Floats are what follows, under the name's _STEP_gated_f32.
.macro GATED_OUTPUTS name, step, outputs, store
    GATE_CONSTANTS
    tbz w13, #GATED_FOLDED_BIT, .L\name\()_\step\()_gated_exact
    LOWEST_GATED 13
    GATED_CODES PAIR_TO_GATED_FOLDED, \outputs
    b \store
.L\name\()_\step\()_gated_exact:
    tbnz w13, #GATED_F32_BIT, .L\name\()_\step\()_gated_f32
    GATED_CODES PAIR_TO_GATED_S8, \outputs
    b \store
.endm

// From the function's start up to its return.
.macro STEPS name, kernel, stride, step_bytes
    SAVE_D8_D15
    LOAD_CONSTANTS .L\name\()_magic
    ldr x2, [x0, #DEPTHWISE_S8_ROWS]
    b.ne .L\name\()_mark
    LOAD_VALUES
.L\name\()_mark:
    MARK_GATED .L\name\()_magic
.L\name\()_row:
    mov x1, #0
    mov x12, x16
    cmp x12, #8
    b.lo .L\name\()_last
.L\name\()_step:
    SUMS \kernel, 8
    add x1, x1, #\step_bytes
    cbz w13, .L\name\()_s8
    tbnz w13, #0, .L\name\()_f32
    CODES PAIR_TO_S8_FOLDED, 8
.L\name\()_store_step:
    st1 {v0.16b, v1.16b, v2.16b, v3.16b}, [x10], #64
.L\name\()_next_step:
    sub x12, x12, #8
    cmp x12, #8
    b.hs .L\name\()_step
    cbz x12, .L\name\()_next_row

.L\name\()_last:
    cmp x12, #4
    b.ls .L\name\()_four
    SUMS \kernel, 8
    cbz w13, .L\name\()_last_s8
    tbnz w13, #0, .L\name\()_last_f32
    CODES PAIR_TO_S8_FOLDED, 8
.L\name\()_store:
    tbz x12, #2, .L\name\()_store_two
    st1 {v0.16b, v1.16b}, [x10], #32
    mov v0.16b, v2.16b
    mov v1.16b, v3.16b
.L\name\()_store_two:
    tbz x12, #1, .L\name\()_store_one
    st1 {v0.16b}, [x10], #16
    mov v0.16b, v1.16b
.L\name\()_store_one:
    tbz x12, #0, .L\name\()_next_row
    str d0, [x10], #8
.L\name\()_next_row:
    add x2, x2, #8 * \stride
    subs x15, x15, #1
    b.ne .L\name\()_row
    b .L\name\()_done

.L\name\()_four:
    SUMS \kernel, 4
    cbz w13, .L\name\()_four_s8
    tbnz w13, #0, .L\name\()_four_f32
    CODES PAIR_TO_S8_FOLDED, 4
    b .L\name\()_store

.L\name\()_s8:
    CODES PAIR_TO_S8, 8
    st1 {v0.16b, v1.16b, v2.16b, v3.16b}, [x10], #64
    b .L\name\()_next_step
.L\name\()_last_s8:
    CODES PAIR_TO_S8, 8
    b .L\name\()_store
.L\name\()_four_s8:
    CODES PAIR_TO_S8, 4
    b .L\name\()_store

.L\name\()_f32:
    tbnz w13, #GATED_BIT, .L\name\()_gated
    STORE_F32 16, 17, 0, 1
    STORE_F32 18, 19, 2, 3
    STORE_F32 20, 21, 0, 1
    STORE_F32 22, 23, 2, 3
    STORE_F32 24, 25, 0, 1
    STORE_F32 26, 27, 2, 3
    STORE_F32 28, 29, 0, 1
    STORE_F32 30, 31, 2, 3
    b .L\name\()_next_step
.L\name\()_last_f32:
    tbnz w13, #GATED_BIT, .L\name\()_last_gated
    STORE_EACH_F32 \name, 16, 17, 18, 19
    STORE_EACH_F32 \name, 20, 21, 22, 23
    STORE_EACH_F32 \name, 24, 25, 26, 27
    STORE_EACH_F32 \name, 28, 29, 30, 31
.L\name\()_four_f32:
    tbnz w13, #GATED_BIT, .L\name\()_four_gated
    STORE_EACH_F32 \name, 16, 17, 18, 19
    STORE_EACH_F32 \name, 20, 21, 22, 23

.L\name\()_gated:
    tbnz w13, #CURVED_BIT, .L\name\()_curved
    GATED_OUTPUTS \name, whole, 8, .L\name\()_store_step
.L\name\()_whole_gated_f32:
    STORE_GATED_F32 16, 17, 0, 1
    STORE_GATED_F32 18, 19, 2, 3
    STORE_GATED_F32 20, 21, 0, 1
    STORE_GATED_F32 22, 23, 2, 3
    STORE_GATED_F32 24, 25, 0, 1
    STORE_GATED_F32 26, 27, 2, 3
    STORE_GATED_F32 28, 29, 0, 1
    STORE_GATED_F32 30, 31, 2, 3
    b .L\name\()_next_step
.L\name\()_last_gated:
    tbnz w13, #CURVED_BIT, .L\name\()_curved
    GATED_OUTPUTS \name, last, 8, .L\name\()_store
.L\name\()_last_gated_f32:
    STORE_EACH_GATED_F32 \name, 16, 17, 18, 19
    STORE_EACH_GATED_F32 \name, 20, 21, 22, 23
    STORE_EACH_GATED_F32 \name, 24, 25, 26, 27
    STORE_EACH_GATED_F32 \name, 28, 29, 30, 31
.L\name\()_four_gated:
    tbnz w13, #CURVED_BIT, .L\name\()_curved
    GATED_OUTPUTS \name, four, 4, .L\name\()_store
.L\name\()_four_gated_f32:
    STORE_EACH_GATED_F32 \name, 16, 17, 18, 19
    STORE_EACH_GATED_F32 \name, 20, 21, 22, 23

    CURVED_STEPS \name

.L\name\()_done:
    RESTORE_D8_D15
.endm
// clang-format on

#endif  // EDGEDEPLOY_KERNELS_DEPTHWISE_S8_QUADS_ASM_H_
