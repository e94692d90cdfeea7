// conv_s8 on armv8.0: a tile of 4 pixels x 8 channels in two passes of 4 channels. Formula and ranges: conv_s8.h.
//
// Layout     A: 8 bytes at each pixel's pointer, planes a_group_stride_bytes apart. B: for each half of the channels,
//            for each tap, for each pair of groups 64 bytes: k 0-7 of the first and of the second group for channel 0,
//            then for 1, 2, 3; a last group without a second has 32 bytes (conv_s8_pack_neon).
// Alignment  none. Over-read none. C: `rows` pixels of 8 values; 1 to 4 rows have a loop each, none computes more.
// Target     Cortex-A72: one pipe multiplies, the other adds pairs. A step of two groups and 4 rows is 16 SMULL + 16
//            SMLAL (8 MAC each) on one, 16 SADALP on the other, 16 loads: the bound is 256 MAC in 32 cycles, 8 MAC a
//            cycle. A group without a partner takes 16 SMULL and 16 SADALP, the same 8.
// Reached    32.02 cycles a step, 8.00 MAC a cycle, as llvm-mca 19 estimates for cortex-a72; its model is the A57's and
//            may be kinder than the hardware. A call adds 51 to 69 cycles where tiles follow one another.
// Range      SMULL + SMLAL put two products into 16 bits: 2 * 128 * 127 = 32512, hence B in [-127, 127].
// In order   For Cortex-A53 a product is used four instructions later at the earliest, and A and B are loaded between
//            multiplications.
//
// Each accumulator holds four partial sums over k of one sum[m][n]; ADDP folds them after the loop.
//
// Registers
//   x0 params   x1 the tap's pointers   x2 taps left   x3 B   x4 groups left - 2   x5, x12 offsets of the two planes
//   x6 planes' distance   x7 groups   x8-x11 pixels   x13 distance of two planes   x14 the pass: 0, then 16, which is
//   also where its scales are   x15-x17 in the epilogue: scale, offset, start, then C; limits
//   v0-v3    A: pixels 0-3, first group
//   v4-v7    A: pixels 0-3, second group; in the epilogue t, then codes
//   v8-v9, v14-v15    B: a channel's two groups, in turns
//   v10-v13  products
//   v16-v31  sums: v(16 + 4m + n) channel n of pixel m
//   The low halves of v8-v15 are saved; x18, x22-x30 are not touched.
//   x19 C   x20 pixels left   x21 the tile's pointers
// Frame (112 bytes): 0 d8-d15 | 64 the first pass's codes | 80 x19-x21

#include "asm/aarch64.h"
#include "kernels/conv_s8/conv_s8_offsets.h"

    .arch armv8-a

// An instruction for a tile that has pixel m.
.macro PIXEL rows, m, instruction:vararg
    .if \rows > \m
    \instruction
    .endif
.endm

// An instruction for a tile of exactly that many pixels.
.macro ONLY rows, count, instruction:vararg
    .if \rows == \count
    \instruction
    .endif
.endm

// One channel of two groups: products with B in b_first, b_second, added to sum0-sum3 (SADALP) or stored there (SADDLP,
// the first time). `load` brings the next channel's B.
.macro MULTIPLY_TWO rows, add, b_first, b_second, sum0, sum1, sum2, sum3, load:vararg
    PIXEL \rows, 0, smull v10.8h, v0.8b, \b_first\().8b
    PIXEL \rows, 1, smull v11.8h, v1.8b, \b_first\().8b
    PIXEL \rows, 2, smull v12.8h, v2.8b, \b_first\().8b
    PIXEL \rows, 3, smull v13.8h, v3.8b, \b_first\().8b
    \load
    PIXEL \rows, 0, smlal v10.8h, v4.8b, \b_second\().8b
    PIXEL \rows, 1, smlal v11.8h, v5.8b, \b_second\().8b
    PIXEL \rows, 2, smlal v12.8h, v6.8b, \b_second\().8b
    PIXEL \rows, 3, smlal v13.8h, v7.8b, \b_second\().8b
    PIXEL \rows, 0, \add \sum0\().4s, v10.8h
    PIXEL \rows, 1, \add \sum1\().4s, v11.8h
    PIXEL \rows, 2, \add \sum2\().4s, v12.8h
    PIXEL \rows, 3, \add \sum3\().4s, v13.8h
.endm

