// clang-format Language: Cpp
// What a tile of conv_s8_8x8_neondot or conv_s8_8x8_neoni8mm ends with: sums to values or codes, and to memory.
// Registers: the kernels' files. The including file defines RESTART: what becomes of registers whose sums are taken.
#ifndef EDGEDEPLOY_KERNELS_CONV_S8_8X8_ENDS_ASM_H_
#define EDGEDEPLOY_KERNELS_CONV_S8_8X8_ENDS_ASM_H_

#include "kernels/conv_s8/conv_s8_asm.h"
#include "kernels/conv_s8/conv_s8_offsets.h"

// clang-format off
// The last pixel's own instruction where the number of pixels is odd: m is even.
.macro LAST rows, m, instruction:vararg
    .if \rows == \m + 1
    \instruction
    .endif
.endm

.macro ONLY_IF condition, instruction:vararg
    .if \condition
    \instruction
    .endif
.endm

// A pixel's sums to floats. start: where they started, MAGIC at 1.5 * 2^23 (v15), ZERO at zero, FOLDED at floats.
.macro FLOATS_FOLDED low, high
.endm

.macro FLOATS_MAGIC low, high
    fsub v\low\().4s, v\low\().4s, v15.4s
    fsub v\high\().4s, v\high\().4s, v15.4s
.endm

.macro FLOATS_ZERO low, high
    scvtf v\low\().4s, v\low\().4s
    scvtf v\high\().4s, v\high\().4s
.endm

// t = fma(sum, scale, offset); the offsets come from memory, where a copy costs no ASIMD pipe. After it the sums may
// start anew.
.macro SCALE start, low, high, t_low, t_high
    FLOATS_\start \low, \high
    ldp q\t_low, q\t_high, [x25]
    fmla v\t_low\().4s, v\low\().4s, v8.4s
    fmla v\t_high\().4s, v\high\().4s, v9.4s
.endm

// A pixel's eight codes in 16 bits, in the register of its low sums. Folded sums leave 1.5 * 2^23 + code, whose low
// halves they are; else they are the high halves of what FCVTZS saturates.
.macro CODES start, low, high, t_low, t_high
    SCALE \start, \low, \high, \t_low, \t_high
    .ifc \start, FOLDED
    uzp1 v\low\().8h, v\t_low\().8h, v\t_high\().8h
    .else
    fcvtzs v\t_low\().4s, v\t_low\().4s, #24
    fcvtzs v\t_high\().4s, v\t_high\().4s, #24
    uzp2 v\low\().8h, v\t_low\().8h, v\t_high\().8h
    .endif
.endm

// Two pixels' codes to bytes.
.macro NARROW_PAIR start, bytes, first, second
    .ifc \start, FOLDED
    sqxtn v\bytes\().8b, v\first\().8h
    sqxtn2 v\bytes\().16b, v\second\().8h
    .else
    uzp2 v\bytes\().16b, v\first\().16b, v\second\().16b
    .endif
.endm

// The same within the limits v10 and, where the upper one is below 127, v11.
.macro NARROW start, clamped, bytes, first, second
    NARROW_PAIR \start, \bytes, \first, \second
    smax v\bytes\().16b, v\bytes\().16b, v10.16b
    ONLY_IF \clamped, smin v\bytes\().16b, v\bytes\().16b, v11.16b
.endm

// Two pixels' bytes to v\bytes, a single last one's to its low half.
.macro PAIR_CODES rows, m, start, clamped, bytes, l0, h0, l1, h1
    PIXEL \rows, \m, CODES \start, \l0, \h0, 12, 13
    PIXEL \rows, \m+1, CODES \start, \l1, \h1, 14, 13
    PIXEL \rows, \m, NARROW \start, \clamped, \bytes, \l0, \l1
.endm

