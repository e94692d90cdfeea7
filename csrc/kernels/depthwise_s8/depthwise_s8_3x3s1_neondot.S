// header
#include "asm/aarch64.h"
#include "kernels/depthwise_s8/depthwise_s8_asm.h"

    .arch armv8.2-a+dotprod

// v0-v3: sums of outputs x and x + 1, from the windows at x of the three rows.
.macro PAIR_SUMS
    ldp q0, q1, [x9]
    ldp q2, q3, [x9]
    ldp q28, q29, [x1], #32
    ldp q30, q31, [x2], #32
    ldp q8, q9, [x3], #32
    sdot v0.4s, v28.16b, v16.16b
    sdot v1.4s, v29.16b, v18.16b
    sdot v2.4s, v28.16b, v17.16b
    sdot v3.4s, v29.16b, v19.16b
    sdot v0.4s, v30.16b, v20.16b
    sdot v1.4s, v31.16b, v22.16b
    sdot v2.4s, v30.16b, v21.16b
    sdot v3.4s, v31.16b, v23.16b
    sdot v0.4s, v8.16b, v24.16b
    sdot v1.4s, v9.16b, v26.16b
    sdot v2.4s, v8.16b, v25.16b
    sdot v3.4s, v9.16b, v27.16b
.endm

FUNCTION depthwise_s8_3x3s1_neondot
    SAVE_D8_D15
    ldp x4, x5, [x0, #DEPTHWISE_S8_ROWS]
    ldp x1, x2, [x4]
    ldr x3, [x4, #16]
    ld1 {v16.16b, v17.16b, v18.16b, v19.16b}, [x5], #64
    ld1 {v20.16b, v21.16b, v22.16b, v23.16b}, [x5], #64
    ld1 {v24.16b, v25.16b, v26.16b, v27.16b}, [x5]
    LOAD_CONSTANTS .Ldepthwise_s8_3x3s1_neondot_magic
    b.ne .Ldepthwise_s8_3x3s1_neondot_f32

.Ldepthwise_s8_3x3s1_neondot_s8:
    PAIR_SUMS
    PAIR_TO_S8 0, 1, 2, 3, 4, 5, 6, 7
    subs x12, x12, #2
    b.lo .Ldepthwise_s8_3x3s1_neondot_last_s8
    st1 {v4.16b}, [x10], #16
    b.ne .Ldepthwise_s8_3x3s1_neondot_s8
    b .Ldepthwise_s8_3x3s1_neondot_done

.Ldepthwise_s8_3x3s1_neondot_last_s8:
    str d4, [x10]
    b .Ldepthwise_s8_3x3s1_neondot_done

.Ldepthwise_s8_3x3s1_neondot_f32:
    LOAD_VALUES
.Ldepthwise_s8_3x3s1_neondot_f32_pair:
    PAIR_SUMS
    STORE_F32 0, 1, 4, 5
    b.eq .Ldepthwise_s8_3x3s1_neondot_done
    STORE_F32 2, 3, 6, 7
    b.ne .Ldepthwise_s8_3x3s1_neondot_f32_pair

.Ldepthwise_s8_3x3s1_neondot_done:
    RESTORE_D8_D15
    ret
END_FUNCTION depthwise_s8_3x3s1_neondot

    MAGIC .Ldepthwise_s8_3x3s1_neondot_magic

END_FILE
