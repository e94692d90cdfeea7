// Sums of halves and the ReLU behind them. Only for cores with half-precision arithmetic, and AArch64.
#pragma once

#if defined(__aarch64__)

#include <cstdint>

namespace edgedeploy {

void add_halves(const __fp16* a, const __fp16* b, int64_t count, __fp16* into);

// As the engine quantizes halves: in half precision. `count` is a multiple of eight.
void add_halves_to_codes(const __fp16* a, const __fp16* b, int64_t count, float scale, int8_t* codes);

}  // namespace edgedeploy

#endif