// The same for the group without a partner.
.macro MULTIPLY_ONE rows, add, b, sum0, sum1, sum2, sum3
    PIXEL \rows, 0, smull v10.8h, v0.8b, \b\().8b
    PIXEL \rows, 1, smull v11.8h, v1.8b, \b\().8b
    PIXEL \rows, 2, smull v12.8h, v2.8b, \b\().8b
    PIXEL \rows, 3, smull v13.8h, v3.8b, \b\().8b
    PIXEL \rows, 0, \add \sum0\().4s, v10.8h
    PIXEL \rows, 1, \add \sum1\().4s, v11.8h
    PIXEL \rows, 2, \add \sum2\().4s, v12.8h
    PIXEL \rows, 3, \add \sum3\().4s, v13.8h
.endm

// Two groups, times the four channels. A is loaded while the first channel is multiplied.
.macro STEP_TWO rows, add
    ldp d8, d9, [x3]
    PIXEL \rows, 0, ldr d0, [x8, x5]
    PIXEL \rows, 1, ldr d1, [x9, x5]
    PIXEL \rows, 2, ldr d2, [x10, x5]
    subs x4, x4, #2
    PIXEL \rows, 0, smull v10.8h, v0.8b, v8.8b
    PIXEL \rows, 3, ldr d3, [x11, x5]
    PIXEL \rows, 1, smull v11.8h, v1.8b, v8.8b
    PIXEL \rows, 0, ldr d4, [x8, x12]
    PIXEL \rows, 2, smull v12.8h, v2.8b, v8.8b
    PIXEL \rows, 1, ldr d5, [x9, x12]
    PIXEL \rows, 3, smull v13.8h, v3.8b, v8.8b
    PIXEL \rows, 2, ldr d6, [x10, x12]
    PIXEL \rows, 0, smlal v10.8h, v4.8b, v9.8b
    PIXEL \rows, 3, ldr d7, [x11, x12]
    PIXEL \rows, 1, smlal v11.8h, v5.8b, v9.8b
    ldp d14, d15, [x3, #16]
    PIXEL \rows, 2, smlal v12.8h, v6.8b, v9.8b
    PIXEL \rows, 3, smlal v13.8h, v7.8b, v9.8b
    add x5, x5, x13
    PIXEL \rows, 0, \add v16.4s, v10.8h
    PIXEL \rows, 1, \add v20.4s, v11.8h
    add x12, x12, x13
    PIXEL \rows, 2, \add v24.4s, v12.8h
    PIXEL \rows, 3, \add v28.4s, v13.8h
    MULTIPLY_TWO \rows, \add, v14, v15, v17, v21, v25, v29, ldp d8, d9, [x3, #32]
    MULTIPLY_TWO \rows, \add, v8, v9, v18, v22, v26, v30, ldp d14, d15, [x3, #48]
    MULTIPLY_TWO \rows, \add, v14, v15, v19, v23, v27, v31, add x3, x3, #64
.endm

.macro STEP_ONE rows, add
    ldp d8, d9, [x3]
    PIXEL \rows, 0, ldr d0, [x8, x5]
    PIXEL \rows, 1, ldr d1, [x9, x5]
    PIXEL \rows, 2, ldr d2, [x10, x5]
    PIXEL \rows, 3, ldr d3, [x11, x5]
    ldp d14, d15, [x3, #16]
    add x3, x3, #32
    MULTIPLY_ONE \rows, \add, v8, v16, v20, v24, v28
    MULTIPLY_ONE \rows, \add, v9, v17, v21, v25, v29
    MULTIPLY_ONE \rows, \add, v14, v18, v22, v26, v30
    MULTIPLY_ONE \rows, \add, v15, v19, v23, v27, v31
.endm

// Four channels of a pixel: partial sums to t = fma(float, scale, offset). v0: scales; x16 + x14: offsets. The float is
// the converted sum, or, where offsets are folded, the bits of v3 plus the sum.
.macro FOLD_AND_SCALE convert, sum0, sum1, sum2, sum3, t
    ldr q\t, [x16, x14]
    addp \sum0\().4s, \sum0\().4s, \sum1\().4s
    addp \sum2\().4s, \sum2\().4s, \sum3\().4s
    addp \sum0\().4s, \sum0\().4s, \sum2\().4s
    .if \convert
    scvtf \sum0\().4s, \sum0\().4s
    .else
    add \sum0\().4s, \sum0\().4s, v3.4s
    .endif
    fmla v\t\().4s, \sum0\().4s, v0.4s
.endm

.macro FOLD_AND_SCALE_PIXELS rows, convert
    PIXEL \rows, 0, FOLD_AND_SCALE \convert, v16, v17, v18, v19, 4
    PIXEL \rows, 1, FOLD_AND_SCALE \convert, v20, v21, v22, v23, 5
    PIXEL \rows, 2, FOLD_AND_SCALE \convert, v24, v25, v26, v27, 6
    PIXEL \rows, 3, FOLD_AND_SCALE \convert, v28, v29, v30, v31, 7
.endm

.macro TO_CODE t                        // in the top byte; FCVTZS saturates
    fcvtzs \t\().4s, \t\().4s, #24
.endm

.macro CLAMP t                          // v1, v2: low_value, high_value
    fmax \t\().4s, \t\().4s, v1.4s
    fmin \t\().4s, \t\().4s, v2.4s
.endm

.macro ON_VALUES rows, operation
    PIXEL \rows, 0, \operation v4
    PIXEL \rows, 1, \operation v5
    PIXEL \rows, 2, \operation v6
    PIXEL \rows, 3, \operation v7
.endm

// The tap's pixels and its first two planes; flags LO if it has a single group.
.macro START_TAP rows
    PIXEL \rows, 1, ldp x8, x9, [x1]
    ONLY \rows, 1, ldr x8, [x1]
    PIXEL \rows, 3, ldp x10, x11, [x1, #16]
    ONLY \rows, 3, ldr x10, [x1, #16]
    add x1, x1, #32
    mov x5, #0
    mov x12, x6
    subs x4, x7, #2
.endm

// Both passes' codes, v4 and the frame's, to pixels of 8 codes within the limits.
.macro STORE_S8 rows
    add x16, x0, #CONV_S8_LOW_CODE
    add x17, x0, #CONV_S8_HIGH_CODE
    ldr q3, [sp, #64]
    ld1r {v1.16b}, [x16]
    ld1r {v2.16b}, [x17]
    trn1 v5.4s, v3.4s, v4.4s
    PIXEL \rows, 2, trn2 v6.4s, v3.4s, v4.4s
    smax v5.16b, v5.16b, v1.16b
    PIXEL \rows, 2, smax v6.16b, v6.16b, v1.16b
    smin v5.16b, v5.16b, v2.16b
    PIXEL \rows, 2, smin v6.16b, v6.16b, v2.16b
    ONLY \rows, 1, str d5, [x19]
    ONLY \rows, 2, str q5, [x19]
    ONLY \rows, 3, str q5, [x19]
    ONLY \rows, 3, str d6, [x19, #16]
    ONLY \rows, 4, stp q5, q6, [x19]
    add x19, x19, #32
.endm

// One pass's values within the limits.
.macro STORE_F32 rows
    ldr x16, [x0, #CONV_S8_C_QUAD_STRIDE_BYTES]
    add x17, x0, #CONV_S8_LOW_VALUE
    ld1r {v1.4s}, [x17]
    add x17, x0, #CONV_S8_HIGH_VALUE
    ld1r {v2.4s}, [x17]
    cmp x14, #0
    csel x16, xzr, x16, eq
    add x15, x19, x16
    ON_VALUES \rows, CLAMP
    PIXEL \rows, 1, stp q4, q5, [x15]
    ONLY \rows, 1, str q4, [x15]
    PIXEL \rows, 3, stp q6, q7, [x15, #32]
    ONLY \rows, 3, str q6, [x15, #32]
.endm

.macro TILE rows
.Lconv_s8_4x8_neon_pass_\rows:
    mov x1, x21
    ldr x2, [x0, #CONV_S8_TAPS]
    START_TAP \rows
    b.lo .Lconv_s8_4x8_neon_first_group_\rows
    STEP_TWO \rows, saddlp
    b.hs .Lconv_s8_4x8_neon_two_groups_\rows
    b .Lconv_s8_4x8_neon_one_group_\rows
.Lconv_s8_4x8_neon_first_group_\rows:
    STEP_ONE \rows, saddlp
    b .Lconv_s8_4x8_neon_next_tap_\rows

.Lconv_s8_4x8_neon_tap_\rows:
    START_TAP \rows
    b.lo .Lconv_s8_4x8_neon_one_group_\rows
.Lconv_s8_4x8_neon_two_groups_\rows:
    STEP_TWO \rows, sadalp
    b.hs .Lconv_s8_4x8_neon_two_groups_\rows
.Lconv_s8_4x8_neon_one_group_\rows:
    tbz x4, #0, .Lconv_s8_4x8_neon_next_tap_\rows
    STEP_ONE \rows, sadalp
.Lconv_s8_4x8_neon_next_tap_\rows:
    subs x2, x2, #1
    b.ne .Lconv_s8_4x8_neon_tap_\rows

    ldp x15, x16, [x0, #CONV_S8_SCALE]
    ldr w17, [x0, #CONV_S8_OUTPUT]
    ldr q0, [x15, x14]
    cmp w17, #CONV_S8_TO_S8_FOLDED
    b.eq .Lconv_s8_4x8_neon_folded_\rows
    FOLD_AND_SCALE_PIXELS \rows, 1
    cbnz w17, .Lconv_s8_4x8_neon_f32_\rows

    // v4: the top bytes, four of a pixel together, of pixels 0, 2, 1, 3.
    ON_VALUES \rows, TO_CODE
    shrn v4.4h, v4.4s, #16
    PIXEL \rows, 1, shrn v5.4h, v5.4s, #16
    PIXEL \rows, 2, shrn2 v4.8h, v6.4s, #16
    PIXEL \rows, 3, shrn2 v5.8h, v7.4s, #16
    shrn v4.8b, v4.8h, #8
    PIXEL \rows, 1, shrn2 v4.16b, v5.8h, #8
.Lconv_s8_4x8_neon_half_\rows:
    cbnz x14, .Lconv_s8_4x8_neon_codes_\rows
    str q4, [sp, #64]
.Lconv_s8_4x8_neon_second_pass_\rows:
    mov x14, #16
    b .Lconv_s8_4x8_neon_pass_\rows

    // The codes are the low halves of the floats' bits.
.Lconv_s8_4x8_neon_folded_\rows:
    ldr x17, [x0, #CONV_S8_START]
    ldr q3, [x17, x14]
    FOLD_AND_SCALE_PIXELS \rows, 0
    xtn v4.4h, v4.4s
    PIXEL \rows, 1, xtn v5.4h, v5.4s
    PIXEL \rows, 2, xtn2 v4.8h, v6.4s
    PIXEL \rows, 3, xtn2 v5.8h, v7.4s
    sqxtn v4.8b, v4.8h
    PIXEL \rows, 1, sqxtn2 v4.16b, v5.8h
    b .Lconv_s8_4x8_neon_half_\rows

.Lconv_s8_4x8_neon_f32_\rows:
    STORE_F32 \rows
    cbz x14, .Lconv_s8_4x8_neon_second_pass_\rows
    add x19, x19, #64
    b .Lconv_s8_4x8_neon_next_tile_\rows
.Lconv_s8_4x8_neon_codes_\rows:
    STORE_S8 \rows
.Lconv_s8_4x8_neon_next_tile_\rows:
    .if \rows == 4
    subs x20, x20, #4
    b.ls .Lconv_s8_4x8_neon_done
    mov x21, x1
    b .Lconv_s8_4x8_neon_tile
    .else
    b .Lconv_s8_4x8_neon_done
    .endif
.endm

FUNCTION conv_s8_4x8_neon
    sub sp, sp, #112
    .cfi_def_cfa_offset 112
    stp d8, d9, [sp]
    stp d10, d11, [sp, #16]
    stp d12, d13, [sp, #32]
    stp d14, d15, [sp, #48]
    .irp number, 8, 9, 10, 11, 12, 13, 14, 15
    .cfi_offset d\number, (\number - 22) * 8
    .endr
    stp x19, x20, [sp, #80]
    str x21, [sp, #96]
    ldp x7, x6, [x0, #CONV_S8_GROUPS]
    ldr x20, [x0, #CONV_S8_PIXELS]
    ldr x19, [x0, #CONV_S8_C]
    ldr x21, [x0, #CONV_S8_A]
    lsl x13, x6, #1
.Lconv_s8_4x8_neon_tile:
    ldr x3, [x0, #CONV_S8_B]
    mov x14, #0
    cmp x20, #4
    b.hs .Lconv_s8_4x8_neon_pass_4
    .irp rows, 1, 2, 3
    cmp x20, #\rows
    b.eq .Lconv_s8_4x8_neon_pass_\rows
    .endr
    TILE 4
    TILE 3
    TILE 2
    TILE 1

.Lconv_s8_4x8_neon_done:
    ldp d8, d9, [sp]
    ldp d10, d11, [sp, #16]
    ldp d12, d13, [sp, #32]
    ldp d14, d15, [sp, #48]
    ldp x19, x20, [sp, #80]
    ldr x21, [sp, #96]
    add sp, sp, #112
    .cfi_def_cfa_offset 0
    ret
END_FUNCTION conv_s8_4x8_neon

END_FILE
