// Sums of halves and the ReLU behind them, and codes of halves that are not negative. Only for cores with
// half-precision arithmetic, and AArch64.
#pragma once

#if defined(__aarch64__)

#include <cstdint>

namespace edgedeploy {

void add_halves(const __fp16* a, const __fp16* b, int64_t count, __fp16* into);

// As the engine quantizes halves: in half precision. `count` is a multiple of eight.
void add_halves_to_codes(const __fp16* a, const __fp16* b, int64_t count, float scale, int8_t* codes);

// Both at once.
void add_halves_beside_codes(const __fp16* a, const __fp16* b, int64_t count, float scale, __fp16* into, int8_t* codes);

// Of halves none of which is negative.
void codes_of_halves(const __fp16* halves, int64_t count, float scale, int8_t* codes);

}  // namespace edgedeploy

#endif
