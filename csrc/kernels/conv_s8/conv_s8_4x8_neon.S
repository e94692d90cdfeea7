// conv_s8 on armv8.0: a tile of 4 pixels x 8 channels. Formula and ranges: conv_s8.h.
//
// Layout     A: 8 bytes at each pixel's pointer, planes a_group_stride_bytes apart. B: for each tap and each group 64
//            bytes: for k 0-1 the pairs of channels 0-3, then those of channels 4-7; likewise for k 2-3, 4-5 and 6-7
//            (conv_s8_pack_neon).
// Alignment  none. Over-read none. C: `rows` pixels of 8 values; 1 to 4 rows have a loop each, none computes more.
// Target     Cortex-A72: one pipe multiplies, the other adds pairs, either copies lanes. A pair of k of a pixel, copied
//            into four lanes, meets the pairs of four channels, so that SADALP leaves whole sums: nothing is folded
//            after the loop. A step of one group and 4 rows is 16 SMULL + 16 SMLAL (8 MAC each) on one pipe, 16 SADALP
//            and 16 DUP on the other: the bound is 256 MAC in 32 cycles, 8 MAC a cycle.
// Reached    32.2 cycles a step, 7.95 MAC a cycle, as llvm-mca 19 estimates for cortex-a72; its model is the A57's and
//            may be kinder than the hardware. A tile's end takes 16 cycles with folded offsets, 29 to other codes, 20
//            to floats, 26 to those of a ReLU, 36 where limits are of both signs; 42 with folded offsets and gated.
// Range      SMULL + SMLAL put two products into 16 bits: 2 * 128 * 127 = 32512, hence B in [-127, 127].
// In order   For Cortex-A53 a product is used four instructions later at the earliest where there are two pixels.
//
// Registers
//   x0 pixels left - 4   x1 the tap's pointers   x2 taps left   x3 B   x4 groups left; how the tile ends
//   x5 offset of the plane   x6 planes' distance   x7 groups   x8-x11 pixels   x12 scale   x13 offset   x14 start
//   x15 B's begin   x16 from channels 0-3 to channels 4-7 of floats   x17 C
//   v0-v3    A: 8 k of a pixel each
//   v4-v7    pairs of k of two pixels, each in four lanes
//   v16-v23  sums: v(16 + 2m) channels 0-3 of pixel m, v(17 + 2m) channels 4-7
//   v24-v27  products
//   v28-v31  B: two pairs of k of channels 0-3 and 4-7
//   In the epilogue v16-v23: gates, of slope v28; curves: conv_s8_4x8_curves_asm.h
//                   v0-v3, v4-v7: t of channels 0-3, 4-7   v24-v25 scales   v26-v27 limits   v28-v29 as it says
//   x18-x30, v8-v15 are not touched.
// Frame: conv_s8_4x8_ends_asm.h.

#include "asm/aarch64.h"
#include "kernels/conv_s8/conv_s8_4x8_curves_asm.h"
#include "kernels/conv_s8/conv_s8_4x8_ends_asm.h"

    .arch armv8-a

#define END_FOLDED 0
#define END_F32 1
#define END_F32_ANY_LIMITS 2
#define END_S8 3
#define END_F32_NO_LIMITS 5
#define END_GATED 8                     // and END_FOLDED, END_S8 or END_F32_NO_LIMITS
#define END_CURVED 16                   // and END_GATED

// Two pairs of k, in lanes `first` and `second` of A, of two pixels m and m + 1, times 8 channels.
.macro MULTIPLY_PIXELS rows, m, first, second, a, a_next, sum0, sum1, next0, next1
    PIXEL \rows, \m,     dup v4.4h, \a\().h[\first]
    PIXEL \rows, \m+1, dup v6.4h, \a_next\().h[\first]
    PIXEL \rows, \m,     dup v5.4h, \a\().h[\second]
    PIXEL \rows, \m+1, dup v7.4h, \a_next\().h[\second]
    PIXEL \rows, \m,     smull v24.8h, v4.8b, v28.8b
    PIXEL \rows, \m,     smull v25.8h, v4.8b, v29.8b
    PIXEL \rows, \m+1, smull v26.8h, v6.8b, v28.8b
    PIXEL \rows, \m+1, smull v27.8h, v6.8b, v29.8b
    PIXEL \rows, \m,     smlal v24.8h, v5.8b, v30.8b
    PIXEL \rows, \m,     smlal v25.8h, v5.8b, v31.8b
    PIXEL \rows, \m+1, smlal v26.8h, v7.8b, v30.8b
    PIXEL \rows, \m+1, smlal v27.8h, v7.8b, v31.8b
    PIXEL \rows, \m,     sadalp \sum0\().4s, v24.8h
    PIXEL \rows, \m,     sadalp \sum1\().4s, v25.8h
    PIXEL \rows, \m+1, sadalp \next0\().4s, v26.8h
    PIXEL \rows, \m+1, sadalp \next1\().4s, v27.8h
