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

// Codes of halves that are not negative.
inline int8x8_t codes_of(float16x8_t halves, float16x8_t scales) {
  return vqmovn_s16(vcvtaq_s16_f16(vmulq_f16(halves, scales)));
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
  for (int64_t i = 0; i < count; i += kLanes) vst1_s8(codes + i, codes_of(rectified_sum(a + i, b + i), scales));
}

void add_halves_beside_codes(const __fp16* a, const __fp16* b, int64_t count, float scale, __fp16* into,
                             int8_t* codes) {
  const float16x8_t scales = vdupq_n_f16(static_cast<__fp16>(scale));
  for (int64_t i = 0; i < count; i += kLanes) {
    const float16x8_t sum = rectified_sum(a + i, b + i);
    vst1q_f16(into + i, sum);
    vst1_s8(codes + i, codes_of(sum, scales));
  }
}

void codes_of_halves(const __fp16* halves, int64_t count, float scale, int8_t* codes) {
  const float16x8_t scales = vdupq_n_f16(static_cast<__fp16>(scale));
  for (int64_t i = 0; i < count; i += kLanes) vst1_s8(codes + i, codes_of(vld1q_f16(halves + i), scales));
}

}  // namespace edgedeploy

#endif
