// The meaning of sums_epilogue.h's outputs in half precision.
#ifndef EDGEDEPLOY_KERNELS_SUMS_TO_HALVES_REF_H_
#define EDGEDEPLOY_KERNELS_SUMS_TO_HALVES_REF_H_

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "kernels/half_bits_ref.h"
#include "kernels/sums_epilogue_ref.h"

namespace edgedeploy {

inline uint16_t sums_to_f16(int32_t sum, float scale, float offset, const SumsEpilogue& epilogue) {
  return half_bits(sums_to_f32(sum, scale, offset, epilogue));
}

inline uint16_t sums_to_f16_folded(int32_t sum, int32_t start, float scale, float offset,
                                   const SumsEpilogue& epilogue) {
  const float t = sums_value_folded(sum, start, scale, offset);
  return half_bits(sums_clamp(t, epilogue.low_value, epilogue.high_value));
}

inline uint16_t sums_to_f16_shifted(int32_t sum, int32_t start, float scale, float offset,
                                    const SumsEpilogue& epilogue) {
  constexpr int32_t kBits = 0x4b400000;  // of 1.5 * 2^23
  const float t = sums_value_folded((start + sum) >> kSumsShift, kBits, scale, offset);
  return half_bits(sums_clamp(t, epilogue.low_value, epilogue.high_value));
}

inline uint16_t sums_to_f16_rectified(int32_t sum, int32_t start, float scale, float offset) {
  const float t = sums_value_folded(sum, start, scale, offset);
  int32_t bits;
  std::memcpy(&bits, &t, sizeof(bits));
  const int64_t half = (int64_t{bits} + (1 << (kHalfShift - 1))) >> kHalfShift;
  return static_cast<uint16_t>(std::clamp<int64_t>(half, 0, 0xffff));
}

}  // namespace edgedeploy

#endif  // EDGEDEPLOY_KERNELS_SUMS_TO_HALVES_REF_H_