.endm

// A group of 8 k, times 8 channels.
.macro STEP rows
    PIXEL \rows, 0, ldr d0, [x8, x5]
    PIXEL \rows, 1, ldr d1, [x9, x5]
    ld1 {v28.8b, v29.8b, v30.8b, v31.8b}, [x3], #32
    PIXEL \rows, 2, ldr d2, [x10, x5]
    PIXEL \rows, 3, ldr d3, [x11, x5]
    add x5, x5, x6
    MULTIPLY_PIXELS \rows, 0, 0, 1, v0, v1, v16, v17, v18, v19
    MULTIPLY_PIXELS \rows, 2, 0, 1, v2, v3, v20, v21, v22, v23
    ld1 {v28.8b, v29.8b, v30.8b, v31.8b}, [x3], #32
    MULTIPLY_PIXELS \rows, 0, 2, 3, v0, v1, v16, v17, v18, v19
    MULTIPLY_PIXELS \rows, 2, 2, 3, v2, v3, v20, v21, v22, v23
.endm

// The tap's pixels and its first plane.
.macro START_TAP rows
    PIXEL \rows, 0, ldr x8, [x1]
    PIXEL \rows, 1, ldr x9, [x1, #8]
    PIXEL \rows, 2, ldr x10, [x1, #16]
    PIXEL \rows, 3, ldr x11, [x1, #24]
    add x1, x1, #32
    mov x5, #0
    subs x4, x7, #1
.endm

.macro NEXT_TILE rows
    .if \rows == 4
    subs x0, x0, #4
    b.hs .Lconv_s8_4x8_neon_tile_4
    b .Lconv_s8_4x8_neon_last_tile
    .else
    b .Lconv_s8_4x8_neon_done
    .endif
.endm

.macro TILE rows
.Lconv_s8_4x8_neon_tile_\rows:
    .irp sum, 16, 18, 20, 22
    PIXEL 2*\rows+16, \sum, ldr q\sum, [x14]
    .endr
    .irp sum, 17, 19, 21, 23
    PIXEL 2*\rows+16, \sum, ldr q\sum, [x14, #16]
    .endr
    ldr x2, [sp, #FRAME_TAPS]
    mov x3, x15
    START_TAP \rows
    STEP \rows
    b.eq .Lconv_s8_4x8_neon_next_tap_\rows
.Lconv_s8_4x8_neon_group_\rows:
    subs x4, x4, #1
    STEP \rows
    b.ne .Lconv_s8_4x8_neon_group_\rows
.Lconv_s8_4x8_neon_next_tap_\rows:
    ldr w4, [sp, #FRAME_END]
    subs x2, x2, #1
    b.ne .Lconv_s8_4x8_neon_tap_\rows

    cbnz w4, .Lconv_s8_4x8_neon_not_folded_\rows
    SCALE \rows, 0
    LIMITS
    ON_VALUES \rows, NARROW_LOW
.Lconv_s8_4x8_neon_codes_\rows:
    sqxtn v28.8b, v0.8h
    PIXEL \rows, 1, sqxtn2 v28.16b, v1.8h
    PIXEL \rows, 2, sqxtn v29.8b, v2.8h
    PIXEL \rows, 3, sqxtn2 v29.16b, v3.8h
    STORE_S8 \rows
    NEXT_TILE \rows

.Lconv_s8_4x8_neon_not_folded_\rows:
    tbnz w4, #3, .Lconv_s8_4x8_neon_gated_\rows
    tbz w4, #0, .Lconv_s8_4x8_neon_any_limits_\rows
    tbnz w4, #1, .Lconv_s8_4x8_neon_to_s8_\rows
    tbnz w4, #2, .Lconv_s8_4x8_neon_no_limits_\rows
    SCALE \rows, 1
    LIMITS
    ON_ALL_VALUES \rows, CLAMP_BITS
    STORE_F32 \rows
    NEXT_TILE \rows

.Lconv_s8_4x8_neon_no_limits_\rows:
    SCALE \rows, 1
    STORE_F32 \rows
    NEXT_TILE \rows

.Lconv_s8_4x8_neon_any_limits_\rows:
    SCALE \rows, 1
    LIMITS
    ON_ALL_VALUES \rows, CLAMP_FLOATS
    STORE_F32 \rows
    NEXT_TILE \rows

.Lconv_s8_4x8_neon_to_s8_\rows:
    SCALE \rows, 1
    LIMITS
    ON_ALL_VALUES \rows, TO_FIXED
    ON_VALUES \rows, NARROW_TOP
.Lconv_s8_4x8_neon_top_bytes_\rows:
    shrn v28.8b, v0.8h, #8
    PIXEL \rows, 1, shrn2 v28.16b, v1.8h, #8
    PIXEL \rows, 2, shrn v29.8b, v2.8h, #8
    PIXEL \rows, 3, shrn2 v29.16b, v3.8h, #8
    STORE_S8 \rows
    NEXT_TILE \rows

.Lconv_s8_4x8_neon_gated_\rows:
    tbnz w4, #4, .Lconv_s8_4x8_neon_curved_\rows
    tbnz w4, #2, .Lconv_s8_4x8_neon_gated_f32_\rows
    tbnz w4, #0, .Lconv_s8_4x8_neon_gated_s8_\rows
    GATED_PIXELS FOLDED, \rows, 0
    LIMITS
    b .Lconv_s8_4x8_neon_codes_\rows
.Lconv_s8_4x8_neon_gated_s8_\rows:
    GATED_PIXELS S8, \rows, 1
    LIMITS
    b .Lconv_s8_4x8_neon_top_bytes_\rows
.Lconv_s8_4x8_neon_gated_f32_\rows:
    GATED_PIXELS F32, \rows, 1
    STORE_F32 \rows
    NEXT_TILE \rows

    // Values to the curve, and back to where x10 says with codes in v28 and v29, or values.
.Lconv_s8_4x8_neon_curved_\rows:
    ldr x8, [sp, #FRAME_GATE]
    ldr x9, [sp, #FRAME_CURVE]
    adr x10, .Lconv_s8_4x8_neon_store_curved_\rows
    tbz w4, #0, .Lconv_s8_4x8_neon_curved_floats_\rows
    CONVERT_SUMS \rows
.Lconv_s8_4x8_neon_curved_floats_\rows:
    SCALE \rows, 0
    br x9
.Lconv_s8_4x8_neon_store_curved_\rows:
    hint #36                            // BTI J
    tbnz w4, #2, .Lconv_s8_4x8_neon_store_curved_f32_\rows
    LIMITS
    STORE_S8 \rows
    NEXT_TILE \rows
.Lconv_s8_4x8_neon_store_curved_f32_\rows:
    STORE_F32 \rows
    NEXT_TILE \rows

.Lconv_s8_4x8_neon_tap_\rows:
    START_TAP \rows
    STEP \rows
    b.ne .Lconv_s8_4x8_neon_group_\rows
    b .Lconv_s8_4x8_neon_next_tap_\rows
.endm

FUNCTION conv_s8_4x8_neon, 12
    sub sp, sp, #FRAME
    .cfi_def_cfa_offset FRAME
    ldp x7, x6, [x0, #CONV_S8_GROUPS]
    ldp x12, x13, [x0, #CONV_S8_SCALE]
    ldr x2, [x0, #CONV_S8_TAPS]
    ldr x15, [x0, #CONV_S8_B]
    ldr x16, [x0, #CONV_S8_C_QUAD_STRIDE_BYTES]
    ldr x17, [x0, #CONV_S8_C]
    ldr x1, [x0, #CONV_S8_A]
    ldr w3, [x0, #CONV_S8_OUTPUT]
    str x2, [sp, #FRAME_TAPS]
    cmp w3, #CONV_S8_TO_F32
    b.eq .Lconv_s8_4x8_neon_values

    ldr w8, [x0, #CONV_S8_LOW_CODE]
    ldr w9, [x0, #CONV_S8_HIGH_CODE]
    dup v26.16b, w8
    dup v27.16b, w9
    mov w4, #END_FOLDED
    ldr x14, [x0, #CONV_S8_START]
    cmp w3, #CONV_S8_TO_S8_FOLDED
    b.eq .Lconv_s8_4x8_neon_begin
    mov w4, #END_S8
    b .Lconv_s8_4x8_neon_from_zero

    // Limits of floats as integers: where that is possible, minus infinity is the least integer.
.Lconv_s8_4x8_neon_values:
    ldr w8, [x0, #CONV_S8_LOW_VALUE]
    ldr w9, [x0, #CONV_S8_HIGH_VALUE]
    mov w10, #0xff800000
    mov w11, #0x7f800000
    mov w4, #END_F32_NO_LIMITS
    cmp w8, w10
    ccmp w9, w11, #0, eq
    b.eq .Lconv_s8_4x8_neon_from_zero
    mov w11, #0x80000000
    cmp w8, w10
    csel w10, w11, w8, eq
    ccmp w8, #0, #0, ne
    ccmp w9, #0, #8, ge
    mov w4, #END_F32
    mov w11, #END_F32_ANY_LIMITS
    csel w4, w4, w11, ge
    csel w8, w10, w8, ge
    dup v26.4s, w8
    dup v27.4s, w9
.Lconv_s8_4x8_neon_from_zero:
    movi v0.4s, #0
    stp q0, q0, [sp, #32]
    add x14, sp, #32
.Lconv_s8_4x8_neon_begin:
    stp q26, q27, [sp]
    ldr w3, [x0, #CONV_S8_GATED]
    add x8, x0, #CONV_S8_GATE_SLOPE
    orr w9, w4, #END_GATED
    cmp w3, #0
    csel w4, w4, w9, eq
    subs w3, w3, #CONV_S8_GATED_SIGMOID
    b.hs .Lconv_s8_4x8_neon_curve
.Lconv_s8_4x8_neon_end_known:
    str w4, [sp, #FRAME_END]
    str x8, [sp, #FRAME_GATE]
    ldr x0, [x0, #CONV_S8_PIXELS]
    subs x0, x0, #4
    b.hs .Lconv_s8_4x8_neon_tile_4
.Lconv_s8_4x8_neon_last_tile:
    .irp rows, 1, 2, 3
    cmn x0, #4 - \rows
    b.eq .Lconv_s8_4x8_neon_tile_\rows
    .endr
    b .Lconv_s8_4x8_neon_done

    // w3: 0 sigmoid, 1 mish, of each half a page for the outputs S8, F32, and S8Folded.
.Lconv_s8_4x8_neon_curve:
    ldr w9, [x0, #CONV_S8_OUTPUT]
    add w3, w3, w3, lsl #1
    orr w4, w4, #END_CURVED
    add w3, w3, w9
    adr x9, .Lconv_s8_4x8_neon_sigmoid_s8
    add x9, x9, x3, lsl #BITS_OF_HALF_A_PAGE
    str x9, [sp, #FRAME_CURVE]
    b .Lconv_s8_4x8_neon_end_known

    TILE 4
    TILE 3
    TILE 2
    TILE 1

    CURVED sigmoid_s8, SIGMOID, S8
    CURVED sigmoid_f32, SIGMOID, F32
    CURVED sigmoid_folded, SIGMOID, FOLDED
    CURVED mish_s8, MISH, S8
    CURVED mish_f32, MISH, F32
    CURVED mish_folded, MISH, FOLDED

.Lconv_s8_4x8_neon_done:
    add sp, sp, #FRAME
    .cfi_def_cfa_offset 0
    ret
END_FUNCTION conv_s8_4x8_neon

    .p2align 4
.Lconv_s8_4x8_neon_middle:
    .fill 4, 4, 0x4b400000              // 1.5 * 2^23
.Lconv_s8_4x8_neon_half:
    .fill 4, 4, 0x3f000000
    CURVE_NUMBERS

END_FILE
