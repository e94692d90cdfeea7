// depthwise_s8 3x3 of stride 1 with SDOT: two outputs of 8 channels a step. Formula and ranges: depthwise_s8.h;
// prepared rows and packed weights: depthwise_s8_neondot.cpp; the epilogue: depthwise_s8_asm.h.
//
// Layout     rows: for each two outputs a window of 32 bytes; weights: for each row, channels 0-3 and 4-7, the taps
//            [w0 w1 w2 0] of the first output and [0 w0 w1 w2] of the second.
// Alignment  none. Over-read none: rows hold whole pairs. An odd last output stores 8 bytes.
// Target     Cortex-A76 (RK3588, Raspberry Pi 5): two ASIMD pipes, SDOT once a cycle on each, two loads a cycle. A
//            step with folded offsets is 12 SDOT, 4 FMLA, 2 UZP1, 2 SQXTN, SMAX, SMIN and a store: 11.25 cycles of the
//            two pipes, 5.6 an output. Else four FSUB and four FCVTZS, two turns of one pipe each, come to that: 17
//            cycles, 8.5 an output; F32 8. Steps are short and independent: the core has the next one's SDOTs under way
//            during an epilogue.
// Reached    11.7 cycles a step, 5.9 an output; 20 where they are gated, 17.1 where offsets are not folded,
//            as llvm-mca 19 estimates for neoverse-n1, the same core design, with the fixed-point FCVTZS charged as the
//            plain one (its model lists that alone).
// Source     Arm Cortex-A76 Software Optimization Guide, ASIMD dot product: latency 4(1), throughput 2, pipes V; FP
//            convert, Q-form: pipe V0.
//
// Registers, besides those of depthwise_s8_asm.h
//   x1-x3 rows   x4 pointers to rows   x5 weights
//   v0-v3          sums: output 0 channels 0-3, 4-7, output 1 likewise   v4-v7 temporaries
//   v28-v31 v8-v9  windows of the three rows, channels 0-3, 4-7
//   v16-v27        weights: from v(16 + 4r) those of row r, channels 0-3 of output 0 and 1, channels 4-7 likewise
//   x18-x30 are not touched.

#include "asm/aarch64.h"
#include "kernels/depthwise_s8/depthwise_s8_curves_asm.h"

    .arch armv8.2-a+dotprod

// v0-v3: sums of outputs x and x + 1, from the windows at x of the three rows.
.macro PAIR_SUMS
    ldp q0, q1, [x9]
    ldp q2, q3, [x9]
    ldp q28, q29, [x1], #32
    ldp q30, q31, [x2], #32
    ldp q8, q9, [x3], #32
    sdot v0.4s, v28.16b, v16.16b
    sdot v1.4s, v29.16b, v18.16b
    sdot v2.4s, v28.16b, v17.16b
    sdot v3.4s, v29.16b, v19.16b
    sdot v0.4s, v30.16b, v20.16b
    sdot v1.4s, v31.16b, v22.16b
    sdot v2.4s, v30.16b, v21.16b
    sdot v3.4s, v31.16b, v23.16b
    sdot v0.4s, v8.16b, v24.16b
    sdot v1.4s, v9.16b, v26.16b
    sdot v2.4s, v8.16b, v25.16b
    sdot v3.4s, v9.16b, v27.16b
.endm

.macro STORE_PAIR_FOLDED curve, form
    PAIR_TO_S8_FOLDED 0, 1, 2, 3, 4, 5, 6, 7
    st1 {v4.16b}, [x10], #16
.endm

.macro STORE_LAST_FOLDED curve, form
    PAIR_TO_S8_FOLDED 0, 1, 2, 3, 4, 5, 6, 7
    str d4, [x10], #8
.endm

.macro STORE_PAIR_S8 curve, form
    PAIR_TO_S8 0, 1, 2, 3, 4, 5, 6, 7
    st1 {v4.16b}, [x10], #16
.endm

.macro STORE_LAST_S8 curve, form
    PAIR_TO_S8 0, 1, 2, 3, 4, 5, 6, 7
    str d4, [x10], #8
.endm

.macro STORE_PAIR_F32 curve, form
    STORE_F32 0, 1, 4, 5
    STORE_F32 2, 3, 6, 7
.endm

.macro STORE_LAST_F32 curve, form
    STORE_F32 0, 1, 4, 5
.endm

.macro STORE_PAIR_GATED_FOLDED curve, form
    PAIR_TO_GATED_FOLDED 0, 1, 2, 3, 4, 4, 5, 6, 7, 28
    st1 {v4.16b}, [x10], #16
.endm

.macro STORE_LAST_GATED_FOLDED curve, form
    PAIR_TO_GATED_FOLDED 0, 1, 2, 3, 4, 4, 5, 6, 7, 28
    str d4, [x10], #8
.endm

.macro STORE_PAIR_GATED_S8 curve, form
    PAIR_TO_GATED_S8 0, 1, 2, 3, 4, 4, 5, 6, 7, 28
    st1 {v4.16b}, [x10], #16
.endm

.macro STORE_LAST_GATED_S8 curve, form
    PAIR_TO_GATED_S8 0, 1, 2, 3, 4, 4, 5, 6, 7, 28
    str d4, [x10], #8
.endm

.macro STORE_PAIR_GATED_F32 curve, form
    STORE_GATED_F32 0, 1, 4, 5
    STORE_GATED_F32 2, 3, 6, 7
.endm

.macro STORE_LAST_GATED_F32 curve, form
    STORE_GATED_F32 0, 1, 4, 5
.endm

