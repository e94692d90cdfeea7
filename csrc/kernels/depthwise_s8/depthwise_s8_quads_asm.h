// clang-format Language: Cpp
// The steps of the depthwise_s8 kernels that read rows in whole quads, four pixels a lane, none twice: all with SDOT
// but 3x3 of stride 1. A step is 8 outputs, the last one 4 if no more are left.
//
// The including file defines ROW outputs, which adds a row to the sums: windows from x6, weights from x7 (it moves
// that on). Takes v0-v10.
//
// Registers, besides those of depthwise_s8_asm.h
//   x1 the step's place in the rows   x4 rows left   x5 pointers to rows   x6 row   x7 weights
//   v16-v31  sums: v(16 + 2p) channels 0-3 of output p, v(17 + 2p) channels 4-7
#ifndef EDGEDEPLOY_KERNELS_DEPTHWISE_S8_QUADS_ASM_H_
#define EDGEDEPLOY_KERNELS_DEPTHWISE_S8_QUADS_ASM_H_

#include "kernels/depthwise_s8/depthwise_s8_asm.h"

// clang-format off
.macro SUMS label, kernel, outputs
    ldr x5, [x0, #DEPTHWISE_S8_ROWS]
    ldr x7, [x0, #DEPTHWISE_S8_WEIGHTS]
    mov x4, #\kernel
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
\label:
    ldr x6, [x5], #8
    add x6, x6, x1
    ROW \outputs
    subs x4, x4, #1
    b.ne \label
.endm

.macro STORE_PAIR_S8 to_s8, name, a0, a1, a2, a3
    \to_s8 \a0, \a1, \a2, \a3, 0, 1, 2, 3
    subs x12, x12, #2
    b.lo .L\name\()_last
    st1 {v0.16b}, [x10], #16
    b.eq .L\name\()_done
.endm

.macro STORE_EACH_F32 name, a0, a1, a2, a3
    STORE_F32 \a0, \a1, 0, 1
    b.eq .L\name\()_done
    STORE_F32 \a2, \a3, 2, 3
    b.eq .L\name\()_done
.endm

// From the function's start up to its return.
.macro STEPS name, kernel, step_bytes
    SAVE_D8_D15
    LOAD_CONSTANTS .L\name\()_magic
    mov x1, #0
    b.ne .L\name\()_step
    LOAD_VALUES
.L\name\()_step:
    cmp x12, #4
    b.ls .L\name\()_four
    SUMS .L\name\()_eight_rows, \kernel, 8
    add x1, x1, #\step_bytes
    cbz w13, .L\name\()_s8
    tbnz w13, #0, .L\name\()_f32
    STORE_PAIR_S8 PAIR_TO_S8_FOLDED, \name, 16, 17, 18, 19
    STORE_PAIR_S8 PAIR_TO_S8_FOLDED, \name, 20, 21, 22, 23
    STORE_PAIR_S8 PAIR_TO_S8_FOLDED, \name, 24, 25, 26, 27
    STORE_PAIR_S8 PAIR_TO_S8_FOLDED, \name, 28, 29, 30, 31
    b .L\name\()_step

.L\name\()_s8:
    STORE_PAIR_S8 PAIR_TO_S8, \name, 16, 17, 18, 19
    STORE_PAIR_S8 PAIR_TO_S8, \name, 20, 21, 22, 23
    STORE_PAIR_S8 PAIR_TO_S8, \name, 24, 25, 26, 27
    STORE_PAIR_S8 PAIR_TO_S8, \name, 28, 29, 30, 31
    b .L\name\()_step

.L\name\()_f32:
    STORE_EACH_F32 \name, 16, 17, 18, 19
    STORE_EACH_F32 \name, 20, 21, 22, 23
    STORE_EACH_F32 \name, 24, 25, 26, 27
    STORE_EACH_F32 \name, 28, 29, 30, 31
    b .L\name\()_step

.L\name\()_four:
    SUMS .L\name\()_four_rows, \kernel, 4
    cbz w13, .L\name\()_four_s8
    tbnz w13, #0, .L\name\()_four_f32
    STORE_PAIR_S8 PAIR_TO_S8_FOLDED, \name, 16, 17, 18, 19
    STORE_PAIR_S8 PAIR_TO_S8_FOLDED, \name, 20, 21, 22, 23
    b .L\name\()_last

.L\name\()_four_s8:
    STORE_PAIR_S8 PAIR_TO_S8, \name, 16, 17, 18, 19
    STORE_PAIR_S8 PAIR_TO_S8, \name, 20, 21, 22, 23

.L\name\()_last:
    str d0, [x10]
    b .L\name\()_done

.L\name\()_four_f32:
    STORE_EACH_F32 \name, 16, 17, 18, 19
    STORE_EACH_F32 \name, 20, 21, 22, 23

.L\name\()_done:
    RESTORE_D8_D15
.endm
// clang-format on

#endif  // EDGEDEPLOY_KERNELS_DEPTHWISE_S8_QUADS_ASM_H_
