// clang-format Language: Cpp
// What a tile of conv_s8_8x8_neondot or conv_s8_8x8_neoni8mm ends with where its values are gated (sums_epilogue.h):
// hard swish, leaky ReLU. Registers: the kernels' files, but
//   v10, v11 the gate's limits   v12, v13 values   v14 the slope, to codes v15; a rounded value   and the gates, in
//   their sums' registers
// The including file emits CURVE_NUMBERS, of which ADDEND_FOLDED and ADDEND_ZERO load what FMLA adds a product to:
// 1.5 * 2^23, or a half.
#ifndef EDGEDEPLOY_KERNELS_CONV_S8_8X8_GATES_ASM_H_
#define EDGEDEPLOY_KERNELS_CONV_S8_8X8_GATES_ASM_H_

#include "kernels/conv_s8/conv_s8_8x8_ends_asm.h"
#include "kernels/sums_curves_asm.h"

// clang-format off
.macro ADDEND_FOLDED register
    ldr q\register, .Lcurve_code
.endm

.macro ADDEND_ZERO register
    ldr q\register, .Lcurve_half
.endm

.macro GATE_CONSTANTS slope
    ldp q10, q11, [x0, #CONV_S8_GATE_LOW]   // and high
    ldr q\slope, [x0, #CONV_S8_GATE_SLOPE]
.endm

// A pixel's values in v12 and v13, their gates in the registers of its sums.
.macro GATES start, slope, low, high
    SCALE \start, \low, \high, 12, 13
    ldr q\low, [x0, #CONV_S8_GATE_OFFSET]
    ldr q\high, [x0, #CONV_S8_GATE_OFFSET]
    fmla v\low\().4s, v12.4s, v\slope\().4s
    fmla v\high\().4s, v13.4s, v\slope\().4s
    fmax v\low\().4s, v\low\().4s, v10.4s
    fmax v\high\().4s, v\high\().4s, v10.4s
    fmin v\low\().4s, v\low\().4s, v11.4s
    fmin v\high\().4s, v\high\().4s, v11.4s
.endm

// A pixel's eight codes in 16 bits, in the register of its low sums.
.macro GATED_CODES start, low, high
    GATES \start, 15, \low, \high
    ADDEND_\start 14
    fmla v14.4s, v12.4s, v\low\().4s
    ADDEND_\start 12
    fmla v12.4s, v13.4s, v\high\().4s
    .ifc \start, FOLDED
    uzp1 v\low\().8h, v14.8h, v12.8h
    .else
    fcvtzs v14.4s, v14.4s, #24
    fcvtzs v12.4s, v12.4s, #24
    uzp2 v\low\().8h, v14.8h, v12.8h
    .endif
.endm

.macro GATED_PAIR rows, m, start, bytes, l0, h0, l1, h1
    PIXEL \rows, \m, GATED_CODES \start, \l0, \h0
    PIXEL \rows, \m+1, GATED_CODES \start, \l1, \h1
    PIXEL \rows, \m, NARROW_PAIR \start, \bytes, \l0, \l1
.endm

.macro PIXELS_GATED_S8 rows, start, clamped
    GATE_CONSTANTS 15
    GATED_PAIR \rows, 0, \start, 16, 16, 17, 18, 19
    GATED_PAIR \rows, 2, \start, 17, 20, 21, 22, 23
    RESTART \rows, 20, 21
    RESTART \rows, 22, 23
    GATED_PAIR \rows, 4, \start, 18, 24, 25, 26, 27
    RESTART \rows, 24, 25
    RESTART \rows, 26, 27
    GATED_PAIR \rows, 6, \start, 19, 28, 29, 30, 31
    RESTART \rows, 28, 29
    RESTART \rows, 30, 31
    movi v12.16b, #CONV_S8_LOWEST_GATED
    PIXEL \rows, 0, smax v16.16b, v16.16b, v12.16b
    PIXEL \rows, 2, smax v17.16b, v17.16b, v12.16b
    PIXEL \rows, 4, smax v18.16b, v18.16b, v12.16b
    PIXEL \rows, 6, smax v19.16b, v19.16b, v12.16b
    STORE_CODES \rows
    RESTART \rows, 16, 17
    RESTART \rows, 18, 19
.endm

// A pixel's products in v12 and v13.
.macro GATED_VALUES rows, start, low, high
    GATES \start, 14, \low, \high
    fmul v12.4s, v12.4s, v\low\().4s
    fmul v13.4s, v13.4s, v\high\().4s
    RESTART \rows, \low, \high
.endm

.macro GATED_PIXEL output, rows, start, low, high
    GATED_VALUES \rows, \start, \low, \high
    STORE_\output 0, 12, 13
.endm

.macro GATED_PIXELS output, rows, start
    GATE_CONSTANTS 14
    PIXEL \rows, 0, GATED_PIXEL \output, \rows, \start, 16, 17
    PIXEL \rows, 1, GATED_PIXEL \output, \rows, \start, 18, 19
    PIXEL \rows, 2, GATED_PIXEL \output, \rows, \start, 20, 21
    PIXEL \rows, 3, GATED_PIXEL \output, \rows, \start, 22, 23
    PIXEL \rows, 4, GATED_PIXEL \output, \rows, \start, 24, 25
    PIXEL \rows, 5, GATED_PIXEL \output, \rows, \start, 26, 27
    PIXEL \rows, 6, GATED_PIXEL \output, \rows, \start, 28, 29
    PIXEL \rows, 7, GATED_PIXEL \output, \rows, \start, 30, 31
.endm

.macro PIXELS_GATED_F32 rows, start, clamped
    GATED_PIXELS F32, \rows, \start
.endm

.macro PIXELS_GATED_F16 rows, start, clamped
    GATED_PIXELS F16, \rows, \start
.endm
// clang-format on

#endif  // EDGEDEPLOY_KERNELS_CONV_S8_8X8_GATES_ASM_H_
