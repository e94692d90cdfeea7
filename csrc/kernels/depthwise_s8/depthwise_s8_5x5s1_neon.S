// depthwise_s8 5x5 of stride 1 on armv8.0: two outputs of 8 channels a step. Formula and ranges: depthwise_s8.h;
// prepared rows and packed weights: depthwise_s8_neon.cpp; registers, products and epilogue: depthwise_s8_neon_asm.h.
//
// Layout     rows: padded pixels, 8 bytes each; weights: for each tap its 8 channels, twice.
// Alignment  none. Over-read none: rows hold whole pairs of outputs. An odd last output stores 8 bytes.
// Target     Cortex-A72: one pipe multiplies, either does the rest. A step is 50 multiplications, 52 SADDW and, with
//            folded offsets, 16 turns of the epilogue, where FMLA of four floats takes two: 118 turns, 59 cycles, 29.5
//            an output. The multiplications alone are 50 cycles, 8 MAC a cycle.
// Reached    68.4 cycles a step, 34.2 an output, as llvm-mca 19 estimates for cortex-a72; its model is the A57's.
//
// Registers, besides those of depthwise_s8_neon_asm.h
//   x1-x5 rows   x6 weights
//   v4-v7, v21-v24    products of pairs of taps, of rows in turns
//   v25-v26  products of the last taps of two rows; in the epilogue scales
//   v16-v20  weights of the row
//   v29-v31  pixels of the row, two a vector

#include "asm/aarch64.h"
#include "kernels/depthwise_s8/depthwise_s8_neon_asm.h"

.macro LOAD_WEIGHT tap, r
    .irp number, 16, 17, 18, 19, 20
    .if \number == 16 + \tap
    ldr q\number, [x6, #(5 * \r + \tap) * 16]
    .endif
    .endr
.endm

// A row's products, interleaved with the addition of the row's before it. last: MUL or MLA, the last tap goes into v25
// and v26 with another row's.
.macro ROW r, row, last, a0, a1, b0, b1, add:vararg
    ldr q29, [\row]
    ldr q31, [\row, #32]
    ldr q30, [\row, #16]!
    .irp tap, 0, 1, 2, 3, 4
    LOAD_WEIGHT \tap, \r
    .endr
    MUL_LO \a0, 29, 16
    \add 0
    MUL_HI \b0, 29, 16
    \add 1
    MLA_HI \a0, 29, 17
    \add 2
    MLA_LO \b0, 30, 17
    \add 3
    MUL_LO \a1, 30, 18
    \add 4
    MUL_HI \b1, 30, 18
    \add 5
    MLA_HI \a1, 30, 19
    \add 6
    MLA_LO \b1, 31, 19
    \add 7
    \last\()_LO 25, 31, 20
    \add 8
    \last\()_HI 26, 31, 20
    \add 9
.endm

.macro ADD_NOTHING turn
.endm

// Turn 0 to 7: the pairs of a row. 8 and 9 add nothing.
.macro ADD_EVEN turn
    ADD_TURN \turn, 4, 5, 6, 7
.endm
.macro ADD_ODD turn
    ADD_TURN \turn, 21, 22, 23, 24
.endm
.macro ADD_TURN turn, a0, a1, b0, b1
    .if \turn == 0
    ADD_LO 0, \a0
    .elseif \turn == 1
    ADD_HI 1, \a0
    .elseif \turn == 2
    ADD_LO 2, \b0
    .elseif \turn == 3
    ADD_HI 3, \b0
    .elseif \turn == 4
    ADD_LO 0, \a1
    .elseif \turn == 5
    ADD_HI 1, \a1
    .elseif \turn == 6
    ADD_LO 2, \b1
    .elseif \turn == 7
    ADD_HI 3, \b1
    .endif
.endm

// The last taps of two rows.
.macro ADD_LAST_TAPS
    ADD_LO 0, 25
    ADD_HI 1, 25
    ADD_LO 2, 26
    ADD_HI 3, 26
.endm

.macro LOAD_ROWS
    ldp x1, x2, [x7]
    ldp x3, x4, [x7, #16]
    ldr x5, [x7, #32]
    add x7, x7, #8
.endm

.macro PAIR_SUMS
    ldr q0, [x9]
    ldr q1, [x9, #16]
    ldr q2, [x9]
    ldr q3, [x9, #16]
    ROW 0, x1, MUL, 4, 5, 6, 7, ADD_NOTHING
    ROW 1, x2, MLA, 21, 22, 23, 24, ADD_EVEN
    ADD_LAST_TAPS
    ROW 2, x3, MUL, 4, 5, 6, 7, ADD_ODD
    ROW 3, x4, MLA, 21, 22, 23, 24, ADD_EVEN
    ADD_LAST_TAPS
    ROW 4, x5, MUL, 4, 5, 6, 7, ADD_ODD
    .irp turn, 0, 1, 2, 3, 4, 5, 6, 7
    ADD_EVEN \turn
    .endr
    ADD_LAST_TAPS
.endm

FUNCTION depthwise_s8_5x5s1_neon, 12
    ldp x7, x6, [x0, #DEPTHWISE_S8_ROWS]
    PAIR_STEPS depthwise_s8_5x5s1_neon, SCALES
    ret
END_FUNCTION depthwise_s8_5x5s1_neon

    ZEROS depthwise_s8_5x5s1_neon

END_FILE
