// clang-format Language: Cpp
// The outputs of the depthwise_s8 kernels with SDOT behind sigmoid or mish (sums_epilogue.h), two at a time.
//
// Registers, besides those of depthwise_s8_asm.h
//   x14 1.5 * 2^23 in four lanes   v13-v15, v8-v10 and what each macro says serve
#ifndef EDGEDEPLOY_KERNELS_DEPTHWISE_S8_CURVES_ASM_H_
#define EDGEDEPLOY_KERNELS_DEPTHWISE_S8_CURVES_ASM_H_

#include "kernels/depthwise_s8/depthwise_s8_gates_asm.h"
#include "kernels/sums_curves_asm.h"

// clang-format off
.macro LOAD_GATE offset, register
    ldr q\register, [x0, #DEPTHWISE_S8_GATE_SLOPE + \offset]
.endm

.macro CURVED_FLOATS_FOLDED a0, a1, a2, a3
.endm

.macro CURVED_FLOATS_S8 a0, a1, a2, a3
    ldr q13, [x14]
    FLOATS \a0, \a1
    FLOATS \a2, \a3
.endm

.macro CURVED_FLOATS_F32 a0, a1, a2, a3
    CURVED_FLOATS_S8 \a0, \a1, \a2, \a3
.endm

// Two outputs' sums a to factors t and z.
.macro CURVED_FACTORS curve, form, a0, a1, a2, a3, t0, t1, t2, t3, z0, z1, z2, z3
    CURVED_FLOATS_\form \a0, \a1, \a2, \a3
    ldp q\t0, q\t1, [x8]
    ldp q\t2, q\t3, [x8]
    ON_FOUR fmla, \t0, \t1, \t2, \t3, \a0, \a1, \a2, \a3, 11, 12, 11, 12
    CURVE_\curve \t0, \t1, \t2, \t3, \a0, \a1, \a2, \a3, \z0, \z1, \z2, \z3, 8, 9, 10, 14, 15, 13
.endm

// Factors to sixteen codes in a0.
.macro CURVED_FOLDED a0, a1, a2, a3, t0, t1, t2, t3, z0, z1, z2, z3
    LOAD_FOUR code, \a0, \a1, \a2, \a3
    ON_FOUR fmla, \a0, \a1, \a2, \a3, \t0, \t1, \t2, \t3, \z0, \z1, \z2, \z3
    uzp1 v\a0\().8h, v\a0\().8h, v\a1\().8h
    uzp1 v\a2\().8h, v\a2\().8h, v\a3\().8h
    ldr q15, .Lcurve_lowest
    sqxtn v\a0\().8b, v\a0\().8h
    sqxtn2 v\a0\().16b, v\a2\().8h
    smax v\a0\().16b, v\a0\().16b, v15.16b
.endm

.macro CURVED_S8 a0, a1, a2, a3, t0, t1, t2, t3, z0, z1, z2, z3
    LOAD_FOUR half, \a0, \a1, \a2, \a3
    ON_FOUR fmla, \a0, \a1, \a2, \a3, \t0, \t1, \t2, \t3, \z0, \z1, \z2, \z3
    TO_FIXED_FOUR \a0, \a1, \a2, \a3
    uzp2 v\a0\().8h, v\a0\().8h, v\a1\().8h
    uzp2 v\a2\().8h, v\a2\().8h, v\a3\().8h
    ldr q15, .Lcurve_lowest
    uzp2 v\a0\().16b, v\a0\().16b, v\a2\().16b
    smax v\a0\().16b, v\a0\().16b, v15.16b
.endm

// Factors to floats in t.
.macro CURVED_F32 a0, a1, a2, a3, t0, t1, t2, t3, z0, z1, z2, z3
    ON_FOUR fmul, \t0, \t1, \t2, \t3, \t0, \t1, \t2, \t3, \z0, \z1, \z2, \z3
.endm

// The kernels that take eight outputs a step: their last two first, so that fewer enter where theirs are.
//   x12 outputs left   x3 where the second one of two goes: of an odd number's last to the first one's place, which is
//   written after it   x4 from C to its channels 4-7
.macro STORE_CURVED_S8 pair, a0
    st1 {v\a0\().d}[1], [x3]
    str d\a0, [x10, #16 * \pair]
    .if \pair
    add x3, x10, #(16 * \pair - 8)
    .endif
.endm

.macro STORE_CURVED_FOLDED pair, a0
    STORE_CURVED_S8 \pair, \a0
.endm

.macro STORE_CURVED_F32 pair, a0
    str q2, [x3]
    str q3, [x3, x4]
    str q0, [x10, #32 * \pair]
    str q1, [x11, #32 * \pair]
    .if \pair
    add x3, x10, #(32 * \pair - 16)
    .endif
.endm

.macro CURVED_OUTPUTS curve, form, pair, a0, a1, a2, a3
    CURVED_FACTORS \curve, \form, \a0, \a1, \a2, \a3, 0, 1, 2, 3, 4, 5, 6, 7
    CURVED_\form \a0, \a1, \a2, \a3, 0, 1, 2, 3, 4, 5, 6, 7
    STORE_CURVED_\form \pair, \a0
.endm

// Of up to eight outputs; `shift` of a value's bytes, a pixel's channels or half of them.
.macro CURVED_STEP name, curve, form, shift
.L\name\()_\curve\()_\form:
    mov x3, #8
    cmp x12, #8
    csel x17, x12, x3, lo
    sub x4, x11, x10
    sub x3, x17, #1
    cmp x3, #2
    add x3, x10, x3, lsl #\shift
    b.lo .L\name\()_\curve\()_\form\()_0
    cmp x17, #4
    b.ls .L\name\()_\curve\()_\form\()_1
    cmp x17, #6
    b.ls .L\name\()_\curve\()_\form\()_2
    CURVED_OUTPUTS \curve, \form, 3, 28, 29, 30, 31
.L\name\()_\curve\()_\form\()_2:
    CURVED_OUTPUTS \curve, \form, 2, 24, 25, 26, 27
.L\name\()_\curve\()_\form\()_1:
    CURVED_OUTPUTS \curve, \form, 1, 20, 21, 22, 23
.L\name\()_\curve\()_\form\()_0:
    CURVED_OUTPUTS \curve, \form, 0, 16, 17, 18, 19
    add x10, x10, x17, lsl #\shift
    .ifc \form, F32
    add x11, x11, x17, lsl #\shift
    .endif
    cmp x12, #8
    b.hs .L\name\()_next_step
    b .L\name\()_next_row
.endm

// What w13 says, and where the outputs go on.
.macro CURVED_STEPS name
.L\name\()_curved:
    tbnz w13, #MISH_BIT, .L\name\()_mish
    tbnz w13, #GATED_F32_BIT, .L\name\()_SIGMOID_F32
    tbz w13, #GATED_FOLDED_BIT, .L\name\()_SIGMOID_S8
    CURVED_STEP \name, SIGMOID, FOLDED, 3
    CURVED_STEP \name, SIGMOID, S8, 3
    CURVED_STEP \name, SIGMOID, F32, 4
.L\name\()_mish:
    tbnz w13, #GATED_F32_BIT, .L\name\()_MISH_F32
    tbz w13, #GATED_FOLDED_BIT, .L\name\()_MISH_S8
    CURVED_STEP \name, MISH, FOLDED, 3
    CURVED_STEP \name, MISH, S8, 3
    CURVED_STEP \name, MISH, F32, 4
.endm
// clang-format on

#endif  // EDGEDEPLOY_KERNELS_DEPTHWISE_S8_CURVES_ASM_H_
