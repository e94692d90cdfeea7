// The meaning of sums_epilogue.h in plain C++: what the operators' references do with a sum.
#ifndef EDGEDEPLOY_KERNELS_SUMS_EPILOGUE_REF_H_
#define EDGEDEPLOY_KERNELS_SUMS_EPILOGUE_REF_H_

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "kernels/float_bits_ref.h"
#include "kernels/sums_epilogue.h"
#include "kernels/sums_gate_ref.h"

namespace edgedeploy {

// fma(float(sum), scale, offset): std::fma rounds once on every machine.
inline float sums_value(int32_t sum, float scale, float offset) {
  return std::fma(static_cast<float>(sum), scale, offset);
}

// fma of the float that start + sum are the bits of.
inline float sums_value_folded(int32_t sum, int32_t start, float scale, float offset) {
  return std::fma(float_of_bits(static_cast<uint32_t>(start + sum)), scale, offset);
}

inline float sums_to_f32(int32_t sum, float scale, float offset, const SumsEpilogue& epilogue) {
  const float t = sums_value(sum, scale, offset);
  if (epilogue.gated == kNotGated) return sums_clamp(t, epilogue.low_value, epilogue.high_value);
  const SumsFactors factors = sums_gate(t, epilogue);
  return factors.first * factors.second;
}

inline int8_t sums_to_s8(int32_t sum, float scale, float offset, const SumsEpilogue& epilogue) {
  const float t = sums_value(sum, scale, offset);
  const float value = epilogue.gated != kNotGated ? sums_gated(t, 0.5f, epilogue) : t;
  const double fixed = std::trunc(static_cast<double>(value) * 16777216.0);  // 2^24: exact
  const double saturated = fixed > 2147483647.0 ? 2147483647.0 : (fixed < -2147483648.0 ? -2147483648.0 : fixed);
  const int32_t code = static_cast<int32_t>(std::floor(saturated / 16777216.0));
  return static_cast<int8_t>(std::min(std::max(code, epilogue.low_code), epilogue.high_code));
}

inline int8_t sums_to_s8_folded(int32_t sum, int32_t start, float scale, float offset, const SumsEpilogue& epilogue) {
  constexpr float kMiddle = 12582912.0f;  // 1.5 * 2^23
  const float t = sums_value_folded(sum, start, scale, offset);
  const float u = epilogue.gated != kNotGated ? sums_gated(t, kMiddle, epilogue) : t;
  const int32_t code = static_cast<int32_t>(u - kMiddle);
  return static_cast<int8_t>(std::min(std::max(code, epilogue.low_code), epilogue.high_code));
}

}  // namespace edgedeploy

#endif  // EDGEDEPLOY_KERNELS_SUMS_EPILOGUE_REF_H_
