// The products of winograd_s8 on armv8.0: 4 tiles x 16 channels of one point after the other.
//
//   M[tile][n] = sum over k < 8 * groups of V[tile][k] * U[k][n], modulo 2^32
//
// Layout     winograd_s8.h: V [groups][4][8], U [8 * groups][16], both of 16 bits, M [4][16] of 32.
// Alignment  none. Over-read: of V tiles that a product does not have, up to [groups][4][8].
// Target     Cortex-A72: one pipe multiplies. A step of 8 k is 128 SMLAL (4 MAC each): 128 cycles, 4 MAC a cycle. The
//            sums of a product of four tiles are stored while the next one's first eight k are multiplied.
// Reached    128.2 cycles a step, as llvm-mca 19 estimates for cortex-a72; its model is the A57's.
//
// Registers
//   x0 params   x1 V   x2 M of the product before   x3 U   x4 groups left   x5 products left   x6 product   x7 tiles
//   x8 U's begin   x9 groups   x10 M   x11 spare M, of a product before that is stored already
//   v0-v3    V: 8 k of a tile
//   v4-v7    U: two k of 16 channels
//   v16-v31  sums: v(16 + 4t + q) channels 4q to 4q + 3 of tile t
//   x18-x30, v8-v15 are not touched.

#include "asm/aarch64.h"
#include "kernels/winograd_s8/winograd_s8_offsets.h"

    .arch armv8-a

// Channels of one k of a tile. op: SMLAL, or SMULL for the first k.
.macro MULTIPLY_TILE op, v, lane, low, high, sum0, sum1, sum2, sum3
    \op v\sum0\().4s, \low\().4h, \v\().h[\lane]
    \op\()2 v\sum1\().4s, \low\().8h, \v\().h[\lane]
    \op v\sum2\().4s, \high\().4h, \v\().h[\lane]
    \op\()2 v\sum3\().4s, \high\().8h, \v\().h[\lane]
.endm

// One k of all tiles. before: STORE_TILE where the product before has to make room, or nothing.
.macro MULTIPLY tiles, op, lane, low, high, before
    .if \tiles > 0
    \before v16, v17, v18, v19
    MULTIPLY_TILE \op, v0, \lane, \low, \high, 16, 17, 18, 19
    .endif
    .if \tiles > 1
    \before v20, v21, v22, v23
    MULTIPLY_TILE \op, v1, \lane, \low, \high, 20, 21, 22, 23
    .endif
    .if \tiles > 2
    \before v24, v25, v26, v27
    MULTIPLY_TILE \op, v2, \lane, \low, \high, 24, 25, 26, 27
    .endif
    .if \tiles > 3
    \before v28, v29, v30, v31
    MULTIPLY_TILE \op, v3, \lane, \low, \high, 28, 29, 30, 31
    .endif
.endm

.macro STORE_TILE a, b, c, d
    st1 {\a\().4s, \b\().4s, \c\().4s, \d\().4s}, [x2], #64
.endm

.macro KEEP_TILE a, b, c, d
.endm

.macro LOAD_U
    ld1 {v4.8h, v5.8h, v6.8h, v7.8h}, [x3], #64
.endm

.macro STEP tiles, first_op, before
    ld1 {v0.8h, v1.8h, v2.8h, v3.8h}, [x1], #64
    LOAD_U
    MULTIPLY \tiles, \first_op, 0, v4, v5, \before
    MULTIPLY \tiles, smlal, 1, v6, v7, KEEP_TILE
    .irp lane, 2, 4, 6
    LOAD_U
    MULTIPLY \tiles, smlal, \lane, v4, v5, KEEP_TILE
    MULTIPLY \tiles, smlal, \lane+1, v6, v7, KEEP_TILE
    .endr
.endm

.macro START_PRODUCT
    ldp x1, x10, [x6, #WINOGRAD_S8_PRODUCT_V]
    ldr x3, [x6, #WINOGRAD_S8_PRODUCT_U_BYTES]
    add x6, x6, #WINOGRAD_S8_PRODUCT_BYTES
    add x3, x8, x3
    subs x4, x9, #1
.endm

// A product of fewer tiles, stored at once.
.macro FEW tiles
.Lwinograd_s8_4x16_neon_\tiles:
    START_PRODUCT
    STEP \tiles, smull, KEEP_TILE
    b.eq .Lwinograd_s8_4x16_neon_store_\tiles
.Lwinograd_s8_4x16_neon_step_\tiles:
    subs x4, x4, #1
    STEP \tiles, smlal, KEEP_TILE
    b.ne .Lwinograd_s8_4x16_neon_step_\tiles
.Lwinograd_s8_4x16_neon_store_\tiles:
    mov x2, x10
    STORE_TILE v16, v17, v18, v19
    .if \tiles > 1
    STORE_TILE v20, v21, v22, v23
    .endif
    .if \tiles > 2
    STORE_TILE v24, v25, v26, v27
    .endif
    mov x2, x11
    b .Lwinograd_s8_4x16_neon_next
.endm

FUNCTION winograd_s8_4x16_neon, 12
    ldp x6, x5, [x0, #WINOGRAD_S8_PRODUCTS]
    ldp x8, x9, [x0, #WINOGRAD_S8_U]
    ldr x11, [x0, #WINOGRAD_S8_SPARE]
    mov x2, x11

.Lwinograd_s8_4x16_neon_product:
    ldr x7, [x6, #WINOGRAD_S8_PRODUCT_TILES]
    cmp x7, #4
    b.ne .Lwinograd_s8_4x16_neon_few
    START_PRODUCT
    STEP 4, smull, STORE_TILE
    mov x2, x10
    b.eq .Lwinograd_s8_4x16_neon_next
.Lwinograd_s8_4x16_neon_step:
    subs x4, x4, #1
    STEP 4, smlal, KEEP_TILE
    b.ne .Lwinograd_s8_4x16_neon_step
.Lwinograd_s8_4x16_neon_next:
    subs x5, x5, #1
    b.ne .Lwinograd_s8_4x16_neon_product

    STORE_TILE v16, v17, v18, v19
    STORE_TILE v20, v21, v22, v23
    STORE_TILE v24, v25, v26, v27
    STORE_TILE v28, v29, v30, v31
    b .Lwinograd_s8_4x16_neon_done

.Lwinograd_s8_4x16_neon_few:
    cmp x2, x11
    b.eq .Lwinograd_s8_4x16_neon_stored
    STORE_TILE v16, v17, v18, v19
    STORE_TILE v20, v21, v22, v23
    STORE_TILE v24, v25, v26, v27
    STORE_TILE v28, v29, v30, v31
.Lwinograd_s8_4x16_neon_stored:
    cmp x7, #2
    b.eq .Lwinograd_s8_4x16_neon_2
    b.hi .Lwinograd_s8_4x16_neon_3
    FEW 1
    FEW 2
    FEW 3

.Lwinograd_s8_4x16_neon_done:
    ret
END_FUNCTION winograd_s8_4x16_neon

END_FILE
