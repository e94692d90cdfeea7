// conv_s8 with SDOT: tiles of 8 pixels x 8 channels, 8 bytes of k a step. Formula and ranges: conv_s8.h.
//
// Layout     A: 8 bytes at each pixel's pointer, planes a_group_stride_bytes apart. B: for each tap and group 64 bytes,
//            k 0-3 of channels 0-3 and 4-7, k 4-7 of channels 0-3 and 4-7 (conv_s8_pack_neondot).
// Alignment  none. Over-read none. A last tile of 1 to 7 pixels has a loop of its own, none computes more.
// Target     Cortex-A76 (RK3588, Raspberry Pi 5): two ASIMD pipes, SDOT once a cycle on each, two loads a cycle.
//            A step of 8 pixels is 32 SDOT (16 MAC each) and 12 loads: the bound is 512 MAC in 16 cycles, 32 a cycle.
//            Sixteen accumulators give every SDOT eight cycles before its register is needed again (latency 4,
//            forwarded 1).
// In order   For Cortex-A55 (RK3566) each register is loaded anew as soon as its last product is issued: pixels 4-7
//            take the place of 0-3, the next group's B and A that of this one's. v8-v15 are not needed.
// Reached    16.00 cycles a step, 31.99 MAC a cycle, as llvm-mca 19 estimates for neoverse-n1, the same core design. A
//            tile's start takes 7 cycles, its end 20 (folded), 38 (exact) or 50 (longer sums).
// Float      SCVTF of four values occupies V0 for two cycles, 32 a tile: as long as two steps. While no sum can exceed
//            2^22 (taps * groups <= 32: 32 * 8 * 128 * 127 = 4161536) the accumulators start at the bits of 1.5 * 2^23,
//            so that their bits are those of 1.5 * 2^23 + sum, and subtracting 1.5 * 2^23 is the conversion, exactly.
// Folded     kSumsToS8Folded needs neither conversion: the sums start at start[n], are floats already, and FMLA rounds
//            to the code, so that a tile's end takes 36 operations on the ASIMD pipes.
// Source     Arm Cortex-A76 Software Optimization Guide, ASIMD dot product: latency 4(1), throughput 2, pipes V. SCVTF:
//            LLVM 19, AArch64SchedNeoverseN1.td.
//
// Registers
//   x0 params   x1 the tap's pointers   x2 taps left   x3 B   x4 groups left   x5 offset of the group's plane
//   x6 planes' distance   x7 groups   x8-x15 pixels   x16 offset of the next group's plane   x17 the last group's B
//   x19 C   x20 what the sums start at   w21 0 folded, 1 at 1.5 * 2^23, 2 at zero   x22 taps   w23 high_code - 127
//   x24 pixels left
//   in the epilogue: x8 scale   x9 offset   x11 C's channels 4-7 (F32)   w14 output   x12-x14 limits
//   v0-v3         B: k 0-3, k 4-7; in the epilogue v0-v1 scale
//   v4-v7         A: pixels 0-3, then 4-7
//   v2-v7         in the epilogue: temporaries, limits
//   v16-v31       sums: v(16 + 2m) channels 0-3 of pixel m, v(17 + 2m) channels 4-7
//   v8-v15, x18, x25-x30 are not touched.

#include "asm/aarch64.h"
#include "kernels/conv_s8/conv_s8_neondot_asm.h"
#include "kernels/conv_s8/conv_s8_offsets.h"

    .arch armv8.2-a+dotprod

#define ONE_AND_A_HALF_TIMES_2_TO_23 0x4b400000
#define MAX_STEPS_BELOW_2_TO_22 32
#define FLOAT_MINUS_INFINITY 0xff800000
#define FLOAT_INFINITY_TOP_HALF 0x7f80

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

