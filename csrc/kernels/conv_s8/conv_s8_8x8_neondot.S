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
//            take the place of 0-3, the next group's B and A that of this one's.
// Tiles      A tap's last step loads the next tap's pointers and pixels, a tile's last one those of the next tile,
//            which its end starts: all loads are behind products.
// Reached    16.04 cycles a step, as llvm-mca 19 estimates for neoverse-n1, the same core design. Besides its steps
//            a tile takes 20 cycles (folded), 36 (codes of short sums), 50 (of longer ones), 24 (float32), 29 (halves,
//            folded), 26 (behind a ReLU), 38 (shifted), 36 (others) or 53 (of longer sums); clamped floats 16 more.
//            Gated values: 55 (folded, whose 101 operations take 51 on two pipes), 83 (other codes), 56 (float32), 68
//            (halves). Behind sigmoid 177 (folded), behind mish 221.
// Float      SCVTF of four values occupies V0 for two cycles, 32 a tile: as long as two steps. While no sum can exceed
//            2^22 (short_sums, or taps * groups <= 32: 32 * 8 * 128 * 127 = 4161536) the accumulators start at the bits
//            of 1.5 * 2^23, so that their bits are those of 1.5 * 2^23 + sum, and subtracting 1.5 * 2^23 is the
//            conversion, exactly.
// Folded     kSumsToS8Folded needs neither conversion: the sums start at start[n], are floats already, and FMLA rounds
//            to the code, so that a tile's end takes 36 operations on the ASIMD pipes. So do halves (kSumsToF16Folded);
//            longer sums leave their last three bits behind (kSumsToF16Shifted), which SSRA costs. FCVTN of four values
//            occupies V0 for two cycles, SQRSHRUN of a ReLU's (kSumsToF16Rectified) V1 for one.
// Source     Arm Cortex-A76 Software Optimization Guide, ASIMD dot product: latency 4(1), throughput 2, pipes V. SCVTF:
//            LLVM 19, AArch64SchedNeoverseN1.td.
//
// Registers
//   x0 params; where sums are shifted, eight times 1.5 * 2^23 in memory
//   x1 the next tap's pointers   x2 taps left   x3 B of the next step   x4 steps left before the tap's last
//   x5 offset of the group's plane   x6 planes' distance   x7 groups   x8-x15 pixels   x16 offset of the next group's
//   plane   x17 B   x19 C   x20 what the sums start at   x21 where a whole tile's last tap is   x22 taps
//   x23 where a whole tile's steps begin   x24 pixels left   x25 offset   x26 the end of the last tile
//   x27 pointers to load   x28 C's channels 4-7 (F32)
//   v0-v3         B: k 0-3, k 4-7
//   v4-v7         A: pixels 0-3, then 4-7
//   v8-v11        scale, limits   v12-v14 temporaries of the end   v15 1.5 * 2^23; gates: conv_s8_8x8_gates_asm.h;
//                 curves: conv_s8_neondot_curves_asm.h, which says what x27 is there
//   v16-v31       sums: v(16 + 2m) channels 0-3 of pixel m, v(17 + 2m) channels 4-7
//   x18, x29 and x30 are not touched.

#include "asm/aarch64.h"
#include "kernels/conv_s8/conv_s8_8x8_ends_asm.h"
#include "kernels/conv_s8/conv_s8_8x8_frame_asm.h"
#include "kernels/conv_s8/conv_s8_8x8_gates_asm.h"
#include "kernels/conv_s8/conv_s8_neondot_curves_asm.h"
#include "kernels/conv_s8/conv_s8_neondot_steps_asm.h"

    .arch armv8.2-a+dotprod

// How a last tile ends, in w26.
#define FROM_ZERO 1
#define TO_F16 2
#define TO_F32 4
#define GATED 16
#define F16_FOLDED 32
#define F16_SHIFTED 64
#define CURVED 128
#define F16_RECTIFIED 256
#define FLOAT_MINUS_INFINITY 0xff800000
#define FLOAT_INFINITY_TOP_HALF 0x7f80

// Loops and ends lie within a quarter of a page each, gated ones within a half, curved ones within a whole one, and so
// never across two pages.
#define QUARTER_OF_A_PAGE 1024
#define HALF_A_PAGE 2048

