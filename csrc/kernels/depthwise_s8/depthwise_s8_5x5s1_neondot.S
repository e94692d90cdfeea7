// depthwise_s8 5x5 of stride 1 with SDOT: eight outputs of 8 channels a step. Formula and ranges: depthwise_s8.h;
// prepared rows and packed weights: depthwise_s8_neondot.cpp; steps, registers and epilogue: depthwise_s8_quads_asm.h.
//
// Layout     rows: quads of 4 pixels, 32 bytes. Output 4j + i starts at pixel i of quad j and takes, for i = 0..3,
//            [w0 w1 w2 w3] [0 w0 w1 w2] [0 0 w0 w1] [0 0 0 w0] of it and of the next quad
//            [w4 0 0 0]    [w3 w4 0 0]   [w2 w3 w4 0] [w1 w2 w3 w4]: eight vectors, the weights of each row, in pairs,
//            for channels 0-3, then 4-7.
// Alignment  none. Over-read none: rows hold whole steps of four outputs and the quad after them.
// Target     Cortex-A76: two ASIMD pipes, SDOT once a cycle on each, two loads a cycle. A step with folded offsets is
//            160 SDOT and 42 turns of the epilogue (see 3x3s1): 101 cycles, 12.6 an output. Weights do not fit into
//            registers; with eight outputs a step each is loaded once for two SDOTs, which the load pipes can do.
// Reached    103.5 cycles a step, 12.9 an output, as llvm-mca 19 estimates for neoverse-n1, the same core design.
// Source     Arm Cortex-A76 Software Optimization Guide, ASIMD dot product: latency 4(1), throughput 2, pipes V.
//
// Registers, besides: v0-v2 the quads, v3-v10 the weights, each of four channels

#include "asm/aarch64.h"
#include "kernels/depthwise_s8/depthwise_s8_quads_asm.h"

    .arch armv8.2-a+dotprod

.macro LOW_CHANNELS outputs
    ldr q0, [x6, #0]
    ldr q1, [x6, #32]
    ldp q3, q4, [x7], #32
    ldp q5, q6, [x7], #32
    ldp q7, q8, [x7], #32
    ldp q9, q10, [x7], #32
    sdot v16.4s, v0.16b, v3.16b
    sdot v18.4s, v0.16b, v5.16b
    sdot v20.4s, v0.16b, v7.16b
    sdot v22.4s, v0.16b, v9.16b
    sdot v16.4s, v1.16b, v4.16b
    sdot v18.4s, v1.16b, v6.16b
    sdot v20.4s, v1.16b, v8.16b
    sdot v22.4s, v1.16b, v10.16b
    .if \outputs == 8
    ldr q2, [x6, #64]
    sdot v24.4s, v1.16b, v3.16b
    sdot v26.4s, v1.16b, v5.16b
    sdot v28.4s, v1.16b, v7.16b
    sdot v30.4s, v1.16b, v9.16b
    sdot v24.4s, v2.16b, v4.16b
    sdot v26.4s, v2.16b, v6.16b
    sdot v28.4s, v2.16b, v8.16b
    sdot v30.4s, v2.16b, v10.16b
    .endif
.endm

.macro HIGH_CHANNELS outputs
    ldr q0, [x6, #16]
    ldr q1, [x6, #48]
    ldp q3, q4, [x7], #32
    ldp q5, q6, [x7], #32
    ldp q7, q8, [x7], #32
    ldp q9, q10, [x7], #32
    sdot v17.4s, v0.16b, v3.16b
    sdot v19.4s, v0.16b, v5.16b
    sdot v21.4s, v0.16b, v7.16b
    sdot v23.4s, v0.16b, v9.16b
    sdot v17.4s, v1.16b, v4.16b
    sdot v19.4s, v1.16b, v6.16b
    sdot v21.4s, v1.16b, v8.16b
    sdot v23.4s, v1.16b, v10.16b
    .if \outputs == 8
    ldr q2, [x6, #80]
    sdot v25.4s, v1.16b, v3.16b
    sdot v27.4s, v1.16b, v5.16b
    sdot v29.4s, v1.16b, v7.16b
    sdot v31.4s, v1.16b, v9.16b
    sdot v25.4s, v2.16b, v4.16b
    sdot v27.4s, v2.16b, v6.16b
    sdot v29.4s, v2.16b, v8.16b
    sdot v31.4s, v2.16b, v10.16b
    .endif
.endm

.macro ROW outputs
    LOW_CHANNELS \outputs
    HIGH_CHANNELS \outputs
.endm

FUNCTION depthwise_s8_5x5s1_neondot, 12
    STEPS depthwise_s8_5x5s1_neondot, 5, 1, 64
    ret
END_FUNCTION depthwise_s8_5x5s1_neondot

    MAGIC .Ldepthwise_s8_5x5s1_neondot_magic
    CURVE_NUMBERS

END_FILE
