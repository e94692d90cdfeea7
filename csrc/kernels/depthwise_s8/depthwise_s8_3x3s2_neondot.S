// depthwise_s8 3x3 of stride 2 with SDOT: eight outputs of 8 channels a step. Formula and ranges: depthwise_s8.h;
// prepared rows and packed weights: depthwise_s8_neondot.cpp; steps, registers and epilogue: depthwise_s8_quads_asm.h.
//
// Layout     rows: quads of 4 pixels, 32 bytes. Outputs 2j and 2j + 1 start at pixels 0 and 2 of quad j: the first
//            takes [w0 w1 w2 0] of it; the second [0 0 w0 w1] and, of the next quad, [w2 0 0 0]. These three vectors
//            are the weights of each row, for channels 0-3, then 4-7.
// Alignment  none. Over-read none: rows hold whole steps of four outputs and the quad after them.
// Target     Cortex-A76: two ASIMD pipes, SDOT once a cycle on each, two loads a cycle. A step with folded offsets is
//            72 SDOT and 42 turns of the epilogue (see 3x3s1): 57 cycles, 7.1 an output. A window of its own for every
//            output would save 1.5 of them, and cost prepare 2.
// Reached    60.5 cycles a step, 7.6 an output, as llvm-mca 19 estimates for neoverse-n1, the same core design.
// Source     Arm Cortex-A76 Software Optimization Guide, ASIMD dot product: latency 4(1), throughput 2, pipes V.
//
// Registers, besides: v0-v4 the quads, v5-v7 the weights, each of four channels

#include "asm/aarch64.h"
#include "kernels/depthwise_s8/depthwise_s8_quads_asm.h"

    .arch armv8.2-a+dotprod

.macro LOW_CHANNELS outputs
    ldr q0, [x6, #0]
    ldr q1, [x6, #32]
    ldr q2, [x6, #64]
    ldp q5, q6, [x7], #32
    ldr q7, [x7], #16
    sdot v16.4s, v0.16b, v5.16b
    sdot v18.4s, v0.16b, v6.16b
    sdot v20.4s, v1.16b, v5.16b
    sdot v22.4s, v1.16b, v6.16b
    sdot v18.4s, v1.16b, v7.16b
    sdot v22.4s, v2.16b, v7.16b
    .if \outputs == 8
    ldr q3, [x6, #96]
    ldr q4, [x6, #128]
    sdot v24.4s, v2.16b, v5.16b
    sdot v26.4s, v2.16b, v6.16b
    sdot v28.4s, v3.16b, v5.16b
    sdot v30.4s, v3.16b, v6.16b
    sdot v26.4s, v3.16b, v7.16b
    sdot v30.4s, v4.16b, v7.16b
    .endif
.endm

.macro HIGH_CHANNELS outputs
    ldr q0, [x6, #16]
    ldr q1, [x6, #48]
    ldr q2, [x6, #80]
    ldp q5, q6, [x7], #32
    ldr q7, [x7], #16
    sdot v17.4s, v0.16b, v5.16b
    sdot v19.4s, v0.16b, v6.16b
    sdot v21.4s, v1.16b, v5.16b
    sdot v23.4s, v1.16b, v6.16b
    sdot v19.4s, v1.16b, v7.16b
    sdot v23.4s, v2.16b, v7.16b
    .if \outputs == 8
    ldr q3, [x6, #112]
    ldr q4, [x6, #144]
    sdot v25.4s, v2.16b, v5.16b
    sdot v27.4s, v2.16b, v6.16b
    sdot v29.4s, v3.16b, v5.16b
    sdot v31.4s, v3.16b, v6.16b
    sdot v27.4s, v3.16b, v7.16b
    sdot v31.4s, v4.16b, v7.16b
    .endif
.endm

.macro ROW outputs
    LOW_CHANNELS \outputs
    HIGH_CHANNELS \outputs
.endm

FUNCTION depthwise_s8_3x3s2_neondot, 12
    STEPS depthwise_s8_3x3s2_neondot, 3, 2, 128
    ret
END_FUNCTION depthwise_s8_3x3s2_neondot

    MAGIC .Ldepthwise_s8_3x3s2_neondot_magic
    CURVE_NUMBERS

END_FILE
