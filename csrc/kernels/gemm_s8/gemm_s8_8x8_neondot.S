// gemm_s8 with SDOT: a tile of 8 x 8, 4 bytes of k a unit. Formula, packing and ranges: gemm_s8.h.
//
// Layout     A panel: for each unit 8 rows x 4 bytes of k; B panel: for each unit 8 rows (columns of C) x 4 bytes.
// Alignment  none. Over-read none. C: 8 rows of 8 values. k_units >= 1.
// Target     Cortex-A76 (RK3588, Raspberry Pi 5): two ASIMD pipes, SDOT once a cycle on each, two loads a cycle.
//            A unit is 16 SDOT (16 MAC each) and 4 loads: the bound is 256 MAC in 8 cycles, 32 MAC a cycle. Sixteen
//            accumulators give every SDOT eight cycles before its register is needed again (latency 4, forwarded 1).
//            Two units a turn, so that the loop's counting and branch hide behind the SDOTs.
// Reached    16.01 cycles a turn, 31.98 MAC a cycle, as llvm-mca 19 estimates for neoverse-n1, the same core design.
// Source     Arm Cortex-A76 Software Optimization Guide, ASIMD dot product: latency 4(1), throughput 2, pipes V.
//
// Registers
//   x0 params   x1 A   x2 B   x3 units left   x4 C   x5 C's stride   w6 activation   w7 output   x8 scale, then bias
//   v0-v1 v4-v5   A: rows 0-3, 4-7 of the even and of the odd unit; in the epilogue scale and bias
//   v2-v3 v6-v7   B: columns 0-3, 4-7 of the even and of the odd unit; in the epilogue temporaries and constants
//   v16-v31       C: v(16 + 2m) columns 0-3 of row m, v(17 + 2m) columns 4-7
//   v8-v15, x18-x30 are not touched.

#include "asm/aarch64.h"
#include "kernels/gemm_s8/gemm_s8_8x8_asm.h"
#include "kernels/gemm_s8/gemm_s8_offsets.h"

    .arch armv8.2-a+dotprod

// acc[m][0:4], acc[m][4:8] += A[m] . B[0:4], B[4:8], for m = 0..7
.macro MULTIPLY_UNIT a_low, a_high, b_low, b_high
    sdot v16.4s, \b_low\().16b,  \a_low\().4b[0]
    sdot v17.4s, \b_high\().16b, \a_low\().4b[0]
    sdot v18.4s, \b_low\().16b,  \a_low\().4b[1]
    sdot v19.4s, \b_high\().16b, \a_low\().4b[1]
    sdot v20.4s, \b_low\().16b,  \a_low\().4b[2]
    sdot v21.4s, \b_high\().16b, \a_low\().4b[2]
    sdot v22.4s, \b_low\().16b,  \a_low\().4b[3]
    sdot v23.4s, \b_high\().16b, \a_low\().4b[3]
    sdot v24.4s, \b_low\().16b,  \a_high\().4b[0]
    sdot v25.4s, \b_high\().16b, \a_high\().4b[0]
    sdot v26.4s, \b_low\().16b,  \a_high\().4b[1]
    sdot v27.4s, \b_high\().16b, \a_high\().4b[1]
    sdot v28.4s, \b_low\().16b,  \a_high\().4b[2]
    sdot v29.4s, \b_high\().16b, \a_high\().4b[2]
    sdot v30.4s, \b_low\().16b,  \a_high\().4b[3]
    sdot v31.4s, \b_high\().16b, \a_high\().4b[3]
.endm

FUNCTION gemm_s8_8x8_neondot
    ldp x1, x2, [x0, #GEMM_S8_A]
    ldr x3, [x0, #GEMM_S8_K_UNITS]
    ON_ALL ZERO
    subs x3, x3, #2
    b.lo .Lgemm_s8_8x8_neondot_last_unit

.Lgemm_s8_8x8_neondot_two_units:
    ldp q0, q1, [x1]
    ldp q2, q3, [x2]
    subs x3, x3, #2
    MULTIPLY_UNIT v0, v1, v2, v3
    ldp q4, q5, [x1, #32]
    ldp q6, q7, [x2, #32]
    add x1, x1, #64
    add x2, x2, #64
    MULTIPLY_UNIT v4, v5, v6, v7
    b.hs .Lgemm_s8_8x8_neondot_two_units

.Lgemm_s8_8x8_neondot_last_unit:
    tbz x3, #0, .Lgemm_s8_8x8_neondot_epilogue
    ldp q0, q1, [x1]
    ldp q2, q3, [x2]
    MULTIPLY_UNIT v0, v1, v2, v3

.Lgemm_s8_8x8_neondot_epilogue:
    EPILOGUE gemm_s8_8x8_neondot
    ret
END_FUNCTION gemm_s8_8x8_neondot

END_FILE
