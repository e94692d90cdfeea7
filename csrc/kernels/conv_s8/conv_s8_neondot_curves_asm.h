// clang-format Language: Cpp
// A tile of conv_s8_8x8_neondot behind sigmoid or mish. Registers: the kernel's file and conv_s8_8x8_curves_asm.h, but
//   x27 where a tile of fewer pixels ends
#ifndef EDGEDEPLOY_KERNELS_CONV_S8_NEONDOT_CURVES_ASM_H_
#define EDGEDEPLOY_KERNELS_CONV_S8_NEONDOT_CURVES_ASM_H_

#include "kernels/conv_s8/conv_s8_8x8_curves_asm.h"
#include "kernels/conv_s8/conv_s8_neondot_steps_asm.h"

#define BITS_OF_A_PAGE 12
#define FEW_PIXELS_BYTES 64

// clang-format off
// A page: where a tile of fewer pixels ends, then a whole tile's last tap, the end of both, and the next tile's start.
// That begins anew: no register is left for what it needs.
.macro CURVED_TILE label, curve, output, start
    .p2align BITS_OF_A_PAGE
.Lconv_s8_8x8_neondot_few_\label:
    hint #36
    SECOND_PIXEL \output, x24
    cmp x24, #6
    b.hi .Lconv_s8_8x8_neondot_curve_\label
    cmp x24, #4
    b.hi .Lconv_s8_8x8_neondot_curve_\label\()_6
    cmp x24, #2
    b.hi .Lconv_s8_8x8_neondot_curve_\label\()_4
    b .Lconv_s8_8x8_neondot_curve_\label\()_2
    .balign FEW_PIXELS_BYTES
.Lconv_s8_8x8_neondot_\label:
    hint #36
.Lconv_s8_8x8_neondot_step_\label:
    STEP_WITHIN_TAP 8
    b.ne .Lconv_s8_8x8_neondot_step_\label
.Lconv_s8_8x8_neondot_end_\label:
    hint #36
    STEP 8, 0, NONE, NONE
    mov x9, #8
    SECOND_PIXEL \output, x9
.Lconv_s8_8x8_neondot_curve_\label:
    CURVED_PAIRS .Lconv_s8_8x8_neondot_curve_\label, \curve, \output, \start
    subs x24, x24, #8
    b.ls .Lconv_s8_8x8_neondot_done
    cmp x24, #8
    b.lo .Lconv_s8_8x8_neondot_last_tile
    sub x2, x22, #1
    mov x5, #0
    sub x4, x7, #1
    HEAD 8
    br x23
.endm

// A page each, of sigmoid those of the outputs S8, F32, S8Folded and F16, then of mish.
.macro CURVED_TILES
    CURVED_TILE sigmoid_s8, SIGMOID, S8, ZERO
    CURVED_TILE sigmoid_f32, SIGMOID, F32, ZERO
    CURVED_TILE sigmoid_folded, SIGMOID, S8, FOLDED
    CURVED_TILE sigmoid_f16, SIGMOID, F16, ZERO
    CURVED_TILE mish_s8, MISH, S8, ZERO
    CURVED_TILE mish_f32, MISH, F32, ZERO
    CURVED_TILE mish_folded, MISH, S8, FOLDED
    CURVED_TILE mish_f16, MISH, F16, ZERO
.endm

// Where sums start, and how tiles end: in the pages of w14's outputs and w15's curves.
.macro CHOOSE_CURVE
    adrp x12, .Lconv_s8_8x8_neondot_starts
    add x12, x12, :lo12:.Lconv_s8_8x8_neondot_starts
    cmp w14, #CONV_S8_TO_S8_FOLDED
    csel x20, x20, x12, eq
    sub w15, w15, #CONV_S8_GATED_SIGMOID
    add w14, w14, w15, lsl #2
    adr x27, .Lconv_s8_8x8_neondot_few_sigmoid_s8
    add x27, x27, x14, lsl #BITS_OF_A_PAGE
    add x21, x27, #FEW_PIXELS_BYTES
.endm
// clang-format on

#endif  // EDGEDEPLOY_KERNELS_CONV_S8_NEONDOT_CURVES_ASM_H_
