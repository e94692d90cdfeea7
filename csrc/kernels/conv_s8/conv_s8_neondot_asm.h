// clang-format Language: Cpp
// What a tile of conv_s8_8x8_neondot ends with: sums to values or codes, and to memory. Registers: the kernel's file.
#ifndef EDGEDEPLOY_KERNELS_CONV_S8_NEONDOT_ASM_H_
#define EDGEDEPLOY_KERNELS_CONV_S8_NEONDOT_ASM_H_

// clang-format off
// An instruction for a tile that has pixel m.
.macro PIXEL rows, m, instruction:vararg
    .if \rows > \m
    \instruction
    .endif
.endm

// The last pixel's own instruction where the number of pixels is odd: m is even.
.macro LAST rows, m, instruction:vararg
    .if \rows == \m + 1
    \instruction
    .endif
.endm

// An operation on the sums of each pixel.
.macro ON_SUMS rows, operation
    PIXEL \rows, 0, \operation v16, v17
    PIXEL \rows, 1, \operation v18, v19
    PIXEL \rows, 2, \operation v20, v21
    PIXEL \rows, 3, \operation v22, v23
    PIXEL \rows, 4, \operation v24, v25
    PIXEL \rows, 5, \operation v26, v27
    PIXEL \rows, 6, \operation v28, v29
    PIXEL \rows, 7, \operation v30, v31
.endm

.macro CONVERT low, high
    scvtf \low\().4s, \low\().4s
    scvtf \high\().4s, \high\().4s
.endm

.macro SUBTRACT_START low, high         // v2: 1.5 * 2^23
    fsub \low\().4s, \low\().4s, v2.4s
    fsub \high\().4s, \high\().4s, v2.4s
.endm

// t = fma(sum, scale, offset); the offsets come from memory, where a copy costs no ASIMD pipe.
.macro SCALE low, high, t_low, t_high
    ldp q\t_low, q\t_high, [x9]
    fmla v\t_low\().4s, \low\().4s, v0.4s
    fmla v\t_high\().4s, \high\().4s, v1.4s
.endm

// A pixel's eight codes, saturated, as the high halves of 16 bits: FCVTZS saturates, UZP2 takes the high halves.
.macro CODES low, high, t_low, t_high
    SCALE \low, \high, \t_low, \t_high
    fcvtzs v\t_low\().4s, v\t_low\().4s, #24
    fcvtzs v\t_high\().4s, v\t_high\().4s, #24
    uzp2 \low\().8h, v\t_low\().8h, v\t_high\().8h
.endm

// Two pixels' codes to bytes, within the limits v4, v5.
.macro NARROW first, second
    uzp2 \first\().16b, \first\().16b, \second\().16b
    smax \first\().16b, \first\().16b, v4.16b
    smin \first\().16b, \first\().16b, v5.16b
.endm

