// clang-format Language: Cpp
// The outputs of the depthwise_s8 kernels for armv8.0 where values are gated (sums_epilogue.h): hard swish, leaky ReLU.
//
// Registers, besides those of depthwise_s8_neon_asm.h
//   x17 the params' gate   v27 low, v28 high of the gate   v29 slope   v30 a sum of products
#ifndef EDGEDEPLOY_KERNELS_DEPTHWISE_S8_NEON_GATES_ASM_H_
#define EDGEDEPLOY_KERNELS_DEPTHWISE_S8_NEON_GATES_ASM_H_

#include "kernels/depthwise_s8/depthwise_s8_offsets.h"

// clang-format off
// The gate's limits are not below zero: bits compare as integers do.
.macro GATE gate, t
    ldr q\gate, [x17, #DEPTHWISE_S8_GATE_OFFSET - DEPTHWISE_S8_GATE_SLOPE]
    fmla v\gate\().4s, v\t\().4s, v29.4s
    smax v\gate\().4s, v\gate\().4s, v27.4s
    smin v\gate\().4s, v\gate\().4s, v28.4s
.endm

// Gates of v4-v7 to v0-v3.
.macro GATE_PAIR
    ldr q29, [x17]
    GATE 0, 4
    GATE 1, 5
    GATE 2, 6
    GATE 3, 7
.endm

.macro STORE_GATED_CODES name
    ldr q7, .L\name\()_lowest
    smax v4.16b, v4.16b, v7.16b
    st1 {v4.16b}, [x10], #16
.endm

.macro TO_GATED_FIXED into, t, gate
    fmov v\into\().4s, #0.5
    fmla v\into\().4s, v\t\().4s, v\gate\().4s
    fcvtzs v\into\().4s, v\into\().4s, #24
.endm

// Of PAIR_STEPS, whose macros it uses; ends at its _done. The long loops, with `scales`, begin a page.
.macro GATED_PAIR_STEPS name, scales
    .ifnb \scales
    .p2align 12
    .endif
.L\name\()_gated:
    tbnz w14, #1, .L\name\()_curved    // sigmoid or mish
    mov w14, w17
    add x17, x0, #DEPTHWISE_S8_GATE_SLOPE
    mov x0, x12
    ldr q27, [x17, #DEPTHWISE_S8_GATE_LOW - DEPTHWISE_S8_GATE_SLOPE]
    ldr q28, [x17, #DEPTHWISE_S8_GATE_HIGH - DEPTHWISE_S8_GATE_SLOPE]
    cmp w14, #DEPTHWISE_S8_TO_S8_FOLDED
    b.ne .L\name\()_gated_from_zero

.L\name\()_gated_folded_row:
    START_ROW .L\name\()_gated_folded_odd
.L\name\()_gated_folded:
    PAIR_SUMS
    \scales
    SCALE_PAIR 4, 5, 6, 7
    GATE_PAIR
    ldr q30, .L\name\()_middle
    fmla v30.4s, v4.4s, v0.4s
    ldr q4, .L\name\()_middle
    fmla v4.4s, v5.4s, v1.4s
    ldr q5, .L\name\()_middle
    fmla v5.4s, v6.4s, v2.4s
    ldr q6, .L\name\()_middle
    fmla v6.4s, v7.4s, v3.4s
    xtn v7.4h, v30.4s
    xtn2 v7.8h, v4.4s
    sqxtn v4.8b, v7.8h
    xtn v5.4h, v5.4s
    xtn2 v5.8h, v6.4s
    sqxtn2 v4.16b, v5.8h
    STORE_GATED_CODES \name
    END_CODES .L\name\()_gated_folded
    b .L\name\()_done

.L\name\()_gated_from_zero:
    adr x9, .L\name\()_zeros
    cbz w14, .L\name\()_gated_s8_row
    add x11, x10, x11
.L\name\()_gated_f32_row:
    START_ROW .L\name\()_gated_f32_odd
.L\name\()_gated_f32:
    PAIR_SUMS
    \scales
    CONVERT_SUMS
    SCALE_PAIR 4, 6, 5, 7
    GATE_PAIR
    fmul v4.4s, v4.4s, v0.4s
    fmul v5.4s, v5.4s, v1.4s
    fmul v6.4s, v6.4s, v2.4s
    fmul v7.4s, v7.4s, v3.4s
    STORE_VALUES
    END_VALUES .L\name\()_gated_f32
    b .L\name\()_done

.L\name\()_gated_s8_row:
    START_ROW .L\name\()_gated_s8_odd
.L\name\()_gated_s8:
    PAIR_SUMS
    \scales
    CONVERT_SUMS
    SCALE_PAIR 4, 5, 6, 7
    GATE_PAIR
    TO_GATED_FIXED 30, 4, 0
    TO_GATED_FIXED 4, 5, 1
    TO_GATED_FIXED 5, 6, 2
    TO_GATED_FIXED 6, 7, 3
    shrn v7.4h, v30.4s, #16
    shrn2 v7.8h, v4.4s, #16
    shrn v5.4h, v5.4s, #16
    shrn2 v5.8h, v6.4s, #16
    shrn v4.8b, v7.8h, #8
    shrn2 v4.16b, v5.8h, #8
    STORE_GATED_CODES \name
    END_CODES .L\name\()_gated_s8
.endm

// What gated values are added to, and the lowest code, after the function's end.
.macro GATE_ADDENDS name
    .p2align 4
.L\name\()_middle:
    .fill 4, 4, 0x4b400000              // 1.5 * 2^23
.L\name\()_lowest:
    .fill 16, 1, DEPTHWISE_S8_LOWEST_GATED
.endm
// clang-format on

#endif  // EDGEDEPLOY_KERNELS_DEPTHWISE_S8_NEON_GATES_ASM_H_
