// clang-format Language: Cpp
// Sigmoid and mish in the registers of all kernels in assembly: sums_curves_ref.h's operations on four vectors, which
// take turns, so that the latencies of one are behind the work of the others.
//
// A file that includes this emits CURVE_NUMBERS within a megabyte and defines
//   LOAD_GATE offset, register   of SumsGate's field at that offset
//
// Registers, 18 of them, numbers without the v:
//   t0-t3  the values; then the first factors
//   y0-y3  x, then the polynomial; free in the end
//   z0-z3  the power of two; then the second factors
//   f0-f3  what is left of the exponent, then the reciprocal; free in the end
//   x, k   a constant each; free in the end
// Constants come from memory, where they cost no ASIMD pipe: FMLA needs a copy of what it adds to. A step of the
// polynomial writes to the register that the vector before has left.
#ifndef EDGEDEPLOY_KERNELS_SUMS_CURVES_ASM_H_
#define EDGEDEPLOY_KERNELS_SUMS_CURVES_ASM_H_

#include "kernels/sums_curves.h"

// clang-format off
.macro CURVE_NUMBER name, bits
.Lcurve_\name:
    .fill 4, 4, \bits
.endm

.macro CURVE_NUMBERS
    .p2align 4
    CURVE_NUMBER c0, CURVE_C0_BITS
    CURVE_NUMBER c1, CURVE_C1_BITS
    CURVE_NUMBER c2, CURVE_C2_BITS
    CURVE_NUMBER c3, CURVE_C3_BITS
    CURVE_NUMBER c4, CURVE_C4_BITS
    CURVE_NUMBER k1, CURVE_K1_BITS
    CURVE_NUMBER k2, CURVE_K2_BITS
    CURVE_NUMBER middle, CURVE_MIDDLE_BITS
    CURVE_NUMBER reciprocal, CURVE_RECIPROCAL_BITS
    CURVE_NUMBER two, 0x40000000
    CURVE_NUMBER half, 0x3f000000       // What codes are added to, rounded down after it
    CURVE_NUMBER code, 0x4b400000       // or, folded, to 1.5 * 2^23.
    CURVE_NUMBER lowest, 0x81818181     // of codes: -127
.endm

// a_i = op b_i, c_i, or of a single c.
.macro ON_FOUR op, a0, a1, a2, a3, b0, b1, b2, b3, c0, c1, c2, c3
    \op v\a0\().4s, v\b0\().4s, v\c0\().4s
    \op v\a1\().4s, v\b1\().4s, v\c1\().4s
    \op v\a2\().4s, v\b2\().4s, v\c2\().4s
    \op v\a3\().4s, v\b3\().4s, v\c3\().4s
.endm

.macro ON_FOUR_AND op, a0, a1, a2, a3, b0, b1, b2, b3, c
    ON_FOUR \op, \a0, \a1, \a2, \a3, \b0, \b1, \b2, \b3, \c, \c, \c, \c
.endm

.macro TO_FIXED_FOUR a0, a1, a2, a3
    fcvtzs v\a0\().4s, v\a0\().4s, #24
    fcvtzs v\a1\().4s, v\a1\().4s, #24
    fcvtzs v\a2\().4s, v\a2\().4s, #24
    fcvtzs v\a3\().4s, v\a3\().4s, #24
.endm

.macro LOAD_FOUR name, a0, a1, a2, a3
    ldr q\a0, .Lcurve_\name
    ldr q\a1, .Lcurve_\name
    ldr q\a2, .Lcurve_\name
    ldr q\a3, .Lcurve_\name
.endm

// p_i * f_i + the number: to the register before p_i's, the first one's to `free`, so that p3's is free then.
.macro HORNER name, p0, p1, p2, p3, f0, f1, f2, f3, free
    ldr q\free, .Lcurve_\name
    fmla v\free\().4s, v\p0\().4s, v\f0\().4s
    ldr q\p0, .Lcurve_\name
    fmla v\p0\().4s, v\p1\().4s, v\f1\().4s
    ldr q\p1, .Lcurve_\name
    fmla v\p1\().4s, v\p2\().4s, v\f2\().4s
    ldr q\p2, .Lcurve_\name
    fmla v\p2\().4s, v\p3\().4s, v\f3\().4s
.endm

// 2^f to y2, y3, x and y0, and 2^whole to z.
.macro POWERS y0, y1, y2, y3, z0, z1, z2, z3, f0, f1, f2, f3, x
    ldr q\x, .Lcurve_c4
    LOAD_FOUR c3, \y0, \y1, \y2, \y3
    ON_FOUR_AND fmla, \y0, \y1, \y2, \y3, \f0, \f1, \f2, \f3, \x
    HORNER c2, \y0, \y1, \y2, \y3, \f0, \f1, \f2, \f3, \x
    HORNER c1, \x, \y0, \y1, \y2, \f0, \f1, \f2, \f3, \y3
    HORNER c0, \y3, \x, \y0, \y1, \f0, \f1, \f2, \f3, \y2
    shl v\z0\().4s, v\z0\().4s, #23
    shl v\z1\().4s, v\z1\().4s, #23
    shl v\z2\().4s, v\z2\().4s, #23
    shl v\z3\().4s, v\z3\().4s, #23
.endm