// The bytes of all pixels, and on to the next tile.
.macro STORE_CODES rows
    PIXEL \rows, 3, stp q16, q20, [x19]
    PIXEL \rows, 7, stp q24, q28, [x19, #32]
    LAST \rows, 0, str d16, [x19]
    .if \rows == 2 || \rows == 3
    str q16, [x19]
    .endif
    LAST \rows, 2, str d20, [x19, #16]
    LAST \rows, 4, str d24, [x19, #32]
    .if \rows == 6 || \rows == 7
    str q24, [x19, #32]
    .endif
    LAST \rows, 6, str d28, [x19, #48]
    add x19, x19, #64
.endm

.macro STORE_S8 rows
    PIXEL \rows, 0, CODES v16, v17, 2, 3
    PIXEL \rows, 1, CODES v18, v19, 6, 7
    PIXEL \rows, 2, CODES v20, v21, 2, 3
    PIXEL \rows, 3, CODES v22, v23, 6, 7
    PIXEL \rows, 4, CODES v24, v25, 2, 3
    PIXEL \rows, 5, CODES v26, v27, 6, 7
    PIXEL \rows, 6, CODES v28, v29, 2, 3
    PIXEL \rows, 7, CODES v30, v31, 6, 7
    PIXEL \rows, 0, NARROW v16, v18
    PIXEL \rows, 2, NARROW v20, v22
    PIXEL \rows, 4, NARROW v24, v26
    PIXEL \rows, 6, NARROW v28, v30
    STORE_CODES \rows
.endm

// As CODES and NARROW where the sums are floats of 2^23 to 2^24 already: fma leaves 1.5 * 2^23 + code, whose low
// halves are the codes in 16 bits.
.macro FOLDED_CODES low, high, t_low, t_high
    SCALE \low, \high, \t_low, \t_high
    uzp1 \low\().8h, v\t_low\().8h, v\t_high\().8h
.endm

.macro FOLDED_NARROW first, second, clamped
    sqxtn \first\().8b, \first\().8h
    sqxtn2 \first\().16b, \second\().8h
    smax \first\().16b, \first\().16b, v4.16b
    .if \clamped
    smin \first\().16b, \first\().16b, v5.16b
    .endif
.endm

.macro STORE_FOLDED rows, clamped
    PIXEL \rows, 0, FOLDED_CODES v16, v17, 2, 3
    PIXEL \rows, 1, FOLDED_CODES v18, v19, 6, 7
    PIXEL \rows, 2, FOLDED_CODES v20, v21, 2, 3
    PIXEL \rows, 3, FOLDED_CODES v22, v23, 6, 7
    PIXEL \rows, 4, FOLDED_CODES v24, v25, 2, 3
    PIXEL \rows, 5, FOLDED_CODES v26, v27, 6, 7
    PIXEL \rows, 6, FOLDED_CODES v28, v29, 2, 3
    PIXEL \rows, 7, FOLDED_CODES v30, v31, 6, 7
    PIXEL \rows, 0, FOLDED_NARROW v16, v18, \clamped
    PIXEL \rows, 2, FOLDED_NARROW v20, v22, \clamped
    PIXEL \rows, 4, FOLDED_NARROW v24, v26, \clamped
    PIXEL \rows, 6, FOLDED_NARROW v28, v30, \clamped
    STORE_CODES \rows
.endm

// A pixel's values; clamped: within the limits v6, v7.
.macro STORE_PIXEL_F32 low, high, t_low, t_high, at, clamped
    SCALE \low, \high, \t_low, \t_high
    .if \clamped
    fmax v\t_low\().4s, v\t_low\().4s, v6.4s
    fmax v\t_high\().4s, v\t_high\().4s, v6.4s
    fmin v\t_low\().4s, v\t_low\().4s, v7.4s
    fmin v\t_high\().4s, v\t_high\().4s, v7.4s
    .endif
    str q\t_low, [x19, #\at]
    str q\t_high, [x11, #\at]
.endm

.macro STORE_F32 rows, clamped
    PIXEL \rows, 0, STORE_PIXEL_F32 v16, v17, 2, 3, 0, \clamped
    PIXEL \rows, 1, STORE_PIXEL_F32 v18, v19, 4, 5, 16, \clamped
    PIXEL \rows, 2, STORE_PIXEL_F32 v20, v21, 2, 3, 32, \clamped
    PIXEL \rows, 3, STORE_PIXEL_F32 v22, v23, 4, 5, 48, \clamped
    PIXEL \rows, 4, STORE_PIXEL_F32 v24, v25, 2, 3, 64, \clamped
    PIXEL \rows, 5, STORE_PIXEL_F32 v26, v27, 4, 5, 80, \clamped
    PIXEL \rows, 6, STORE_PIXEL_F32 v28, v29, 2, 3, 96, \clamped
    PIXEL \rows, 7, STORE_PIXEL_F32 v30, v31, 4, 5, 112, \clamped
    add x19, x19, #128
.endm
// clang-format on

#endif  // EDGEDEPLOY_KERNELS_CONV_S8_NEONDOT_ASM_H_
