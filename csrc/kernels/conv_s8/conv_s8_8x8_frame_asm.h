// clang-format Language: Cpp
// How conv_s8_8x8_neondot and conv_s8_8x8_neoni8mm begin and end: what of the caller's they keep at sp, and the params.
// x19 and x20 lie at sp, which each kernel stores itself, with its own frame.
#ifndef EDGEDEPLOY_KERNELS_CONV_S8_8X8_FRAME_ASM_H_
#define EDGEDEPLOY_KERNELS_CONV_S8_8X8_FRAME_ASM_H_

#include "kernels/conv_s8/conv_s8_offsets.h"

#define SAVED_BYTES 144
#define ONE_AND_A_HALF_TIMES_2_TO_23 0x4b400000
#define MAX_STEPS_BELOW_2_TO_22 32

// clang-format off
.macro SAVE_REGISTERS
    stp x21, x22, [sp, #16]
    stp x23, x24, [sp, #32]
    stp x25, x26, [sp, #48]
    stp x27, x28, [sp, #64]
    stp d8, d9, [sp, #80]
    stp d10, d11, [sp, #96]
    stp d12, d13, [sp, #112]
    stp d14, d15, [sp, #128]
.endm

.macro RESTORE_REGISTERS
    ldp d14, d15, [sp, #128]
    ldp d12, d13, [sp, #112]
    ldp d10, d11, [sp, #96]
    ldp d8, d9, [sp, #80]
    ldp x27, x28, [sp, #64]
    ldp x25, x26, [sp, #48]
    ldp x23, x24, [sp, #32]
    ldp x21, x22, [sp, #16]
.endm

// b: the register of B. Scales to v8 and v9, what C's elements are to w14.
.macro LOAD_PARAMS b
    ldp x8, x25, [x0, #CONV_S8_SCALE]
    ldp x22, x7, [x0, #CONV_S8_TAPS]
    ldp \b, x24, [x0, #CONV_S8_B]       // and pixels
    ldr x1, [x0, #CONV_S8_A]
    ldr x6, [x0, #CONV_S8_A_GROUP_STRIDE_BYTES]
    ldp x19, x28, [x0, #CONV_S8_C]      // and C's quad stride
    ldr w14, [x0, #CONV_S8_OUTPUT]
    ldr w15, [x0, #CONV_S8_GATED]
    ldp q8, q9, [x8]
    add x28, x28, x19
.endm

// Flags: Z set where sums may reach 2^22 and have to start at zero.
.macro ASK_FOR_LONG_SUMS
    mul x4, x22, x7
    ldr w11, [x0, #CONV_S8_SHORT_SUMS]
    cmp x4, #MAX_STEPS_BELOW_2_TO_22
    ccmp w11, #0, #0, hi
.endm

.macro LIMIT_CODES
    add x12, x0, #CONV_S8_LOW_CODE
    add x13, x0, #CONV_S8_HIGH_CODE
    ld1r {v10.16b}, [x12]
    ld1r {v11.16b}, [x13]
.endm

.macro LIMIT_VALUES
    add x10, x0, #CONV_S8_LOW_VALUE
    add x11, x0, #CONV_S8_HIGH_VALUE
    ld1r {v10.4s}, [x10]
    ld1r {v11.4s}, [x11]
.endm
// clang-format on

#endif  // EDGEDEPLOY_KERNELS_CONV_S8_8X8_FRAME_ASM_H_
