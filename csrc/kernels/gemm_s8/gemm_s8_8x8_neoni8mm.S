// gemm_s8 with SMMLA: a tile of 8 x 8, 8 bytes of k a unit. Formula, packing and ranges: gemm_s8.h.
//
// Layout     A panel: for each unit 8 rows x 8 bytes of k; B panel: for each unit 8 rows (columns of C) x 8 bytes.
// Alignment  none. Over-read none. C: 8 rows of 8 values. k_units >= 1.
// Target     Cores with SMMLA on two ASIMD pipes (Cortex-A710, Neoverse N2): once a cycle on each, 32 MAC.
//            A unit is 16 SMMLA and 4 pairs of loads: the bound is 512 MAC in 8 cycles, 64 MAC a cycle.
// Reached    8.01 cycles a unit, 63.9 MAC a cycle, as llvm-mca 19 estimates for neoverse-n2; 4.01 cycles for
//            neoverse-v1, which has four such pipes.
// Source     Arm Neoverse N2 Software Optimization Guide, ASIMD matrix multiply-accumulate: latency 3(1), throughput 2.
//
// Registers
//   x0 params   x1 A   x2 B   x3 units left; in the epilogue those of gemm_s8_8x8_asm.h
//   v4-v7         A: rows 0-1, 2-3, 4-5, 6-7
//   v28-v31       B: columns 0-1, 2-3, 4-5, 6-7
//   v0-v3, v16-v27    sums: of two rows four registers, two columns each
//   v8-v15, x18-x30 are not touched.

#include "asm/aarch64.h"
#include "kernels/gemm_s8/gemm_s8_8x8_asm.h"
#include "kernels/gemm_s8/gemm_s8_offsets.h"

    .arch armv8.2-a+i8mm

.macro MULTIPLY rows, s0, s1, s2, s3
    smmla v\s0\().4s, v\rows\().16b, v28.16b
    smmla v\s1\().4s, v\rows\().16b, v29.16b
    smmla v\s2\().4s, v\rows\().16b, v30.16b
    smmla v\s3\().4s, v\rows\().16b, v31.16b
.endm

// Sums of two rows x columns 0-1, 2-3, 4-5 and 6-7 to both rows' columns 0-3 and 4-7.
.macro TO_ROWS s0, s1, s2, s3, first_low, first_high, second_low, second_high
    zip1 v\first_low\().2d, v\s0\().2d, v\s1\().2d
    zip1 v\first_high\().2d, v\s2\().2d, v\s3\().2d
    zip2 v\second_low\().2d, v\s0\().2d, v\s1\().2d
    zip2 v\second_high\().2d, v\s2\().2d, v\s3\().2d
.endm

FUNCTION gemm_s8_8x8_neoni8mm
    ldp x1, x2, [x0, #GEMM_S8_A]
    ldr x3, [x0, #GEMM_S8_K_UNITS]
    .irp acc, v0, v1, v2, v3, v16, v17, v18, v19, v20, v21, v22, v23, v24, v25, v26, v27
    ZERO \acc
    .endr

.Lgemm_s8_8x8_neoni8mm_unit:
    ldp q4, q5, [x1]
    ldp q6, q7, [x1, #32]
    ldp q28, q29, [x2]
    ldp q30, q31, [x2, #32]
    add x1, x1, #64
    add x2, x2, #64
    subs x3, x3, #1
    MULTIPLY 4, 0, 1, 2, 3
    MULTIPLY 5, 16, 17, 18, 19
    MULTIPLY 6, 20, 21, 22, 23
    MULTIPLY 7, 24, 25, 26, 27
    b.ne .Lgemm_s8_8x8_neoni8mm_unit

    TO_ROWS 24, 25, 26, 27, 28, 29, 30, 31
    TO_ROWS 20, 21, 22, 23, 24, 25, 26, 27
    TO_ROWS 16, 17, 18, 19, 20, 21, 22, 23
    TO_ROWS 0, 1, 2, 3, 16, 17, 18, 19
    EPILOGUE gemm_s8_8x8_neoni8mm
    ret
END_FUNCTION gemm_s8_8x8_neoni8mm

END_FILE