// Of a pair behind a curve, of which the last one may be alone.
.macro CURVED_PAIR curve, form
    CURVED_FACTORS \curve, \form, 0, 1, 2, 3, 4, 5, 6, 7, 28, 29, 30, 31
    CURVED_\form 0, 1, 2, 3, 4, 5, 6, 7, 28, 29, 30, 31
.endm

.macro STORE_PAIR_CURVED curve, form
    CURVED_PAIR \curve, \form
    .ifc \form, F32
    st1 {v4.4s}, [x10], #16
    st1 {v5.4s}, [x11], #16
    st1 {v6.4s}, [x10], #16
    st1 {v7.4s}, [x11], #16
    .else
    st1 {v0.16b}, [x10], #16
    .endif
.endm

.macro STORE_LAST_CURVED curve, form
    CURVED_PAIR \curve, \form
    .ifc \form, F32
    st1 {v4.4s}, [x10], #16
    st1 {v5.4s}, [x11], #16
    .else
    str d0, [x10], #8
    .endif
.endm

// All rows: pairs of outputs, and the last one of an odd number.
.macro ROWS output, curve, form
.Ldepthwise_s8_3x3s1_neondot_\output\curve\form\()_row:
    ldp x1, x2, [x4]
    ldr x3, [x4, #16]
    add x4, x4, #8
    mov x12, x17
    cbz x17, .Ldepthwise_s8_3x3s1_neondot_\output\curve\form\()_last
.Ldepthwise_s8_3x3s1_neondot_\output\curve\form\()_pair:
    PAIR_SUMS
    STORE_PAIR_\output \curve, \form
    subs x12, x12, #1
    b.ne .Ldepthwise_s8_3x3s1_neondot_\output\curve\form\()_pair
.Ldepthwise_s8_3x3s1_neondot_\output\curve\form\()_last:
    tbz x16, #0, .Ldepthwise_s8_3x3s1_neondot_\output\curve\form\()_next_row
    PAIR_SUMS
    STORE_LAST_\output \curve, \form
.Ldepthwise_s8_3x3s1_neondot_\output\curve\form\()_next_row:
    subs x15, x15, #1
    b.ne .Ldepthwise_s8_3x3s1_neondot_\output\curve\form\()_row
    b .Ldepthwise_s8_3x3s1_neondot_done
.endm

FUNCTION depthwise_s8_3x3s1_neondot, 12
    SAVE_D8_D15
    ldp x4, x5, [x0, #DEPTHWISE_S8_ROWS]
    ld1 {v16.16b, v17.16b, v18.16b, v19.16b}, [x5], #64
    ld1 {v20.16b, v21.16b, v22.16b, v23.16b}, [x5], #64
    ld1 {v24.16b, v25.16b, v26.16b, v27.16b}, [x5]
    LOAD_CONSTANTS .Ldepthwise_s8_3x3s1_neondot_magic
    ldr w14, [x0, #DEPTHWISE_S8_GATED]
    cbnz w14, .Ldepthwise_s8_3x3s1_neondot_gated
    b.eq .Ldepthwise_s8_3x3s1_neondot_f32
    lsr x17, x16, #1
    cbz w13, .Ldepthwise_s8_3x3s1_neondot_s8
    ROWS FOLDED
.Ldepthwise_s8_3x3s1_neondot_s8:
    ROWS S8
.Ldepthwise_s8_3x3s1_neondot_f32:
    LOAD_VALUES
    lsr x17, x16, #1
    ROWS F32
.Ldepthwise_s8_3x3s1_neondot_gated:
    lsr x17, x16, #1
    tbnz w14, #1, .Ldepthwise_s8_3x3s1_neondot_curved  // sigmoid or mish
    adr x14, .Ldepthwise_s8_3x3s1_neondot_magic
    GATE_CONSTANTS
    b.eq .Ldepthwise_s8_3x3s1_neondot_gated_f32
    cbz w13, .Ldepthwise_s8_3x3s1_neondot_gated_s8
    LOWEST_GATED 13
    ROWS GATED_FOLDED
.Ldepthwise_s8_3x3s1_neondot_gated_s8:
    ROWS GATED_S8
.Ldepthwise_s8_3x3s1_neondot_gated_f32:
    ROWS GATED_F32
.Ldepthwise_s8_3x3s1_neondot_curved:
    tbnz w14, #0, .Ldepthwise_s8_3x3s1_neondot_mish
    adr x14, .Ldepthwise_s8_3x3s1_neondot_magic
    b.eq .Ldepthwise_s8_3x3s1_neondot_sigmoid_f32
    cbz w13, .Ldepthwise_s8_3x3s1_neondot_sigmoid_s8
    ROWS CURVED, SIGMOID, FOLDED
.Ldepthwise_s8_3x3s1_neondot_sigmoid_s8:
    ROWS CURVED, SIGMOID, S8
.Ldepthwise_s8_3x3s1_neondot_sigmoid_f32:
    ROWS CURVED, SIGMOID, F32
.Ldepthwise_s8_3x3s1_neondot_mish:
    adr x14, .Ldepthwise_s8_3x3s1_neondot_magic
    b.eq .Ldepthwise_s8_3x3s1_neondot_mish_f32
    cbz w13, .Ldepthwise_s8_3x3s1_neondot_mish_s8
    ROWS CURVED, MISH, FOLDED
.Ldepthwise_s8_3x3s1_neondot_mish_s8:
    ROWS CURVED, MISH, S8
.Ldepthwise_s8_3x3s1_neondot_mish_f32:
    ROWS CURVED, MISH, F32
.Ldepthwise_s8_3x3s1_neondot_done:
    RESTORE_D8_D15
    ret
END_FUNCTION depthwise_s8_3x3s1_neondot

    MAGIC .Ldepthwise_s8_3x3s1_neondot_magic
    CURVE_NUMBERS

END_FILE