// A whole tile's last tap but for its last step, then that with the tile's end and the start of the next tile; of the
// same one again where no whole tile follows, for what is loaded then is not used.
.macro WHOLE_TILE label, output, start, clamped, halves=2, room=QUARTER_OF_A_PAGE
    .balign \room
.Lconv_s8_8x8_neondot_\label:
    hint #36                            // BTI J
.Lconv_s8_8x8_neondot_step_\label:
    STEP_WITHIN_TAP 8
    b.ne .Lconv_s8_8x8_neondot_step_\label
.Lconv_s8_8x8_neondot_end_\label:
    hint #36
    sub x27, x1, #64
    cmp x24, #16
    csel x27, x1, x27, hs
    mov x16, #0
    mov x3, x17
    STEP 8, 1, x17, x27, \halves
    PIXELS_\output 8, \start, \clamped
    sub x24, x24, #8
    add x27, x27, #64
    sub x2, x22, #1
    mov x5, #0
    sub x4, x7, #1
    adr x16, .Lconv_s8_8x8_neondot_last_tile
    cmp x24, #8
    csel x1, x27, x1, hs
    csel x16, x23, x16, hs
    br x16
.endm

// The end of a tile of fewer pixels, for which there is one that clamps and one way to convert.
.macro LAST_END rows, output, start
.Lconv_s8_8x8_neondot_\output\()_\start\()_\rows:
    PIXELS_\output \rows, \start, 1
    b .Lconv_s8_8x8_neondot_done
.endm

.macro LAST_TILE rows
    .balign QUARTER_OF_A_PAGE
.Lconv_s8_8x8_neondot_tile_\rows:
    HEAD \rows
    STEPS \rows
    STEP \rows, 0, NONE, NONE
    tbnz w26, #4, .Lconv_s8_8x8_neondot_gated_\rows
    tbnz w26, #0, .Lconv_s8_8x8_neondot_zero_\rows
    tbnz w26, #1, .Lconv_s8_8x8_neondot_F16_MAGIC_\rows
    tbnz w26, #2, .Lconv_s8_8x8_neondot_F32_MAGIC_\rows
    tbnz w26, #3, .Lconv_s8_8x8_neondot_S8_MAGIC_\rows
    tbnz w26, #5, .Lconv_s8_8x8_neondot_F16_FOLDED_\rows
    tbnz w26, #6, .Lconv_s8_8x8_neondot_SHIFTED_ANY_\rows
    tbnz w26, #8, .Lconv_s8_8x8_neondot_RECTIFIED_ANY_\rows
    LAST_END \rows, S8, FOLDED
    LAST_END \rows, F16, FOLDED
    LAST_END \rows, SHIFTED, ANY
    LAST_END \rows, RECTIFIED, ANY
    LAST_END \rows, F16, MAGIC
    LAST_END \rows, F32, MAGIC
    LAST_END \rows, S8, MAGIC
.Lconv_s8_8x8_neondot_zero_\rows:
    tbnz w26, #1, .Lconv_s8_8x8_neondot_F16_ZERO_\rows
    tbnz w26, #2, .Lconv_s8_8x8_neondot_F32_ZERO_\rows
    LAST_END \rows, S8, ZERO
    LAST_END \rows, F16, ZERO
    LAST_END \rows, F32, ZERO
.Lconv_s8_8x8_neondot_gated_\rows:
    tbnz w26, #7, .Lconv_s8_8x8_neondot_curved_\rows
    tbnz w26, #0, .Lconv_s8_8x8_neondot_gated_zero_\rows
    tbnz w26, #1, .Lconv_s8_8x8_neondot_GATED_F16_MAGIC_\rows
    tbnz w26, #2, .Lconv_s8_8x8_neondot_GATED_F32_MAGIC_\rows
    LAST_END \rows, GATED_S8, FOLDED
    LAST_END \rows, GATED_F16, MAGIC
    LAST_END \rows, GATED_F32, MAGIC
.Lconv_s8_8x8_neondot_gated_zero_\rows:
    tbnz w26, #1, .Lconv_s8_8x8_neondot_GATED_F16_ZERO_\rows
    tbnz w26, #2, .Lconv_s8_8x8_neondot_GATED_F32_ZERO_\rows
    LAST_END \rows, GATED_S8, ZERO
    LAST_END \rows, GATED_F16, ZERO
    LAST_END \rows, GATED_F32, ZERO
.Lconv_s8_8x8_neondot_curved_\rows:
    br x27
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