// Of v16-v19.
.macro STORE_CODES rows
    PIXEL \rows, 7, st1 {v16.16b, v17.16b, v18.16b, v19.16b}, [x19], #64
    .if \rows < 8
    PIXEL \rows, 1, st1 {v16.16b}, [x19], #16
    PIXEL \rows, 3, st1 {v17.16b}, [x19], #16
    PIXEL \rows, 5, st1 {v18.16b}, [x19], #16
    LAST \rows, 0, str d16, [x19]
    LAST \rows, 2, str d17, [x19]
    LAST \rows, 4, str d18, [x19]
    LAST \rows, 6, str d19, [x19]
    .endif
.endm

.macro PIXELS_S8 rows, start, clamped
    PAIR_CODES \rows, 0, \start, \clamped, 16, 16, 17, 18, 19
    PAIR_CODES \rows, 2, \start, \clamped, 17, 20, 21, 22, 23
    RESTART \rows, 20, 21
    RESTART \rows, 22, 23
    PAIR_CODES \rows, 4, \start, \clamped, 18, 24, 25, 26, 27
    RESTART \rows, 24, 25
    RESTART \rows, 26, 27
    PAIR_CODES \rows, 6, \start, \clamped, 19, 28, 29, 30, 31
    RESTART \rows, 28, 29
    RESTART \rows, 30, 31
    STORE_CODES \rows
    RESTART \rows, 16, 17
    RESTART \rows, 18, 19
.endm

// A pixel's values. clamped: 1 within the limits v10, v11, 2 within zero and infinity.
.macro VALUES rows, start, clamped, low, high, t_low, t_high
    SCALE \start, \low, \high, \t_low, \t_high
    RESTART \rows, \low, \high
    .if \clamped == 1
    fmax v\t_low\().4s, v\t_low\().4s, v10.4s
    fmax v\t_high\().4s, v\t_high\().4s, v10.4s
    fmin v\t_low\().4s, v\t_low\().4s, v11.4s
    fmin v\t_high\().4s, v\t_high\().4s, v11.4s
    .endif
.endm

.macro STORE_F32 clamped, low, high
    st1 {v\low\().4s}, [x19], #16
    st1 {v\high\().4s}, [x28], #16
.endm

// A negative half is a negative integer too: v10 is zero where they are cut off.
.macro STORE_F16 clamped, low, high
    fcvtn v\low\().4h, v\low\().4s
    fcvtn2 v\low\().8h, v\high\().4s
    ONLY_IF (\clamped==2), smax v\low\().8h, v\low\().8h, v10.8h
    st1 {v\low\().8h}, [x19], #16
.endm

// Halves of sums too long for floats that step by one: without their last bits, added to 1.5 * 2^23 at x0.
.macro PIXEL_SHIFTED rows, clamped, low, high, t_low, t_high
    ldp q\t_low, q\t_high, [x0]
    ssra v\t_low\().4s, v\low\().4s, #CONV_S8_SHIFT
    ssra v\t_high\().4s, v\high\().4s, #CONV_S8_SHIFT
    ldp q\low, q\high, [x25]
    fmla v\low\().4s, v\t_low\().4s, v8.4s
    fmla v\high\().4s, v\t_high\().4s, v9.4s
    .if \clamped == 1
    fmax v\low\().4s, v\low\().4s, v10.4s
    fmax v\high\().4s, v\high\().4s, v10.4s
    fmin v\low\().4s, v\low\().4s, v11.4s
    fmin v\high\().4s, v\high\().4s, v11.4s
    .endif
    fcvtn v\t_low\().4h, v\low\().4s
    fcvtn2 v\t_low\().8h, v\high\().4s
    RESTART \rows, \low, \high
    ONLY_IF (\clamped==2), smax v\t_low\().8h, v\t_low\().8h, v10.8h
    st1 {v\t_low\().8h}, [x19], #16
.endm

