// Compiled for ARMv8.2-A with half precision (csrc/layers/CMakeLists.txt): no template and no inline function of
// another file may be used here, for the linker might keep this copy for all. The name tells the proof of the runner's
// baseline.
#include "layers/rectified_sum_asimdhp.h"

#if defined(__aarch64__)

#include <arm_neon.h>

namespace edgedeploy {

namespace {

constexpr int kLanes = 8;

inline float16x8_t rectified_sum(const __fp16* a, const __fp16* b) {
  const int16x8_t sum = vreinterpretq_s16_f16(vaddq_f16(vld1q_f16(a), vld1q_f16(b)));
  return vreinterpretq_f16_s16(vmaxq_s16(sum, vdupq_n_s16(0)));
}

// Halves that are not negative, times their scale and rounded, halves away from zero. With its last bit set no product
// lies halfway between two whole numbers, for the last bit of those that do is zero; none gets to the other side of one
// that does. Times 2^-24, the least half, what is left is a whole number of those, and its bits are that number.
inline int16x8_t rounded(float16x8_t halves, float16x8_t scales) {
  const int16x8_t odd = vorrq_s16(vreinterpretq_s16_f16(vmulq_f16(halves, scales)), vdupq_n_s16(1));
  return vreinterpretq_s16_f16(vmulq_f16(vreinterpretq_f16_s16(odd), vreinterpretq_f16_s16(vdupq_n_s16(1))));
}

inline void store_codes(float16x8_t first, float16x8_t second, float16x8_t scales, int8_t* codes) {
  vst1q_s8(codes, vqmovn_high_s16(vqmovn_s16(rounded(first, scales)), rounded(second, scales)));
}

inline void store_codes(float16x8_t halves, float16x8_t scales, int8_t* codes) {
  vst1_s8(codes, vqmovn_s16(rounded(halves, scales)));
}

}  // namespace

void add_halves(const __fp16* a, const __fp16* b, int64_t count, __fp16* into) {
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) vst1q_f16(into + i, rectified_sum(a + i, b + i));
  for (; i < count; ++i) {
    const float sum = static_cast<float>(a[i]) + static_cast<float>(b[i]);
    into[i] = static_cast<__fp16>(sum < 0.0f ? 0.0f : sum);
  }
}

void add_halves_to_codes(const __fp16* a, const __fp16* b, int64_t count, float scale, int8_t* codes) {
  const float16x8_t scales = vdupq_n_f16(static_cast<__fp16>(scale));
  int64_t i = 0;
  for (; i + 2 * kLanes <= count; i += 2 * kLanes) {
    store_codes(rectified_sum(a + i, b + i), rectified_sum(a + i + kLanes, b + i + kLanes), scales, codes + i);
  }
  if (i < count) store_codes(rectified_sum(a + i, b + i), scales, codes + i);
}

void add_halves_beside_codes(const __fp16* a, const __fp16* b, int64_t count, float scale, __fp16* into,
                             int8_t* codes) {
  const float16x8_t scales = vdupq_n_f16(static_cast<__fp16>(scale));
  int64_t i = 0;
  for (; i + 2 * kLanes <= count; i += 2 * kLanes) {
    const float16x8_t first = rectified_sum(a + i, b + i);
    const float16x8_t second = rectified_sum(a + i + kLanes, b + i + kLanes);
    vst1q_f16(into + i, first);
    vst1q_f16(into + i + kLanes, second);
    store_codes(first, second, scales, codes + i);
  }
  if (i == count) return;
  const float16x8_t last = rectified_sum(a + i, b + i);
  vst1q_f16(into + i, last);
  store_codes(last, scales, codes + i);
}

void codes_of_halves(const __fp16* halves, int64_t count, float scale, int8_t* codes) {
  const float16x8_t scales = vdupq_n_f16(static_cast<__fp16>(scale));
  int64_t i = 0;
  for (; i + 2 * kLanes <= count; i += 2 * kLanes) {
    store_codes(vld1q_f16(halves + i), vld1q_f16(halves + i + kLanes), scales, codes + i);
  }
  if (i < count) store_codes(vld1q_f16(halves + i), scales, codes + i);
}

}  // namespace edgedeploy

#endif
