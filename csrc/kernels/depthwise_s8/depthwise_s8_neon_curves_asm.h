// clang-format Language: Cpp
// The outputs of the depthwise_s8 kernels for armv8.0 behind sigmoid or mish (sums_epilogue.h).
//
// Registers, besides those of depthwise_s8_neon_asm.h
//   x17 the params' gate
//   v4-v7 values, then first factors   v27-v30 second factors   v0-v3, v31, v8-v12 serve. v8-v12 have to be saved: with
//   the weights of 3x3 in v16-v24 and the scales five registers too few are left.
#ifndef EDGEDEPLOY_KERNELS_DEPTHWISE_S8_NEON_CURVES_ASM_H_
#define EDGEDEPLOY_KERNELS_DEPTHWISE_S8_NEON_CURVES_ASM_H_

#include "kernels/depthwise_s8/depthwise_s8_offsets.h"
#include "kernels/sums_curves_asm.h"

// clang-format off
.macro LOAD_GATE offset, register
    ldr q\register, [x17, #\offset]
.endm

.macro CURVED_CONVERT_FOLDED
.endm

.macro CURVED_CONVERT_S8
    CONVERT_SUMS
.endm

.macro CURVED_CONVERT_F32
    CONVERT_SUMS
.endm

.macro CURVED_TO_FOLDED
    LOAD_FOUR code, 0, 1, 2, 3
    ON_FOUR fmla, 0, 1, 2, 3, 4, 5, 6, 7, 27, 28, 29, 30
    xtn v0.4h, v0.4s
    xtn v2.4h, v2.4s
    xtn2 v0.8h, v1.4s
    xtn2 v2.8h, v3.4s
    ldr q7, .Lcurve_lowest
    sqxtn v4.8b, v0.8h
    sqxtn2 v4.16b, v2.8h
    smax v4.16b, v4.16b, v7.16b
.endm

.macro CURVED_TO_S8
    LOAD_FOUR half, 0, 1, 2, 3
    ON_FOUR fmla, 0, 1, 2, 3, 4, 5, 6, 7, 27, 28, 29, 30
    TO_FIXED_FOUR 0, 1, 2, 3
    shrn v0.4h, v0.4s, #16
    shrn v2.4h, v2.4s, #16
    shrn2 v0.8h, v1.4s, #16
    shrn2 v2.8h, v3.4s, #16
    ldr q7, .Lcurve_lowest
    shrn v4.8b, v0.8h, #8
    shrn2 v4.16b, v2.8h, #8
    smax v4.16b, v4.16b, v7.16b
.endm

.macro CURVED_TO_F32
    ON_FOUR fmul, 4, 5, 6, 7, 4, 5, 6, 7, 27, 28, 29, 30
.endm

// A loop lies within half a page, or a quarter, and so never across two.
.macro CURVED_LOOP name, scales, curve, form
    .ifnb \scales
    .p2align 11
    .else
    .p2align 10
    .endif
.L\name\()_\curve\()_\form\()_row:
    START_ROW .L\name\()_\curve\()_\form\()_odd
.L\name\()_\curve\()_\form:
    PAIR_SUMS
    \scales
    CURVED_CONVERT_\form
    .ifc \form, F32
    SCALE_PAIR 4, 6, 5, 7
    .else
    SCALE_PAIR 4, 5, 6, 7
    .endif
    CURVE_\curve 4, 5, 6, 7, 0, 1, 2, 3, 27, 28, 29, 30, 31, 8, 9, 10, 11, 12
    CURVED_TO_\form
    .ifc \form, F32
    STORE_VALUES
    END_VALUES .L\name\()_\curve\()_\form
    .else
    st1 {v4.16b}, [x10], #16
    END_CODES .L\name\()_\curve\()_\form
    .endif
    b .L\name\()_curved_done
.endm

// Of PAIR_STEPS, whose macros it uses; ends before its _done.
.macro CURVED_PAIR_STEPS name, scales
.L\name\()_curved:
    mov w3, w17
    add x17, x0, #DEPTHWISE_S8_GATE_SLOPE
    mov x0, x12
    stp d8, d9, [sp, #64]
    stp d10, d11, [sp, #80]
    str d12, [sp, #96]
    cmp w3, #DEPTHWISE_S8_TO_F32
    b.hi .L\name\()_curved_folded
    adr x9, .L\name\()_zeros
    b.eq .L\name\()_curved_f32
    tbnz w14, #0, .L\name\()_MISH_S8_row
    CURVED_LOOP \name, \scales, SIGMOID, S8
    CURVED_LOOP \name, \scales, MISH, S8
.L\name\()_curved_f32:
    add x11, x10, x11
    tbnz w14, #0, .L\name\()_MISH_F32_row
    CURVED_LOOP \name, \scales, SIGMOID, F32
    CURVED_LOOP \name, \scales, MISH, F32
.L\name\()_curved_folded:
    tbnz w14, #0, .L\name\()_MISH_FOLDED_row
    CURVED_LOOP \name, \scales, SIGMOID, FOLDED
    CURVED_LOOP \name, \scales, MISH, FOLDED
.L\name\()_curved_done:
    ldp d8, d9, [sp, #64]
    ldp d10, d11, [sp, #80]
    ldr d12, [sp, #96]
.endm
// clang-format on

#endif  // EDGEDEPLOY_KERNELS_DEPTHWISE_S8_NEON_CURVES_ASM_H_
