// depthwise_s8 5x5 of stride 1 on armv8.0: two outputs of 8 channels a step. Formula and ranges: depthwise_s8.h;
// prepared rows and packed weights: depthwise_s8_neon.cpp; products: depthwise_s8_neon_asm.h; epilogue:
// depthwise_s8_asm.h.
//
// Layout     rows: padded pixels, 8 bytes each; weights: for each tap its 8 channels, twice.
// Alignment  none. Over-read none: rows hold whole pairs of outputs. An odd last output stores 8 bytes.
// Target     Cortex-A72: one pipe multiplies, either does the rest. A step is 50 multiplications, 52 SADDW and 32
//            turns of the epilogue, where FSUB, FMLA and FCVTZS of four floats take two: 134 turns, 67 cycles, 33.5 an
//            output. The multiplications alone are 50 cycles, 8 MAC a cycle.
// Reached    83.1 cycles a step, 41.6 an output, as llvm-mca 19 estimates for cortex-a72. Its model is the A57's; it
//            deals the operations of both pipes out evenly, though one of them has the multiplications already.
// Range      SMULL + SMLAL put two products into 16 bits: 2 * 128 * 127 = 32512, hence weights in [-127, 127].
//
// Registers, besides those of depthwise_s8_asm.h
//   x1-x5 rows   x6 weights   x7 weights of the row
//   v0-v3    sums: output 0 channels 0-3, 4-7, output 1 likewise
//   v4-v9    products; v4-v7 in the epilogue temporaries
//   v16-v20  weights of the row
//   v28-v30  pixels of the row, two a vector
//   x18-x30 are not touched.

#include "asm/aarch64.h"
#include "kernels/depthwise_s8/depthwise_s8_neon_asm.h"

// A row. start: START_SUMS or ADD_SUMS; last: MUL or MLA, the last tap goes into v6 and v7 with another row's.
.macro ROW row, start, last
    ldr q30, [\row, #32]
    ldp q28, q29, [\row], #16
    ldp q16, q17, [x7], #32
    ldp q18, q19, [x7], #32
    ldr q20, [x7], #16
    MUL_LO 4, 28, 16
    MUL_HI 5, 28, 16
    MLA_HI 4, 28, 17
    MLA_LO 5, 29, 17
    MUL_LO 8, 29, 18
    MUL_HI 9, 29, 18
    MLA_HI 8, 29, 19
    MLA_LO 9, 30, 19
    \last\()_LO 6, 30, 20
    \last\()_HI 7, 30, 20
    \start 0, 1, 4
    \start 2, 3, 5
    ADD_SUMS 0, 1, 8
    ADD_SUMS 2, 3, 9
.endm

.macro PAIR_SUMS
    mov x7, x6
    ROW x1, START_SUMS, MUL
    ROW x2, ADD_SUMS, MLA
    ADD_SUMS 0, 1, 6
    ADD_SUMS 2, 3, 7
    ROW x3, ADD_SUMS, MUL
    ROW x4, ADD_SUMS, MLA
    ADD_SUMS 0, 1, 6
    ADD_SUMS 2, 3, 7
    ROW x5, ADD_SUMS, MUL
    ADD_SUMS 0, 1, 6
    ADD_SUMS 2, 3, 7
.endm

FUNCTION depthwise_s8_5x5s1_neon
    SAVE_D8_D15
    ldp x5, x6, [x0, #DEPTHWISE_S8_ROWS]
    ldp x1, x2, [x5]
    ldp x3, x4, [x5, #16]
    ldr x5, [x5, #32]
    PAIR_STEPS depthwise_s8_5x5s1_neon, PAIR_TO_S8_SHRN
    RESTORE_D8_D15
    ret
END_FUNCTION depthwise_s8_5x5s1_neon

    MAGIC .Ldepthwise_s8_5x5s1_neon_magic

END_FILE
