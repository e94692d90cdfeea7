// What the depthwise_s8 kernels for armv8.0 in assembly share besides depthwise_s8_asm.h: products of 8 channels.
//
// SMULL and SMLAL put two products into 16 bits, 2 * 128 * 127 = 32512, hence weights in [-127, 127]; SADDW adds them
// to the sums. A vector holds two pixels, and every weight lies in both halves of its vector, so that LO and HI
// multiply either pixel.
#ifndef EDGEDEPLOY_KERNELS_DEPTHWISE_S8_NEON_ASM_H_
#define EDGEDEPLOY_KERNELS_DEPTHWISE_S8_NEON_ASM_H_

#include "kernels/depthwise_s8/depthwise_s8_asm.h"

// clang-format off
.macro MUL_LO product, pixels, weight
    smull v\product\().8h, v\pixels\().8b, v\weight\().8b
.endm

.macro MUL_HI product, pixels, weight
    smull2 v\product\().8h, v\pixels\().16b, v\weight\().16b
.endm

.macro MLA_LO product, pixels, weight
    smlal v\product\().8h, v\pixels\().8b, v\weight\().8b
.endm

.macro MLA_HI product, pixels, weight
    smlal2 v\product\().8h, v\pixels\().16b, v\weight\().16b
.endm

// Sums of an output: M + product, the first time.
.macro START_SUMS a0, a1, product
    saddw v\a0\().4s, v13.4s, v\product\().4h
    saddw2 v\a1\().4s, v13.4s, v\product\().8h
.endm

.macro ADD_SUMS a0, a1, product
    saddw v\a0\().4s, v\a0\().4s, v\product\().4h
    saddw2 v\a1\().4s, v\a1\().4s, v\product\().8h
.endm
// clang-format on

#endif  // EDGEDEPLOY_KERNELS_DEPTHWISE_S8_NEON_ASM_H_
