// conv_s8 with SMMLA: a tile of 8 pixels x 8 channels. Formula and ranges: conv_s8.h.
//
// Layout     A: 8 bytes at each pixel's pointer, planes a_group_stride_bytes apart. B: for each tap and each group 64
//            bytes, 8 channels x 8 k (conv_s8_pack_ref).
// Alignment  none. Over-read none. C: `rows` pixels of 8 values. A last tile of fewer pixels is computed as one of
//            eight, its first pixel in the place of those it has not, and copied from the stack.
// Target     Cores with SMMLA on two ASIMD pipes (Cortex-A710, Neoverse N2): once a cycle on each, 32 MAC.
//            Two pixels are a vector. Where they lie side by side it is one load, and a step of 8 pixels is 16 SMMLA:
//            512 MAC in 8 cycles, 64 a cycle; elsewhere it takes a ZIP1 for each two pixels besides: 10 cycles, 51.2.
// Reached    8.01 and 10.01 cycles a step, as llvm-mca 19 estimates for neoverse-n2; 4.01 and 5.02 for neoverse-v1,
//            which has four such pipes. A tile takes 30 cycles (folded) besides its steps.
// Ends       SMMLA leaves two pixels x two channels in a register. Sixteen ZIPs make them pixels of four channels, so
//            that a tile ends as conv_s8_8x8_neondot's does (conv_s8_8x8_ends_asm.h).
// Source     Arm Neoverse N2 Software Optimization Guide, ASIMD matrix multiply-accumulate: latency 3(1), throughput 2.
//
// Registers
//   x0 params   x1 the tap's pointers   x2 taps left   x3 B   x4 groups left   x5 offset of the plane
//   x6 planes' distance   x7 groups   x8-x15 pixels   x16-x17, x26-x27 temporaries   x19 C   x20 where the sums start
//   x21 how a tile ends   x22 taps   x23 B's begin   x24 pixels left   x25 offset   x28 C's channels 4-7 (F32)
//   v4-v7         A: pixels 0-1, 2-3, 4-5, 6-7   v12-v14 the odd ones until ZIP1 has them; temporaries of the end
//   v28-v31       B: channels 0-1, 2-3, 4-5, 6-7
//   v8-v11        scale, limits   v15 1.5 * 2^23; gates: conv_s8_8x8_gates_asm.h, curves:
//                 conv_s8_8x8_curves_asm.h
//   v0-v3, v16-v27    sums: of a pair of pixels four registers, a pair of channels each
//   v16-v31       in the end: v(16 + 2m) channels 0-3 of pixel m, v(17 + 2m) channels 4-7
//   x18, x29 and x30 are not touched.
// Frame (560 bytes): saved registers | 144 where the sums start | 208 C and its channels 4-7, of a last tile |
//   224 pointers of a last tile | 288 its values

#include "asm/aarch64.h"
#include "kernels/conv_s8/conv_s8_8x8_curves_asm.h"
#include "kernels/conv_s8/conv_s8_8x8_ends_asm.h"
#include "kernels/conv_s8/conv_s8_8x8_frame_asm.h"
#include "kernels/conv_s8/conv_s8_8x8_gates_asm.h"

    .arch armv8.2-a+i8mm

#define FRAME 560
#define STARTS SAVED_BYTES
#define LAST_C 208
#define LAST_POINTERS 224
#define LAST_VALUES 288
#define LAST_QUAD_BYTES 128
#define BITS_OF_A_PAGE 12

// Sums start anew at the tile's beginning.
.macro RESTART rows, low, high
.endm

.macro MULTIPLY pixels, s0, s1, s2, s3
    smmla v\s0\().4s, v\pixels\().16b, v28.16b
    smmla v\s1\().4s, v\pixels\().16b, v29.16b
    smmla v\s2\().4s, v\pixels\().16b, v30.16b
    smmla v\s3\().4s, v\pixels\().16b, v31.16b
.endm

.macro MULTIPLY_ALL
    MULTIPLY 4, 0, 1, 2, 3
    MULTIPLY 5, 16, 17, 18, 19
    MULTIPLY 6, 20, 21, 22, 23
    MULTIPLY 7, 24, 25, 26, 27
    add x5, x5, x6
.endm

