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
#include "kernels/depthwise_s8/depthwise_s8_neon_5x5_asm.h"
#include "kernels/depthwise_s8/depthwise_s8_neon_asm.h"

// A row's products, interleaved with the addition of the row's before it. last: MUL or MLA, the last tap goes into v25
// and v26 with another row's.
.macro ROW r, row, last, a0, a1, b0, b1, add:vararg
    ldr q29, [\row]
    ldr q31, [\row, #32]
    ldr q30, [\row, #16]!
    LOAD_WEIGHTS \r
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

.macro LOAD_ROWS
    ldp x1, x2, [x7]
    ldp x3, x4, [x7, #16]
    ldr x5, [x7, #32]
    add x7, x7, #8
.endm

FUNCTION depthwise_s8_5x5s1_neon, 12
    ldp x7, x6, [x0, #DEPTHWISE_S8_ROWS]
    PAIR_STEPS depthwise_s8_5x5s1_neon, SCALES
    ret
END_FUNCTION depthwise_s8_5x5s1_neon

    ZEROS depthwise_s8_5x5s1_neon
    GATE_ADDENDS depthwise_s8_5x5s1_neon
    CURVE_NUMBERS

END_FILE