// The two factors of d's reciprocal to r and c, for which k serves.
.macro RECIPROCALS d0, d1, d2, d3, r0, r1, r2, r3, c0, c1, c2, c3, k
    ldr q\k, .Lcurve_reciprocal
    ON_FOUR sub, \r0, \r1, \r2, \r3, \k, \k, \k, \k, \d0, \d1, \d2, \d3
    LOAD_FOUR k1, \c0, \c1, \c2, \c3
    ON_FOUR fmls, \c0, \c1, \c2, \c3, \d0, \d1, \d2, \d3, \r0, \r1, \r2, \r3
    ON_FOUR fmul, \r0, \r1, \r2, \r3, \r0, \r1, \r2, \r3, \c0, \c1, \c2, \c3
    LOAD_FOUR k2, \c0, \c1, \c2, \c3
    ON_FOUR fmls, \c0, \c1, \c2, \c3, \d0, \d1, \d2, \d3, \r0, \r1, \r2, \r3
.endm

.macro CLAMP_ARGUMENTS t0, t1, t2, t3, y0, y1, y2, y3, x, k
    LOAD_GATE SUMS_GATE_LOW, \x
    LOAD_GATE SUMS_GATE_HIGH, \k
    ON_FOUR_AND fmax, \y0, \y1, \y2, \y3, \t0, \t1, \t2, \t3, \x
    ON_FOUR_AND fmin, \y0, \y1, \y2, \y3, \y0, \y1, \y2, \y3, \k
.endm

.macro CURVE_SIGMOID t0, t1, t2, t3, y0, y1, y2, y3, z0, z1, z2, z3, f0, f1, f2, f3, x, k
    CLAMP_ARGUMENTS \t0, \t1, \t2, \t3, \y0, \y1, \y2, \y3, \x, \k
    ldr q\k, .Lcurve_middle
    ON_FOUR_AND fadd, \z0, \z1, \z2, \z3, \y0, \y1, \y2, \y3, \k
    ON_FOUR_AND fsub, \f0, \f1, \f2, \f3, \z0, \z1, \z2, \z3, \k
    ON_FOUR fsub, \f0, \f1, \f2, \f3, \y0, \y1, \y2, \y3, \f0, \f1, \f2, \f3
    POWERS \y0, \y1, \y2, \y3, \z0, \z1, \z2, \z3, \f0, \f1, \f2, \f3, \x
    LOAD_GATE SUMS_GATE_OFFSET, \k
    LOAD_GATE SUMS_GATE_OFFSET, \f1
    LOAD_GATE SUMS_GATE_OFFSET, \f2
    LOAD_GATE SUMS_GATE_OFFSET, \f3
    ON_FOUR fmla, \k, \f1, \f2, \f3, \y2, \y3, \x, \y0, \z0, \z1, \z2, \z3
    RECIPROCALS \k, \f1, \f2, \f3, \t0, \t1, \t2, \t3, \z0, \z1, \z2, \z3, \x
.endm

.macro CURVE_MISH t0, t1, t2, t3, y0, y1, y2, y3, z0, z1, z2, z3, f0, f1, f2, f3, x, k
    CLAMP_ARGUMENTS \t0, \t1, \t2, \t3, \y0, \y1, \y2, \y3, \x, \k
    LOAD_GATE SUMS_GATE_SLOPE, \x
    ldr q\k, .Lcurve_middle
    LOAD_FOUR middle, \z0, \z1, \z2, \z3
    ON_FOUR_AND fmla, \z0, \z1, \z2, \z3, \y0, \y1, \y2, \y3, \x
    ON_FOUR fsub, \f0, \f1, \f2, \f3, \k, \k, \k, \k, \z0, \z1, \z2, \z3
    ON_FOUR_AND fmla, \f0, \f1, \f2, \f3, \y0, \y1, \y2, \y3, \x
    POWERS \y0, \y1, \y2, \y3, \z0, \z1, \z2, \z3, \f0, \f1, \f2, \f3, \x
    ldr q\k, .Lcurve_two
    // e, n and n + 2, of which n stays in y2, y3, x and y0
    ON_FOUR fmul, \y2, \y3, \x, \y0, \y2, \y3, \x, \y0, \z0, \z1, \z2, \z3
    ON_FOUR_AND fadd, \z0, \z1, \z2, \z3, \y2, \y3, \x, \y0, \k
    ON_FOUR fmul, \y2, \y3, \x, \y0, \y2, \y3, \x, \y0, \z0, \z1, \z2, \z3
    ON_FOUR_AND fadd, \z0, \z1, \z2, \z3, \y2, \y3, \x, \y0, \k
    // The reciprocal of z in two halves, for which y1 and k are left: f * y1 and f * k
    ldr q\k, .Lcurve_reciprocal
    ON_FOUR sub, \f0, \f1, \f2, \f3, \k, \k, \k, \k, \z0, \z1, \z2, \z3
    .irp number, k1, k2
    NEWTON \number, \z0, \z1, \f0, \f1, \y1, \k
    NEWTON \number, \z2, \z3, \f2, \f3, \y1, \k
    .endr
    ON_FOUR fmul, \z0, \z1, \z2, \z3, \y2, \y3, \x, \y0, \f0, \f1, \f2, \f3
.endm

// A step towards the reciprocals of d0 and d1.
.macro NEWTON name, d0, d1, r0, r1, c0, c1
    ldr q\c0, .Lcurve_\name
    ldr q\c1, .Lcurve_\name
    fmls v\c0\().4s, v\d0\().4s, v\r0\().4s
    fmls v\c1\().4s, v\d1\().4s, v\r1\().4s
    fmul v\r0\().4s, v\r0\().4s, v\c0\().4s
    fmul v\r1\().4s, v\r1\().4s, v\c1\().4s
.endm
// clang-format on

#endif  // EDGEDEPLOY_KERNELS_SUMS_CURVES_ASM_H_
