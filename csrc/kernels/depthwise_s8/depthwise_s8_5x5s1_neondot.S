// header
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

FUNCTION depthwise_s8_5x5s1_neondot
    STEPS depthwise_s8_5x5s1_neondot, 5, 64
    ret
END_FUNCTION depthwise_s8_5x5s1_neondot

    MAGIC .Ldepthwise_s8_5x5s1_neondot_magic

END_FILE