.macro PIXELS_SHIFTED rows, start, clamped
    PIXEL \rows, 0, PIXEL_SHIFTED \rows, \clamped, 16, 17, 12, 13
    PIXEL \rows, 1, PIXEL_SHIFTED \rows, \clamped, 18, 19, 14, 15
    PIXEL \rows, 2, PIXEL_SHIFTED \rows, \clamped, 20, 21, 12, 13
    PIXEL \rows, 3, PIXEL_SHIFTED \rows, \clamped, 22, 23, 14, 15
    PIXEL \rows, 4, PIXEL_SHIFTED \rows, \clamped, 24, 25, 12, 13
    PIXEL \rows, 5, PIXEL_SHIFTED \rows, \clamped, 26, 27, 14, 15
    PIXEL \rows, 6, PIXEL_SHIFTED \rows, \clamped, 28, 29, 12, 13
    PIXEL \rows, 7, PIXEL_SHIFTED \rows, \clamped, 30, 31, 14, 15
.endm

// Halves of what is not negative, from floats 2^-112 times as large: their bits but for the last ones, rounded.
.macro PIXEL_RECTIFIED rows, low, high, t_low, t_high
    SCALE FOLDED, \low, \high, \t_low, \t_high
    RESTART \rows, \low, \high
    sqrshrun v\t_low\().4h, v\t_low\().4s, #CONV_S8_HALF_SHIFT
    sqrshrun2 v\t_low\().8h, v\t_high\().4s, #CONV_S8_HALF_SHIFT
    st1 {v\t_low\().8h}, [x19], #16
.endm

.macro PIXELS_RECTIFIED rows, start, clamped
    PIXEL \rows, 0, PIXEL_RECTIFIED \rows, 16, 17, 12, 13
    PIXEL \rows, 1, PIXEL_RECTIFIED \rows, 18, 19, 14, 15
    PIXEL \rows, 2, PIXEL_RECTIFIED \rows, 20, 21, 12, 13
    PIXEL \rows, 3, PIXEL_RECTIFIED \rows, 22, 23, 14, 15
    PIXEL \rows, 4, PIXEL_RECTIFIED \rows, 24, 25, 12, 13
    PIXEL \rows, 5, PIXEL_RECTIFIED \rows, 26, 27, 14, 15
    PIXEL \rows, 6, PIXEL_RECTIFIED \rows, 28, 29, 12, 13
    PIXEL \rows, 7, PIXEL_RECTIFIED \rows, 30, 31, 14, 15
.endm

.macro PIXEL_TO output, rows, start, clamped, low, high, t_low, t_high
    VALUES \rows, \start, \clamped, \low, \high, \t_low, \t_high
    STORE_\output \clamped, \t_low, \t_high
.endm

.macro PIXELS output, rows, start, clamped
    PIXEL \rows, 0, PIXEL_TO \output, \rows, \start, \clamped, 16, 17, 12, 13
    PIXEL \rows, 1, PIXEL_TO \output, \rows, \start, \clamped, 18, 19, 14, 13
    PIXEL \rows, 2, PIXEL_TO \output, \rows, \start, \clamped, 20, 21, 12, 13
    PIXEL \rows, 3, PIXEL_TO \output, \rows, \start, \clamped, 22, 23, 14, 13
    PIXEL \rows, 4, PIXEL_TO \output, \rows, \start, \clamped, 24, 25, 12, 13
    PIXEL \rows, 5, PIXEL_TO \output, \rows, \start, \clamped, 26, 27, 14, 13
    PIXEL \rows, 6, PIXEL_TO \output, \rows, \start, \clamped, 28, 29, 12, 13
    PIXEL \rows, 7, PIXEL_TO \output, \rows, \start, \clamped, 30, 31, 14, 13
.endm

.macro PIXELS_F32 rows, start, clamped
    PIXELS F32, \rows, \start, \clamped
.endm

.macro PIXELS_F16 rows, start, clamped
    PIXELS F16, \rows, \start, \clamped
.endm
// clang-format on

#endif  // EDGEDEPLOY_KERNELS_CONV_S8_8X8_ENDS_ASM_H_
