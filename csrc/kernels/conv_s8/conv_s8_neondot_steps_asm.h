// clang-format Language: Cpp
// The steps of a tile of conv_s8_8x8_neondot, from its first loads to its sums. Registers: the kernel's file.
#ifndef EDGEDEPLOY_KERNELS_CONV_S8_NEONDOT_STEPS_ASM_H_
#define EDGEDEPLOY_KERNELS_CONV_S8_NEONDOT_STEPS_ASM_H_

#include "kernels/conv_s8/conv_s8_8x8_ends_asm.h"

// clang-format off
// The sums of each pixel from what they start at, x20: loads cost no ASIMD pipe.
.macro START_SUMS rows
    PIXEL \rows, 0, ldp q16, q17, [x20]
    PIXEL \rows, 1, ldp q18, q19, [x20]
    PIXEL \rows, 2, ldp q20, q21, [x20]
    PIXEL \rows, 3, ldp q22, q23, [x20]
    PIXEL \rows, 4, ldp q24, q25, [x20]
    PIXEL \rows, 5, ldp q26, q27, [x20]
    PIXEL \rows, 6, ldp q28, q29, [x20]
    PIXEL \rows, 7, ldp q30, q31, [x20]
.endm

// A pixel's sums start anew where whole tiles follow one another.
.macro RESTART rows, low, high
    ONLY_IF (\rows==8), ldp q\low, q\high, [x20]
.endm