FUNCTION conv_s8_8x8_neondot, BITS_OF_A_PAGE
    stp x19, x20, [sp, #-SAVED_BYTES]!
    .cfi_adjust_cfa_offset SAVED_BYTES
    SAVE_REGISTERS
    LOAD_PARAMS x17
    ldr w9, [x0, #CONV_S8_HALF_STEP]
    cbnz w15, .Lconv_s8_8x8_neondot_gated
    cmp w14, #CONV_S8_TO_S8_FOLDED
    b.ne .Lconv_s8_8x8_neondot_exact
    ldr x20, [x0, #CONV_S8_START]
    mov w26, #0
    ldr w12, [x0, #CONV_S8_HIGH_CODE]
    adr x21, .Lconv_s8_8x8_neondot_folded
    adr x13, .Lconv_s8_8x8_neondot_folded_clamped
    adr x10, .Lconv_s8_8x8_neondot_half_folded
    adr x11, .Lconv_s8_8x8_neondot_half_folded_clamped
    cmp w9, #0
    csel x21, x21, x10, eq
    csel x13, x13, x11, eq
    cmp w12, #127
    csel x21, x21, x13, eq
    b .Lconv_s8_8x8_neondot_limit_codes

    // Sums start at 1.5 * 2^23 or, where they may be longer, at zero.
.Lconv_s8_8x8_neondot_exact:
    adrp x20, .Lconv_s8_8x8_neondot_starts
    add x20, x20, :lo12:.Lconv_s8_8x8_neondot_starts
    ldr q15, [x20, #32]
    add x12, x20, #32
    ASK_FOR_LONG_SUMS
    csel x20, x20, x12, eq
    cset w26, eq
    cbz w14, .Lconv_s8_8x8_neondot_to_s8

    ldur x15, [x0, #CONV_S8_LOW_VALUE]  // and high_value
    LIMIT_VALUES
    mov w13, #FLOAT_MINUS_INFINITY
    movk x13, #FLOAT_INFINITY_TOP_HALF, lsl #48
    cmp x15, x13
    cset w12, ne                        // clamps
    movz x10, #FLOAT_INFINITY_TOP_HALF, lsl #48
    eor x10, x10, x15                   // 0: from zero to infinity
    cmp w14, #CONV_S8_TO_F16
    b.eq .Lconv_s8_8x8_neondot_to_f16
    b.hi .Lconv_s8_8x8_neondot_to_f16_unconverted
    orr w26, w26, #4
    tbnz w26, #0, .Lconv_s8_8x8_neondot_to_f32_zero
    adr x21, .Lconv_s8_8x8_neondot_f32
    adr x13, .Lconv_s8_8x8_neondot_f32_clamped
    b .Lconv_s8_8x8_neondot_choose
.Lconv_s8_8x8_neondot_to_f32_zero:
    adr x21, .Lconv_s8_8x8_neondot_f32_zero
    adr x13, .Lconv_s8_8x8_neondot_f32_zero_clamped
    b .Lconv_s8_8x8_neondot_choose
.Lconv_s8_8x8_neondot_to_f16:
    orr w26, w26, #2
    tbnz w26, #0, .Lconv_s8_8x8_neondot_to_f16_zero
    adr x21, .Lconv_s8_8x8_neondot_f16
    adr x13, .Lconv_s8_8x8_neondot_f16_clamped
    adr x11, .Lconv_s8_8x8_neondot_f16_relu
    b .Lconv_s8_8x8_neondot_choose_f16
.Lconv_s8_8x8_neondot_to_f16_shifted:
    adrp x0, .Lconv_s8_8x8_neondot_starts
    add x0, x0, :lo12:.Lconv_s8_8x8_neondot_starts
    add x0, x0, #32
    mov w26, #F16_SHIFTED
    adr x21, .Lconv_s8_8x8_neondot_f16_shifted
    adr x13, .Lconv_s8_8x8_neondot_f16_shifted_clamped
    adr x11, .Lconv_s8_8x8_neondot_f16_shifted_relu
    b .Lconv_s8_8x8_neondot_choose_f16
.Lconv_s8_8x8_neondot_to_f16_unconverted:
    ldr x20, [x0, #CONV_S8_START]
    mov w26, #F16_FOLDED
    cmp w14, #CONV_S8_TO_F16_SHIFTED
    b.eq .Lconv_s8_8x8_neondot_to_f16_shifted
    b.hi .Lconv_s8_8x8_neondot_to_f16_rectified
    cbnz w9, .Lconv_s8_8x8_neondot_to_half_f16_folded
    adr x21, .Lconv_s8_8x8_neondot_f16_folded
    adr x13, .Lconv_s8_8x8_neondot_f16_folded_clamped
    b .Lconv_s8_8x8_neondot_choose
.Lconv_s8_8x8_neondot_to_half_f16_folded:
    adr x21, .Lconv_s8_8x8_neondot_half_f16_folded
    adr x13, .Lconv_s8_8x8_neondot_half_f16_folded_clamped
    b .Lconv_s8_8x8_neondot_choose
.Lconv_s8_8x8_neondot_to_f16_rectified:
    mov w26, #F16_RECTIFIED
    mov w12, w9
    adr x21, .Lconv_s8_8x8_neondot_f16_rectified
    adr x13, .Lconv_s8_8x8_neondot_half_f16_rectified
    b .Lconv_s8_8x8_neondot_choose
.Lconv_s8_8x8_neondot_to_f16_zero:
    adr x21, .Lconv_s8_8x8_neondot_f16_zero
    adr x13, .Lconv_s8_8x8_neondot_f16_zero_clamped
    adr x11, .Lconv_s8_8x8_neondot_f16_zero_relu
.Lconv_s8_8x8_neondot_choose_f16:
    cmp x10, #0
    csel x13, x11, x13, eq
.Lconv_s8_8x8_neondot_choose:
    cmp w12, #0
    csel x21, x21, x13, eq
    b .Lconv_s8_8x8_neondot_start

.Lconv_s8_8x8_neondot_to_s8:
    orr w26, w26, #8
    adr x21, .Lconv_s8_8x8_neondot_s8
    adr x13, .Lconv_s8_8x8_neondot_s8_zero
    csel x21, x13, x21, eq
.Lconv_s8_8x8_neondot_limit_codes:
    LIMIT_CODES

    b .Lconv_s8_8x8_neondot_start

    // Gated values: the end of a tile loads its constants itself.
.Lconv_s8_8x8_neondot_gated:
    ldr x20, [x0, #CONV_S8_START]
    cmp w15, #CONV_S8_GATED_LINEAR
    b.ne .Lconv_s8_8x8_neondot_curved
    mov w26, #GATED
    adr x21, .Lconv_s8_8x8_neondot_gated_folded
    cmp w14, #CONV_S8_TO_S8_FOLDED
    b.eq .Lconv_s8_8x8_neondot_start
    adrp x20, .Lconv_s8_8x8_neondot_starts
    add x20, x20, :lo12:.Lconv_s8_8x8_neondot_starts
    mov w26, #(GATED | FROM_ZERO)
    adr x21, .Lconv_s8_8x8_neondot_gated_s8
    cbz w14, .Lconv_s8_8x8_neondot_start
    ASK_FOR_LONG_SUMS
    cset w26, eq
    ldr q15, [x20, #32]
    add x12, x20, #32
    csel x20, x20, x12, eq
    adr x21, .Lconv_s8_8x8_neondot_gated_f32
    adr x12, .Lconv_s8_8x8_neondot_gated_f32_zero
    csel x21, x12, x21, eq
    adr x12, .Lconv_s8_8x8_neondot_gated_f16
    adr x13, .Lconv_s8_8x8_neondot_gated_f16_zero
    csel x12, x13, x12, eq
    mov w11, #(GATED | TO_F32)
    mov w13, #(GATED | TO_F16)
    cmp w14, #CONV_S8_TO_F16
    csel x21, x12, x21, eq
    csel w11, w13, w11, eq
    orr w26, w26, w11
    b .Lconv_s8_8x8_neondot_start

    // Curves.
.Lconv_s8_8x8_neondot_curved:
    mov w26, #(GATED | CURVED)
    CHOOSE_CURVE

    // Where the steps of a whole tile begin, x23, and those of its last tap, x21.
.Lconv_s8_8x8_neondot_start:
    cmp x24, #8
    b.lo .Lconv_s8_8x8_neondot_last_tile
    add x12, x21, #(.Lconv_s8_8x8_neondot_end_folded - .Lconv_s8_8x8_neondot_folded)
    adr x13, .Lconv_s8_8x8_neondot_tap
    adr x14, .Lconv_s8_8x8_neondot_single_step
    subs x4, x7, #1
    csel x21, x12, x21, eq
    csel x23, x14, x13, eq
    subs x2, x22, #1
    csel x23, x21, x23, eq
    mov x5, #0
    HEAD 8
    br x23

    // Taps before the last one: of several steps, and of one.
.Lconv_s8_8x8_neondot_tap:
    hint #36                            // BTI J
.Lconv_s8_8x8_neondot_step:
    STEP_WITHIN_TAP 8
    b.ne .Lconv_s8_8x8_neondot_step
    STEP_TO_NEXT_TAP 8
    b.ne .Lconv_s8_8x8_neondot_step
    br x21
.Lconv_s8_8x8_neondot_single_step:
    hint #36
.Lconv_s8_8x8_neondot_next_single_step:
    STEP_TO_NEXT_TAP 8
    b.ne .Lconv_s8_8x8_neondot_next_single_step
    br x21

    WHOLE_TILE folded, S8, FOLDED, 0
    WHOLE_TILE folded_clamped, S8, FOLDED, 1
    WHOLE_TILE s8, S8, MAGIC, 1
    WHOLE_TILE s8_zero, S8, ZERO, 1
    WHOLE_TILE f32, F32, MAGIC, 0
    WHOLE_TILE f32_clamped, F32, MAGIC, 1
    WHOLE_TILE f32_zero, F32, ZERO, 0
    WHOLE_TILE f32_zero_clamped, F32, ZERO, 1
    WHOLE_TILE f16_folded, F16, FOLDED, 0
    WHOLE_TILE f16_folded_clamped, F16, FOLDED, 1
    WHOLE_TILE f16_rectified, RECTIFIED, ANY, 0
    WHOLE_TILE f16_shifted, SHIFTED, ANY, 0
    WHOLE_TILE f16_shifted_clamped, SHIFTED, ANY, 1
    WHOLE_TILE f16_shifted_relu, SHIFTED, ANY, 2
    WHOLE_TILE half_folded, S8, FOLDED, 0, 1
    WHOLE_TILE half_folded_clamped, S8, FOLDED, 1, 1
    WHOLE_TILE half_f16_folded, F16, FOLDED, 0, 1
    WHOLE_TILE half_f16_folded_clamped, F16, FOLDED, 1, 1
    WHOLE_TILE half_f16_rectified, RECTIFIED, ANY, 0, 1
    WHOLE_TILE f16, F16, MAGIC, 0
    WHOLE_TILE f16_clamped, F16, MAGIC, 1
    WHOLE_TILE f16_relu, F16, MAGIC, 2
    WHOLE_TILE f16_zero, F16, ZERO, 0
    WHOLE_TILE f16_zero_clamped, F16, ZERO, 1
    WHOLE_TILE f16_zero_relu, F16, ZERO, 2
    WHOLE_TILE gated_folded, GATED_S8, FOLDED, 0, 2, HALF_A_PAGE
    WHOLE_TILE gated_s8, GATED_S8, ZERO, 0, 2, HALF_A_PAGE
    WHOLE_TILE gated_f32, GATED_F32, MAGIC, 0, 2, HALF_A_PAGE
    WHOLE_TILE gated_f32_zero, GATED_F32, ZERO, 0, 2, HALF_A_PAGE
    WHOLE_TILE gated_f16, GATED_F16, MAGIC, 0, 2, HALF_A_PAGE
    WHOLE_TILE gated_f16_zero, GATED_F16, ZERO, 0, 2, HALF_A_PAGE

    CURVED_TILES

.Lconv_s8_8x8_neondot_last_tile:
    hint #36
    .irp rows, 1, 2, 3, 4, 5, 6, 7
    cmp x24, #\rows
    b.eq .Lconv_s8_8x8_neondot_tile_\rows
    .endr
    b .Lconv_s8_8x8_neondot_done
    .irp rows, 7, 6, 5, 4, 3, 2, 1
    LAST_TILE \rows
    .endr

.Lconv_s8_8x8_neondot_done:
    RESTORE_REGISTERS
    ldp x19, x20, [sp], #SAVED_BYTES
    .cfi_adjust_cfa_offset -SAVED_BYTES
    ret
END_FUNCTION conv_s8_8x8_neondot

    CURVE_NUMBERS

END_FILE