.macro LOAD_POINTERS rows
    PIXEL \rows, 1, ldp x8, x9, [x1]
    PIXEL \rows, 3, ldp x10, x11, [x1, #16]
    PIXEL \rows, 5, ldp x12, x13, [x1, #32]
    PIXEL \rows, 7, ldp x14, x15, [x1, #48]
    LAST \rows, 0, ldr x8, [x1]
    LAST \rows, 2, ldr x10, [x1, #16]
    LAST \rows, 4, ldr x12, [x1, #32]
    LAST \rows, 6, ldr x14, [x1, #48]
    add x1, x1, #64
.endm

// sums of a pixel += A[k 0-3] . B[k 0-3], or the same of k 4-7
.macro MULTIPLY rows, m, low, high, a, b_low, b_high, half
    PIXEL \rows, \m, sdot \low\().4s, \b_low\().16b, \a\().4b[\half]
    PIXEL \rows, \m, sdot \high\().4s, \b_high\().16b, \a\().4b[\half]
.endm

// A pixel of 0-3 has been multiplied: its register gets this group's pixel of 4-7, or its own next group.
.macro LOAD_FOURTH_OR_NEXT rows, m, fourth, a, pixel, fourth_pixel
    PIXEL \rows, \fourth, ldr \a, [\fourth_pixel, x5]
    .if \rows <= \fourth
    PIXEL \rows, \m, ldr \a, [\pixel, x16]
    .endif
.endm

.macro UP_TO_FOUR rows, instruction:vararg
    .if \rows <= 4
    \instruction
    .endif
.endm

// One group. v0-v7 hold B and pixels 0-3; each register is loaded for the group after as soon as it is free. After the
// last group of a tap (of all) the same A (B) is loaded again.
.macro MULTIPLY_GROUP rows
    MULTIPLY \rows, 0, v16, v17, v4, v0, v1, 0
    add x3, x3, #64
    MULTIPLY \rows, 1, v18, v19, v5, v0, v1, 0
    cmp x3, x17
    MULTIPLY \rows, 2, v20, v21, v6, v0, v1, 0
    csel x3, x3, x17, lo
    MULTIPLY \rows, 3, v22, v23, v7, v0, v1, 0
    UP_TO_FOUR \rows, ldr q0, [x3]
    subs x4, x4, #1
    MULTIPLY \rows, 0, v16, v17, v4, v2, v3, 1
    UP_TO_FOUR \rows, ldr q1, [x3, #16]
    csel x16, x6, xzr, ne
    MULTIPLY \rows, 1, v18, v19, v5, v2, v3, 1
    add x16, x16, x5
    LOAD_FOURTH_OR_NEXT \rows, 0, 4, d4, x8, x12
    MULTIPLY \rows, 2, v20, v21, v6, v2, v3, 1
    LOAD_FOURTH_OR_NEXT \rows, 1, 5, d5, x9, x13
    MULTIPLY \rows, 3, v22, v23, v7, v2, v3, 1
    LOAD_FOURTH_OR_NEXT \rows, 2, 6, d6, x10, x14
    MULTIPLY \rows, 4, v24, v25, v4, v0, v1, 0
    LOAD_FOURTH_OR_NEXT \rows, 3, 7, d7, x11, x15
    MULTIPLY \rows, 5, v26, v27, v5, v0, v1, 0
    MULTIPLY \rows, 6, v28, v29, v6, v0, v1, 0
    MULTIPLY \rows, 7, v30, v31, v7, v0, v1, 0
    PIXEL \rows, 4, ldr q0, [x3]
    MULTIPLY \rows, 4, v24, v25, v4, v2, v3, 1
    PIXEL \rows, 4, ldr d4, [x8, x16]
    PIXEL \rows, 4, ldr q1, [x3, #16]
    MULTIPLY \rows, 5, v26, v27, v5, v2, v3, 1
    PIXEL \rows, 5, ldr d5, [x9, x16]
    MULTIPLY \rows, 6, v28, v29, v6, v2, v3, 1
    PIXEL \rows, 6, ldr d6, [x10, x16]
    MULTIPLY \rows, 7, v30, v31, v7, v2, v3, 1
    ldr q2, [x3, #32]
    PIXEL \rows, 7, ldr d7, [x11, x16]
    ldr q3, [x3, #48]
    mov x5, x16
.endm

.macro TILE rows
.Lconv_s8_8x8_neondot_tile_\rows:
    ldr x3, [x0, #CONV_S8_B]
    START_SUMS \rows
    mov x2, x22
    ldp q0, q1, [x3]
    ldp q2, q3, [x3, #32]
.Lconv_s8_8x8_neondot_tap_\rows:
    LOAD_POINTERS \rows
    mov x4, x7
    mov x5, #0
    PIXEL \rows, 0, ldr d4, [x8]
    PIXEL \rows, 1, ldr d5, [x9]
    PIXEL \rows, 2, ldr d6, [x10]
    PIXEL \rows, 3, ldr d7, [x11]
.Lconv_s8_8x8_neondot_group_\rows:
    MULTIPLY_GROUP \rows
    b.ne .Lconv_s8_8x8_neondot_group_\rows
    subs x2, x2, #1
    b.ne .Lconv_s8_8x8_neondot_tap_\rows

    ldp x8, x9, [x0, #CONV_S8_SCALE]
    ldp q0, q1, [x8]
    cbnz w21, .Lconv_s8_8x8_neondot_exact_\rows
    add x12, x0, #CONV_S8_LOW_CODE
    add x13, x0, #CONV_S8_HIGH_CODE
    ld1r {v4.16b}, [x12]
    ld1r {v5.16b}, [x13]
    cbnz w23, .Lconv_s8_8x8_neondot_limited_\rows
    STORE_FOLDED \rows, 0
    b .Lconv_s8_8x8_neondot_next_\rows
.Lconv_s8_8x8_neondot_limited_\rows:
    STORE_FOLDED \rows, 1
    b .Lconv_s8_8x8_neondot_next_\rows

.Lconv_s8_8x8_neondot_exact_\rows:
    ldr w14, [x0, #CONV_S8_OUTPUT]
    tbnz w21, #1, .Lconv_s8_8x8_neondot_convert_\rows
    ldr q2, [x20]
    ON_SUMS \rows, SUBTRACT_START
.Lconv_s8_8x8_neondot_scale_\rows:
    cbnz w14, .Lconv_s8_8x8_neondot_f32_\rows
    add x12, x0, #CONV_S8_LOW_CODE
    add x13, x0, #CONV_S8_HIGH_CODE
    ld1r {v4.16b}, [x12]
    ld1r {v5.16b}, [x13]
    STORE_S8 \rows
.Lconv_s8_8x8_neondot_next_\rows:
    .if \rows == 8
    subs x24, x24, #8
    b.ls .Lconv_s8_8x8_neondot_done
    cmp x24, #8
    b.hs .Lconv_s8_8x8_neondot_tile_8
    b .Lconv_s8_8x8_neondot_last_tile
    .else
    b .Lconv_s8_8x8_neondot_done
    .endif
.Lconv_s8_8x8_neondot_convert_\rows:
    ON_SUMS \rows, CONVERT
    b .Lconv_s8_8x8_neondot_scale_\rows
.Lconv_s8_8x8_neondot_f32_\rows:
    ldr x11, [x0, #CONV_S8_C_QUAD_STRIDE_BYTES]
    ldur x14, [x0, #CONV_S8_LOW_VALUE]  // and high_value
    mov w12, #FLOAT_MINUS_INFINITY
    movk x12, #FLOAT_INFINITY_TOP_HALF, lsl #48
    add x11, x11, x19
    cmp x14, x12
    b.eq .Lconv_s8_8x8_neondot_unclamped_\rows
    add x12, x0, #CONV_S8_LOW_VALUE
    add x13, x0, #CONV_S8_HIGH_VALUE
    ld1r {v6.4s}, [x12]
    ld1r {v7.4s}, [x13]
    STORE_F32 \rows, 1
    b .Lconv_s8_8x8_neondot_next_\rows
.Lconv_s8_8x8_neondot_unclamped_\rows:
    STORE_F32 \rows, 0
    b .Lconv_s8_8x8_neondot_next_\rows
.endm

    .section .rodata
    .balign 32
.Lconv_s8_8x8_neondot_starts:
    .rept 8
    .word 0
    .endr
    .rept 8
    .word ONE_AND_A_HALF_TIMES_2_TO_23
    .endr
    .text

FUNCTION conv_s8_8x8_neondot
    stp x19, x20, [sp, #-48]!
    stp x21, x22, [sp, #16]
    stp x23, x24, [sp, #32]
    ldp x22, x7, [x0, #CONV_S8_TAPS]
    ldp x17, x24, [x0, #CONV_S8_B]      // and pixels
    ldr x1, [x0, #CONV_S8_A]
    ldr x6, [x0, #CONV_S8_A_GROUP_STRIDE_BYTES]
    ldr x19, [x0, #CONV_S8_C]
    ldr w14, [x0, #CONV_S8_OUTPUT]
    mul x4, x22, x7
    ldr w23, [x0, #CONV_S8_HIGH_CODE]
    sub w23, w23, #127
    add x17, x17, x4, lsl #6
    sub x17, x17, #64
    // Sums start at the folded offsets (w21 is 0), at 1.5 * 2^23 (1) or, where they may be longer, at zero (2).
    ldr x20, [x0, #CONV_S8_START]
    mov w21, #0
    cmp w14, #CONV_S8_TO_S8_FOLDED
    b.eq .Lconv_s8_8x8_neondot_started
    adrp x20, .Lconv_s8_8x8_neondot_starts
    add x20, x20, :lo12:.Lconv_s8_8x8_neondot_starts
    mov w21, #2
    cmp x4, #MAX_STEPS_BELOW_2_TO_22
    b.hi .Lconv_s8_8x8_neondot_started
    add x20, x20, #32
    mov w21, #1
.Lconv_s8_8x8_neondot_started:
    cmp x24, #8
    b.hs .Lconv_s8_8x8_neondot_tile_8
.Lconv_s8_8x8_neondot_last_tile:
    .irp rows, 1, 2, 3, 4, 5, 6, 7
    cmp x24, #\rows
    b.eq .Lconv_s8_8x8_neondot_tile_\rows
    .endr
    TILE 8
    TILE 7
    TILE 6
    TILE 5
    TILE 4
    TILE 3
    TILE 2
    TILE 1

.Lconv_s8_8x8_neondot_done:
    ldp x23, x24, [sp, #32]
    ldp x21, x22, [sp, #16]
    ldp x19, x20, [sp], #48
    ret
END_FUNCTION conv_s8_8x8_neondot

END_FILE
