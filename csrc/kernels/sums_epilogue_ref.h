// The meaning of sums_epilogue.h in plain C++: what the references of conv_s8 and depthwise_s8 do with a sum.
#ifndef EDGEDEPLOY_KERNELS_SUMS_EPILOGUE_REF_H_
#define EDGEDEPLOY_KERNELS_SUMS_EPILOGUE_REF_H_

#include <cmath>
#include <cstdint>
#include <cstring>

#include "kernels/sums_epilogue.h"

namespace edgedeploy {

// fma(float(sum), scale, offset): std::fma rounds once on every machine.
inline float sums_value(int32_t sum, float scale, float offset) {
  return std::fma(static_cast<float>(sum), scale, offset);
}

inline float sums_to_f32(int32_t sum, float scale, float offset, const SumsEpilogue& epilogue) {
  const float t = sums_value(sum, scale, offset);
  const float above = t > epilogue.low_value ? t : epilogue.low_value;
  return above < epilogue.high_value ? above : epilogue.high_value;
}

inline int8_t sums_to_s8(int32_t sum, float scale, float offset, const SumsEpilogue& epilogue) {
  const double fixed = std::trunc(static_cast<double>(sums_value(sum, scale, offset)) * 16777216.0);  // 2^24: exact
  const double saturated = fixed > 2147483647.0 ? 2147483647.0 : (fixed < -2147483648.0 ? -2147483648.0 : fixed);
  const int32_t code = static_cast<int32_t>(std::floor(saturated / 16777216.0));
  const int32_t above = code > epilogue.low_code ? code : epilogue.low_code;
  return static_cast<int8_t>(above < epilogue.high_code ? above : epilogue.high_code);
}

inline int8_t sums_to_s8_folded(int32_t sum, int32_t start, float scale, float offset, const SumsEpilogue& epilogue) {
  const int32_t bits = start + sum;
  float value;
  std::memcpy(&value, &bits, sizeof(value));
  const int32_t code = static_cast<int32_t>(std::fma(value, scale, offset) - 12582912.0f);  // 1.5 * 2^23
  const int32_t saturated = code > 127 ? 127 : (code < -128 ? -128 : code);
  const int32_t above = saturated > epilogue.low_code ? saturated : epilogue.low_code;
  return static_cast<int8_t>(above < epilogue.high_code ? above : epilogue.high_code);
}

}  // namespace edgedeploy

#endif  // EDGEDEPLOY_KERNELS_SUMS_EPILOGUE_REF_H_