.macro LOAD_POINTERS_0_3 rows, from
    PIXEL \rows, 1, ldp x8, x9, [\from]
    PIXEL \rows, 3, ldp x10, x11, [\from, #16]
    LAST \rows, 0, ldr x8, [\from]
    LAST \rows, 2, ldr x10, [\from, #16]
.endm

.macro LOAD_POINTERS_4_7 rows, from
    PIXEL \rows, 5, ldp x12, x13, [\from, #32]
    PIXEL \rows, 7, ldp x14, x15, [\from, #48]
    LAST \rows, 4, ldr x12, [\from, #32]
    LAST \rows, 6, ldr x14, [\from, #48]
.endm

// sums of a pixel += A[k 0-3] . B[k 0-3], or the same of k 4-7
.macro MULTIPLY rows, m, low, high, a, b_low, b_high, half
    PIXEL \rows, \m, sdot \low\().4s, \b_low\().16b, \a\().4b[\half]
    PIXEL \rows, \m, sdot \high\().4s, \b_high\().16b, \a\().4b[\half]
.endm

// A pixel of 0-3 has been multiplied: its register gets this group's pixel of 4-7, or its own of the next step.
.macro LOAD_FOURTH_OR_NEXT rows, m, fourth, a, pixel, fourth_pixel, follows
    PIXEL \rows, \fourth, ldr \a, [\fourth_pixel, x5]
    .if \follows && \rows <= \fourth
    PIXEL \rows, \m, ldr \a, [\pixel, x16]
    .endif
.endm

// One step. v0-v7 hold B and pixels 0-3; where a step follows, each register is loaded for it as soon as it is free: B
// from \b, A from pixels 0-3 at x16, pixels 4-7 from the pointers at \pointers where the tap changes (NONE: it does
// not), with 0 in x16 then. halves: 1 where the weights of k 4-7 are zero.
.macro STEP rows, follows, b, pointers, halves=2
    .ifnc \pointers, NONE
    LOAD_POINTERS_0_3 \rows, \pointers
    .endif
    MULTIPLY \rows, 0, v16, v17, v4, v0, v1, 0
    MULTIPLY \rows, 1, v18, v19, v5, v0, v1, 0
    MULTIPLY \rows, 2, v20, v21, v6, v0, v1, 0
    MULTIPLY \rows, 3, v22, v23, v7, v0, v1, 0
    ONLY_IF (\follows&&\rows<=4), ldr q0, [\b]
    ONLY_IF (\follows&&\rows<=4), ldr q1, [\b, #16]
    ONLY_IF (\halves==2), MULTIPLY \rows, 0, v16, v17, v4, v2, v3, 1
    LOAD_FOURTH_OR_NEXT \rows, 0, 4, d4, x8, x12, \follows
    ONLY_IF (\halves==2), MULTIPLY \rows, 1, v18, v19, v5, v2, v3, 1
    LOAD_FOURTH_OR_NEXT \rows, 1, 5, d5, x9, x13, \follows
    ONLY_IF (\halves==2), MULTIPLY \rows, 2, v20, v21, v6, v2, v3, 1
    LOAD_FOURTH_OR_NEXT \rows, 2, 6, d6, x10, x14, \follows
    ONLY_IF (\halves==2), MULTIPLY \rows, 3, v22, v23, v7, v2, v3, 1
    LOAD_FOURTH_OR_NEXT \rows, 3, 7, d7, x11, x15, \follows
    .ifnc \pointers, NONE
    LOAD_POINTERS_4_7 \rows, \pointers
    .endif
    MULTIPLY \rows, 4, v24, v25, v4, v0, v1, 0
    MULTIPLY \rows, 5, v26, v27, v5, v0, v1, 0
    MULTIPLY \rows, 6, v28, v29, v6, v0, v1, 0
    MULTIPLY \rows, 7, v30, v31, v7, v0, v1, 0
    ONLY_IF (\follows&&\rows>4), ldr q0, [\b]
    ONLY_IF (\follows&&\rows>4), ldr q1, [\b, #16]
    ONLY_IF (\halves==2), MULTIPLY \rows, 4, v24, v25, v4, v2, v3, 1
    ONLY_IF (\follows&&\rows>4), ldr d4, [x8, x16]
    ONLY_IF (\halves==2), MULTIPLY \rows, 5, v26, v27, v5, v2, v3, 1
    ONLY_IF (\follows&&\rows>5), ldr d5, [x9, x16]
    ONLY_IF (\halves==2), MULTIPLY \rows, 6, v28, v29, v6, v2, v3, 1
    ONLY_IF (\follows&&\rows>6), ldr d6, [x10, x16]
    ONLY_IF (\halves==2), MULTIPLY \rows, 7, v30, v31, v7, v2, v3, 1
    ONLY_IF (\follows&&\rows>7), ldr d7, [x11, x16]
    ONLY_IF \follows, ldr q2, [\b, #32]
    ONLY_IF \follows, ldr q3, [\b, #48]
.endm

// A step that no other tap and no end follows.
.macro STEP_WITHIN_TAP rows
    add x16, x5, x6
    add x3, x3, #64
    STEP \rows, 1, x3, NONE
    mov x5, x16
    subs x4, x4, #1
.endm

.macro STEP_TO_NEXT_TAP rows
    mov x16, #0
    add x3, x3, #64
    STEP \rows, 1, x3, x1
    add x1, x1, #64
    mov x5, #0
    sub x4, x7, #1
    subs x2, x2, #1
.endm

// The steps of a tile of fewer pixels, up to its last one.
.macro STEPS rows
    subs x2, x22, #1
    mov x5, #0
    sub x4, x7, #1
    cbnz x4, .Lconv_s8_8x8_neondot_taps_\rows
    cbz x2, .Lconv_s8_8x8_neondot_last_\rows
.Lconv_s8_8x8_neondot_single_step_\rows:
    STEP_TO_NEXT_TAP \rows
    b.ne .Lconv_s8_8x8_neondot_single_step_\rows
    b .Lconv_s8_8x8_neondot_last_\rows

.Lconv_s8_8x8_neondot_taps_\rows:
    b.eq .Lconv_s8_8x8_neondot_last_tap_\rows
.Lconv_s8_8x8_neondot_tap_\rows:
    STEP_WITHIN_TAP \rows
    b.ne .Lconv_s8_8x8_neondot_tap_\rows
    STEP_TO_NEXT_TAP \rows
    b.ne .Lconv_s8_8x8_neondot_tap_\rows
.Lconv_s8_8x8_neondot_last_tap_\rows:
    STEP_WITHIN_TAP \rows
    b.ne .Lconv_s8_8x8_neondot_last_tap_\rows
.Lconv_s8_8x8_neondot_last_\rows:
.endm

// What a tile's first step needs.
.macro HEAD rows
    START_SUMS \rows
    LOAD_POINTERS_0_3 \rows, x1
    LOAD_POINTERS_4_7 \rows, x1
    add x1, x1, #64
    mov x3, x17
    ldp q0, q1, [x17]
    ldp q2, q3, [x17, #32]
    PIXEL \rows, 0, ldr d4, [x8]
    PIXEL \rows, 1, ldr d5, [x9]
    PIXEL \rows, 2, ldr d6, [x10]
    PIXEL \rows, 3, ldr d7, [x11]
.endm
// clang-format on

#endif  // EDGEDEPLOY_KERNELS_CONV_S8_NEONDOT_STEPS_ASM_H_