.macro LOAD_B
    ldp q28, q29, [x3]
    ldp q30, q31, [x3, #32]
    add x3, x3, #64
    subs x4, x4, #1
.endm

// Sums of two pixels x channels 0-1, 2-3, 4-5 and 6-7 to both pixels' channels 0-3 and 4-7.
.macro TO_PIXELS s0, s1, s2, s3, first_low, first_high, second_low, second_high
    zip1 v\first_low\().2d, v\s0\().2d, v\s1\().2d
    zip1 v\first_high\().2d, v\s2\().2d, v\s3\().2d
    zip2 v\second_low\().2d, v\s0\().2d, v\s1\().2d
    zip2 v\second_high\().2d, v\s2\().2d, v\s3\().2d
.endm

.macro TILE_END output, start, clamped
.Lconv_s8_8x8_neoni8mm_\output\()_\start:
    hint #36                            // BTI J
    PIXELS_\output 8, \start, \clamped
    b .Lconv_s8_8x8_neoni8mm_stored
.endm

// Of sigmoid and mish a page each, in the order of the outputs' numbers.
.macro CURVED_END label, curve, output, start
    .p2align BITS_OF_A_PAGE
.Lconv_s8_8x8_neoni8mm_\label:
    hint #36
    mov x9, #8
    SECOND_PIXEL \output, x9
    CURVED_PAIRS .Lconv_s8_8x8_neoni8mm_\label, \curve, \output, \start
    b .Lconv_s8_8x8_neoni8mm_stored
.endm

FUNCTION conv_s8_8x8_neoni8mm, BITS_OF_A_PAGE
    sub sp, sp, #FRAME
    .cfi_adjust_cfa_offset FRAME
    stp x19, x20, [sp]
    SAVE_REGISTERS
    LOAD_PARAMS x23
    add x20, sp, #STARTS
    cmp w14, #CONV_S8_TO_S8_FOLDED
    b.ne .Lconv_s8_8x8_neoni8mm_exact
    ldr x8, [x0, #CONV_S8_START]
    ldp q4, q5, [x8]
    adr x21, .Lconv_s8_8x8_neoni8mm_S8_FOLDED
    adr x12, .Lconv_s8_8x8_neoni8mm_GATED_S8_FOLDED
    cmp w15, #0
    csel x21, x12, x21, ne
    cmp w15, #CONV_S8_GATED_SIGMOID
    b.hs .Lconv_s8_8x8_neoni8mm_curved
    b .Lconv_s8_8x8_neoni8mm_limit_codes

    // Sums start at 1.5 * 2^23 or, where they may be longer, at zero.
.Lconv_s8_8x8_neoni8mm_exact:
    mov w12, #(ONE_AND_A_HALF_TIMES_2_TO_23 & 0xffff)
    movk w12, #(ONE_AND_A_HALF_TIMES_2_TO_23 >> 16), lsl #16
    dup v15.4s, w12
    ASK_FOR_LONG_SUMS
    csel w12, wzr, w12, eq
    dup v4.4s, w12
    dup v5.4s, w12
    cbnz w15, .Lconv_s8_8x8_neoni8mm_gated
    cbz w14, .Lconv_s8_8x8_neoni8mm_to_s8
    LIMIT_VALUES
    tbnz w14, #2, .Lconv_s8_8x8_neoni8mm_to_f16_folded
    adr x21, .Lconv_s8_8x8_neoni8mm_F32_MAGIC
    adr x12, .Lconv_s8_8x8_neoni8mm_F32_ZERO
    csel x21, x12, x21, eq
    adr x12, .Lconv_s8_8x8_neoni8mm_F16_MAGIC
    adr x13, .Lconv_s8_8x8_neoni8mm_F16_ZERO
    csel x12, x13, x12, eq
    cmp w14, #CONV_S8_TO_F16
    csel x21, x12, x21, eq
    b .Lconv_s8_8x8_neoni8mm_starts
.Lconv_s8_8x8_neoni8mm_to_f16_folded:
    ldr x8, [x0, #CONV_S8_START]
    ldp q4, q5, [x8]
    adr x21, .Lconv_s8_8x8_neoni8mm_F16_FOLDED
    b .Lconv_s8_8x8_neoni8mm_starts
.Lconv_s8_8x8_neoni8mm_curved:
    sub w15, w15, #CONV_S8_GATED_SIGMOID
    add w14, w14, w15, lsl #2
    adr x21, .Lconv_s8_8x8_neoni8mm_sigmoid_s8
    add x21, x21, x14, lsl #BITS_OF_A_PAGE
    b .Lconv_s8_8x8_neoni8mm_starts
.Lconv_s8_8x8_neoni8mm_gated:
    tbnz w15, #1, .Lconv_s8_8x8_neoni8mm_curved_from_zero  // sigmoid or mish
    adr x21, .Lconv_s8_8x8_neoni8mm_GATED_F32_MAGIC
    adr x12, .Lconv_s8_8x8_neoni8mm_GATED_F32_ZERO
    csel x21, x12, x21, eq
    adr x12, .Lconv_s8_8x8_neoni8mm_GATED_F16_MAGIC
    adr x13, .Lconv_s8_8x8_neoni8mm_GATED_F16_ZERO
    csel x12, x13, x12, eq
    cmp w14, #CONV_S8_TO_F16
    csel x21, x12, x21, eq
    cbnz w14, .Lconv_s8_8x8_neoni8mm_starts
    adr x21, .Lconv_s8_8x8_neoni8mm_GATED_S8_ZERO
    movi v4.4s, #0
    movi v5.4s, #0
    b .Lconv_s8_8x8_neoni8mm_starts
.Lconv_s8_8x8_neoni8mm_curved_from_zero:
    movi v4.4s, #0
    movi v5.4s, #0
    b .Lconv_s8_8x8_neoni8mm_curved
.Lconv_s8_8x8_neoni8mm_to_s8:
    adr x21, .Lconv_s8_8x8_neoni8mm_S8_MAGIC
    adr x12, .Lconv_s8_8x8_neoni8mm_S8_ZERO
    csel x21, x12, x21, eq
.Lconv_s8_8x8_neoni8mm_limit_codes:
    LIMIT_CODES

    // v4, v5: where the sums of channels 0-3 and 4-7 start; in memory for two pixels x two channels each.
.Lconv_s8_8x8_neoni8mm_starts:
    dup v0.2d, v4.d[0]
    dup v1.2d, v4.d[1]
    dup v2.2d, v5.d[0]
    dup v3.2d, v5.d[1]
    stp q0, q1, [x20]
    stp q2, q3, [x20, #32]

.Lconv_s8_8x8_neoni8mm_tile:
    ldp q0, q1, [x20]
    ldp q2, q3, [x20, #32]
    ldp q16, q17, [x20]
    ldp q18, q19, [x20, #32]
    ldp q20, q21, [x20]
    ldp q22, q23, [x20, #32]
    ldp q24, q25, [x20]
    ldp q26, q27, [x20, #32]
    mov x3, x23
    mov x2, x22
    cmp x24, #8
    b.hs .Lconv_s8_8x8_neoni8mm_tap
    stp x19, x28, [sp, #LAST_C]
    add x19, sp, #LAST_VALUES
    add x28, x19, #LAST_QUAD_BYTES

.Lconv_s8_8x8_neoni8mm_tap:
    mov x16, x1
    cmp x24, #8
    b.lo .Lconv_s8_8x8_neoni8mm_last_pointers
.Lconv_s8_8x8_neoni8mm_pointers:
    ldp x8, x9, [x16]
    ldp x10, x11, [x16, #16]
    ldp x12, x13, [x16, #32]
    ldp x14, x15, [x16, #48]
    add x1, x1, #64
    mov x5, #0
    mov x4, x7
    sub x16, x9, x8
    sub x17, x11, x10
    sub x26, x13, x12
    sub x27, x15, x14
    cmp x16, #8
    ccmp x17, #8, #0, eq
    ccmp x26, #8, #0, eq
    ccmp x27, #8, #0, eq
    b.ne .Lconv_s8_8x8_neoni8mm_apart

.Lconv_s8_8x8_neoni8mm_side_by_side:
    LOAD_B
    ldr q4, [x8, x5]
    ldr q5, [x10, x5]
    ldr q6, [x12, x5]
    ldr q7, [x14, x5]
    MULTIPLY_ALL
    b.ne .Lconv_s8_8x8_neoni8mm_side_by_side
    subs x2, x2, #1
    b.ne .Lconv_s8_8x8_neoni8mm_tap
    b .Lconv_s8_8x8_neoni8mm_end

.Lconv_s8_8x8_neoni8mm_apart:
    LOAD_B
    ldr d4, [x8, x5]
    ldr d12, [x9, x5]
    ldr d5, [x10, x5]
    ldr d13, [x11, x5]
    ldr d6, [x12, x5]
    ldr d14, [x13, x5]
    zip1 v4.2d, v4.2d, v12.2d
    ldr d7, [x14, x5]
    ldr d12, [x15, x5]
    zip1 v5.2d, v5.2d, v13.2d
    zip1 v6.2d, v6.2d, v14.2d
    zip1 v7.2d, v7.2d, v12.2d
    MULTIPLY_ALL
    b.ne .Lconv_s8_8x8_neoni8mm_apart
    subs x2, x2, #1
    b.ne .Lconv_s8_8x8_neoni8mm_tap

.Lconv_s8_8x8_neoni8mm_end:
    TO_PIXELS 24, 25, 26, 27, 28, 29, 30, 31
    TO_PIXELS 20, 21, 22, 23, 24, 25, 26, 27
    TO_PIXELS 16, 17, 18, 19, 20, 21, 22, 23
    TO_PIXELS 0, 1, 2, 3, 16, 17, 18, 19
    br x21

    // The pointers of a last tile of x24 pixels; the first one's for those it has not.
.Lconv_s8_8x8_neoni8mm_last_pointers:
    add x16, sp, #LAST_POINTERS
    ldr x8, [x1]
    mov x5, #0
.Lconv_s8_8x8_neoni8mm_next_pointer:
    mov x9, x8
    cmp x5, x24
    b.hs .Lconv_s8_8x8_neoni8mm_pointer_found
    ldr x9, [x1, x5, lsl #3]
.Lconv_s8_8x8_neoni8mm_pointer_found:
    str x9, [x16, x5, lsl #3]
    add x5, x5, #1
    cmp x5, #8
    b.ne .Lconv_s8_8x8_neoni8mm_next_pointer
    b .Lconv_s8_8x8_neoni8mm_pointers

    TILE_END S8, FOLDED, 1
    TILE_END S8, MAGIC, 1
    TILE_END S8, ZERO, 1
    TILE_END F32, MAGIC, 1
    TILE_END F32, ZERO, 1
    TILE_END F16, FOLDED, 1
    TILE_END F16, MAGIC, 1
    TILE_END F16, ZERO, 1
    TILE_END GATED_S8, FOLDED, 0
    TILE_END GATED_S8, ZERO, 0
    TILE_END GATED_F32, MAGIC, 0
    TILE_END GATED_F32, ZERO, 0
    TILE_END GATED_F16, MAGIC, 0
    TILE_END GATED_F16, ZERO, 0
    CURVED_END sigmoid_s8, SIGMOID, S8, ZERO
    CURVED_END sigmoid_f32, SIGMOID, F32, ZERO
    CURVED_END sigmoid_folded, SIGMOID, S8, FOLDED
    CURVED_END sigmoid_f16, SIGMOID, F16, ZERO
    CURVED_END mish_s8, MISH, S8, ZERO
    CURVED_END mish_f32, MISH, F32, ZERO
    CURVED_END mish_folded, MISH, S8, FOLDED
    CURVED_END mish_f16, MISH, F16, ZERO

.Lconv_s8_8x8_neoni8mm_stored:
    subs x24, x24, #8
    b.hi .Lconv_s8_8x8_neoni8mm_tile
    b.eq .Lconv_s8_8x8_neoni8mm_done

    // The values of a last tile of fewer pixels, to their place.
    add x24, x24, #8
    ldp x19, x28, [sp, #LAST_C]
    add x8, sp, #LAST_VALUES
    ldr w14, [x0, #CONV_S8_OUTPUT]
    cmp w14, #CONV_S8_TO_F32
    b.eq .Lconv_s8_8x8_neoni8mm_copy_f32
    cmp w14, #CONV_S8_TO_F16            // or folded
    b.hs .Lconv_s8_8x8_neoni8mm_copy_f16
.Lconv_s8_8x8_neoni8mm_copy_s8:
    ldr d0, [x8], #8
    subs x24, x24, #1
    str d0, [x19], #8
    b.ne .Lconv_s8_8x8_neoni8mm_copy_s8
    b .Lconv_s8_8x8_neoni8mm_done
.Lconv_s8_8x8_neoni8mm_copy_f32:
    ldr q1, [x8, #LAST_QUAD_BYTES]
    ldr q0, [x8], #16
    subs x24, x24, #1
    str q0, [x19], #16
    str q1, [x28], #16
    b.ne .Lconv_s8_8x8_neoni8mm_copy_f32
    b .Lconv_s8_8x8_neoni8mm_done
.Lconv_s8_8x8_neoni8mm_copy_f16:
    ldr q0, [x8], #16
    subs x24, x24, #1
    str q0, [x19], #16
    b.ne .Lconv_s8_8x8_neoni8mm_copy_f16

.Lconv_s8_8x8_neoni8mm_done:
    RESTORE_REGISTERS
    ldp x19, x20, [sp]
    add sp, sp, #FRAME
    .cfi_adjust_cfa_offset -FRAME
    ret
END_FUNCTION conv_s8_8x8_neoni8mm

    CURVE_NUMBERS

END_FILE
