// depthwise_s8 3x3 of stride 2 on armv8.0: two outputs of 8 channels a step. Formula and ranges: depthwise_s8.h;
// prepared rows and packed weights: depthwise_s8_neon.cpp; registers, products and epilogue: depthwise_s8_neon_asm.h.
//
// Layout     rows: padded pixels, 8 bytes each; weights: for each tap its 8 channels, twice.
// Alignment  none. Over-read none: rows hold whole pairs of outputs. An odd last output stores 8 bytes.
// Target     Cortex-A72: one pipe multiplies, either does the rest. A step is 18 multiplications, 20 SADDW and, with
//            folded offsets, 16 turns of the epilogue, where FMLA of four floats takes two: 54 turns, 27 cycles, 13.5
//            an output. The multiplications alone are 18 cycles, 8 MAC a cycle.
// Reached    29.4 cycles a step, 14.7 an output, as llvm-mca 19 estimates for cortex-a72; its model is the A57's.
//
// Registers, besides those of depthwise_s8_neon_asm.h
//   x1-x3 rows   x5 weights
//   v16-v24  weights, of tap s of row r in v(16 + 3r + s)
//   v29-v31  pixels of the row, two a vector; v31 one

#include "asm/aarch64.h"
#include "kernels/depthwise_s8/depthwise_s8_neon_asm.h"

.macro LOAD_ROWS
    ldp x1, x2, [x7]
    ldr x3, [x7, #16]
    add x7, x7, #16
.endm

.macro PAIR_SUMS
    ldr q29, [x1], #16
    ldr q1, [x9, #16]
    MUL_LO 4, 29, 16
    ldr q0, [x9]
    ldr q30, [x1], #16
    ldr d31, [x1]
    MUL_LO 5, 30, 16
    MLA_HI 4, 29, 17
    MLA_HI 5, 30, 17
    ldr q29, [x2], #16
    MUL_LO 6, 30, 18
    ldr q2, [x9]
    MUL_LO 7, 31, 18
    ADD_HI 1, 4
    ADD_LO 0, 4
    ldr q3, [x9, #16]
    MUL_LO 4, 29, 19
    ADD_LO 2, 5
    ldr q30, [x2], #16
    ldr d31, [x2]
    MLA_HI 4, 29, 20
    MLA_LO 7, 31, 21
    MLA_LO 6, 30, 21
    ADD_HI 3, 5
    ADD_LO 0, 4
    MUL_LO 5, 30, 19
    MLA_HI 5, 30, 20
    ADD_HI 1, 4
    ldr q29, [x3], #16
    ldr q30, [x3], #16
    ldr d31, [x3]
    ADD_LO 2, 5
    ADD_HI 1, 6
    MUL_LO 4, 29, 22
    ADD_HI 3, 5
    ADD_LO 2, 7
    ADD_HI 3, 7
    MUL_LO 5, 30, 22
    MLA_HI 4, 29, 23
    MLA_HI 5, 30, 23
    MUL_LO 7, 31, 24
    ADD_HI 3, 5
    ADD_LO 2, 5
    ADD_HI 3, 7
    ADD_LO 0, 6
    ADD_LO 0, 4
    MUL_LO 6, 30, 24
    ADD_HI 1, 4
    ADD_HI 1, 6
    ADD_LO 2, 7
    ADD_LO 0, 6
.endm

FUNCTION depthwise_s8_3x3s2_neon, 12
    ldp x7, x5, [x0, #DEPTHWISE_S8_ROWS]
    ld1 {v16.16b, v17.16b, v18.16b, v19.16b}, [x5], #64
    ld1 {v20.16b, v21.16b, v22.16b, v23.16b}, [x5], #64
    ldr q24, [x5]
    PAIR_STEPS depthwise_s8_3x3s2_neon
    ret
END_FUNCTION depthwise_s8_3x3s2_neon

    ZEROS depthwise_s8_3x3s2_neon
    GATE_ADDENDS depthwise_s8_3x3s2_neon
    CURVE_NUMBERS

END_FILE
