// depthwise_s8 3x3 of stride 2 on armv8.0: two outputs of 8 channels a step. Formula and ranges: depthwise_s8.h;
// prepared rows and packed weights: depthwise_s8_neon.cpp; products: depthwise_s8_neon_asm.h; epilogue:
// depthwise_s8_asm.h.
//
// Layout     rows: padded pixels, 8 bytes each; weights: for each tap its 8 channels, twice.
// Alignment  none. Over-read none: rows hold whole pairs of outputs. An odd last output stores 8 bytes.
// Target     Cortex-A72: one pipe multiplies, either does the rest. A step is 18 multiplications, 20 SADDW and 32 turns
//            of the epilogue, where FSUB, FMLA and FCVTZS of four floats take two: 70 turns, 35 cycles, 17.5 an output.
//            The multiplications alone are 18 cycles, 8 MAC a cycle.
// Reached    39.2 cycles a step, 19.6 an output, as llvm-mca 19 estimates for cortex-a72. Its model is the A57's; it
//            deals the operations of both pipes out evenly, though one of them has the multiplications already.
// Range      SMULL + SMLAL put two products into 16 bits: 2 * 128 * 127 = 32512, hence weights in [-127, 127].
//
// Registers, besides those of depthwise_s8_asm.h
//   x1-x3 rows   x4 pointers to rows   x5 weights
//   v0-v3    sums: output 0 channels 0-3, 4-7, output 1 likewise
//   v4-v7    products; in the epilogue temporaries
//   v16-v24  weights, of tap s of row r in v(16 + 3r + s)
//   v28-v30  pixels of the row, two a vector
//   x18-x30 are not touched.

#include "asm/aarch64.h"
#include "kernels/depthwise_s8/depthwise_s8_neon_asm.h"

// A row. start: START_SUMS or ADD_SUMS; last: MUL or MLA, the last tap goes into v6 and v7 with another row's.
.macro ROW row, start, last, w0, w1, w2
    ldp q28, q29, [\row], #32
    ldr d30, [\row]
    MUL_LO 4, 28, \w0
    MUL_LO 5, 29, \w0
    MLA_HI 4, 28, \w1
    MLA_HI 5, 29, \w1
    \last\()_LO 6, 29, \w2
    \last\()_LO 7, 30, \w2
    \start 0, 1, 4
    \start 2, 3, 5
.endm

.macro PAIR_SUMS
    ROW x1, START_SUMS, MUL, 16, 17, 18
    ROW x2, ADD_SUMS, MLA, 19, 20, 21
    ADD_SUMS 0, 1, 6
    ADD_SUMS 2, 3, 7
    ROW x3, ADD_SUMS, MUL, 22, 23, 24
    ADD_SUMS 0, 1, 6
    ADD_SUMS 2, 3, 7
.endm

FUNCTION depthwise_s8_3x3s2_neon
    SAVE_D8_D15
    ldp x4, x5, [x0, #DEPTHWISE_S8_ROWS]
    ldp x1, x2, [x4]
    ldr x3, [x4, #16]
    ld1 {v16.16b, v17.16b, v18.16b, v19.16b}, [x5], #64
    ld1 {v20.16b, v21.16b, v22.16b, v23.16b}, [x5], #64
    ldr q24, [x5]
    PAIR_STEPS depthwise_s8_3x3s2_neon, PAIR_TO_S8_SHRN
    RESTORE_D8_D15
    ret
END_FUNCTION depthwise_s8_3x3s2_neon

    MAGIC .Ldepthwise_s8_3x3s2_neon_magic

END_FILE
