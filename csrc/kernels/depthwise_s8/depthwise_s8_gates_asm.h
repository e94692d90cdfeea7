// clang-format Language: Cpp
// The outputs of the depthwise_s8 kernels with SDOT where values are gated (sums_epilogue.h): hard swish, leaky ReLU.
//
// Registers, besides those of depthwise_s8_asm.h
//   x14 1.5 * 2^23 in four lanes   v10 slope   v14 low, v15 high   v13 the lowest code, where sums are folded
//   w13 for gated outputs: bits GATED_BIT and 0, and which, shifted up by one; for sigmoid and mish CURVED_BIT too
#ifndef EDGEDEPLOY_KERNELS_DEPTHWISE_S8_GATES_ASM_H_
#define EDGEDEPLOY_KERNELS_DEPTHWISE_S8_GATES_ASM_H_

#include "kernels/depthwise_s8/depthwise_s8_asm.h"

#define GATED_BIT 3
#define GATED_F32_BIT 1
#define GATED_FOLDED_BIT 2
#define CURVED_BIT 4
#define MISH_BIT 5

// clang-format off
// Follows LOAD_CONSTANTS and LOAD_VALUES. Takes x17.
.macro MARK_GATED magic
    ldr w14, [x0, #DEPTHWISE_S8_GATED]
    mov w17, #(1 << GATED_BIT | 1)
    orr w17, w17, w13, lsl #1
    cmp w14, #0
    csel w13, w17, w13, ne
    lsr w17, w14, #1                    // 1 for DEPTHWISE_S8_GATED_SIGMOID and the next one, mish
    and w14, w14, w17
    orr w13, w13, w17, lsl #CURVED_BIT
    orr w13, w13, w14, lsl #MISH_BIT
    adr x14, \magic
.endm

.macro GATE_CONSTANTS
    ldp q14, q15, [x0, #DEPTHWISE_S8_GATE_LOW]  // and high
    ldr q10, [x0, #DEPTHWISE_S8_GATE_SLOPE]
.endm

.macro LOWEST_GATED register
    movi v\register\().16b, #DEPTHWISE_S8_LOWEST_GATED
.endm

// Values to t0 and t1, their gates to their sums' registers.
.macro GATES a0, a1, t0, t1
    ldp q\t0, q\t1, [x8]
    fmla v\t0\().4s, v\a0\().4s, v11.4s
    fmla v\t1\().4s, v\a1\().4s, v12.4s
    ldr q\a0, [x0, #DEPTHWISE_S8_GATE_OFFSET]
    ldr q\a1, [x0, #DEPTHWISE_S8_GATE_OFFSET]
    fmla v\a0\().4s, v\t0\().4s, v10.4s
    fmla v\a1\().4s, v\t1\().4s, v10.4s
    fmax v\a0\().4s, v\a0\().4s, v14.4s
    fmax v\a1\().4s, v\a1\().4s, v14.4s
    fmin v\a0\().4s, v\a0\().4s, v15.4s
    fmin v\a1\().4s, v\a1\().4s, v15.4s
.endm

// Two outputs' sums, floats already, to 16 codes in `codes`. Takes `free` and t0-t3, of which `codes` may be t0.
.macro PAIR_TO_GATED_FOLDED a0, a1, a2, a3, codes, t0, t1, t2, t3, free
    GATES \a0, \a1, \t0, \t1
    GATES \a2, \a3, \t2, \t3
    ldr q\free, [x14]
    fmla v\free\().4s, v\t0\().4s, v\a0\().4s
    ldr q\t0, [x14]
    fmla v\t0\().4s, v\t1\().4s, v\a1\().4s
    ldr q\t1, [x14]
    fmla v\t1\().4s, v\t2\().4s, v\a2\().4s
    ldr q\t2, [x14]
    fmla v\t2\().4s, v\t3\().4s, v\a3\().4s
    uzp1 v\free\().8h, v\free\().8h, v\t0\().8h
    uzp1 v\t1\().8h, v\t1\().8h, v\t2\().8h
    sqxtn v\codes\().8b, v\free\().8h
    sqxtn2 v\codes\().16b, v\t1\().8h
    smax v\codes\().16b, v\codes\().16b, v13.16b
.endm

.macro FLOATS a0, a1
    fsub v\a0\().4s, v\a0\().4s, v13.4s
    fsub v\a1\().4s, v\a1\().4s, v13.4s
.endm

// The same of other sums, in fixed point.
.macro PAIR_TO_GATED_S8 a0, a1, a2, a3, codes, t0, t1, t2, t3, free
    FLOATS \a0, \a1
    FLOATS \a2, \a3
    GATES \a0, \a1, \t0, \t1
    GATES \a2, \a3, \t2, \t3
    TO_GATED_FIXED \free, \t0, \a0
    TO_GATED_FIXED \t0, \t1, \a1
    TO_GATED_FIXED \t1, \t2, \a2
    TO_GATED_FIXED \t2, \t3, \a3
    uzp2 v\free\().8h, v\free\().8h, v\t0\().8h
    uzp2 v\t1\().8h, v\t1\().8h, v\t2\().8h
    uzp2 v\codes\().16b, v\free\().16b, v\t1\().16b
    LOWEST_GATED \free
    smax v\codes\().16b, v\codes\().16b, v\free\().16b
.endm

.macro TO_GATED_FIXED into, t, gate
    fmov v\into\().4s, #0.5
    fmla v\into\().4s, v\t\().4s, v\gate\().4s
    fcvtzs v\into\().4s, v\into\().4s, #24
.endm

// One output's sums to floats, stored.
.macro STORE_GATED_F32 a0, a1, t0, t1
    FLOATS \a0, \a1
    GATES \a0, \a1, \t0, \t1
    fmul v\t0\().4s, v\t0\().4s, v\a0\().4s
    fmul v\t1\().4s, v\t1\().4s, v\a1\().4s
    st1 {v\t0\().4s}, [x10], #16
    st1 {v\t1\().4s}, [x11], #16
.endm
// clang-format on

#endif  // EDGEDEPLOY_KERNELS_DEPTHWISE_S8_GATES_ASM_H_
