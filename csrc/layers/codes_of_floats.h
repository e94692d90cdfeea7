// Floats to int8 codes as the engine rounds them: half away from zero, clamped to +-127.
#ifndef EDGEDEPLOY_LAYERS_CODES_OF_FLOATS_H_
#define EDGEDEPLOY_LAYERS_CODES_OF_FLOATS_H_

#include <algorithm>
#include <cmath>
#include <cstdint>

#if defined(__aarch64__)
#include <arm_neon.h>
#endif

namespace edgedeploy {

inline constexpr int8_t kLowestCode = -127;
inline constexpr int8_t kHighestCode = 127;

inline int8_t code_of(float value, float scale) {
  const float code = std::round(value * scale);
  return static_cast<int8_t>(std::min(std::max(code, float{kLowestCode}), float{kHighestCode}));
}

#if defined(__aarch64__)
// Of four floats each, in 16 bits, saturated. FCVTAS rounds half away from zero.
inline int16x8_t wide_codes(const float* low, const float* high, float32x4_t scale) {
  const int32x4_t first = vcvtaq_s32_f32(vmulq_f32(vld1q_f32(low), scale));
  const int32x4_t second = vcvtaq_s32_f32(vmulq_f32(vld1q_f32(high), scale));
  return vqmovn_high_s32(vqmovn_s32(first), second);
}

inline int8x16_t codes_of_16(const float* values, float32x4_t scale) {
  const int8x8_t low = vqmovn_s16(wide_codes(values, values + 4, scale));
  const int8x16_t codes = vqmovn_high_s16(low, wide_codes(values + 8, values + 12, scale));
  return vmaxq_s8(codes, vdupq_n_s8(kLowestCode));
}
#endif

// Eight codes of four floats each at `low` and `high`.
inline void codes_of_8(const float* low, const float* high, float scale, int8_t* codes) {
#if defined(__aarch64__)
  const int8x8_t narrow = vqmovn_s16(wide_codes(low, high, vdupq_n_f32(scale)));
  vst1_s8(codes, vmax_s8(narrow, vdup_n_s8(kLowestCode)));
#else
  for (int i = 0; i < 4; ++i) {
    codes[i] = code_of(low[i], scale);
    codes[i + 4] = code_of(high[i], scale);
  }
#endif
}

}  // namespace edgedeploy

#endif  // EDGEDEPLOY_LAYERS_CODES_OF_FLOATS_H_
