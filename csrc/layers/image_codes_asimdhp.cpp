// Compiled for ARMv8.2-A with half precision (csrc/layers/CMakeLists.txt): no template and no inline function of
// another file may be used here, for the linker might keep this copy for all. The name tells the proof of the runner's
// baseline.
#include "layers/image_codes_asimdhp.h"

#if defined(__aarch64__)

#include <arm_neon.h>
#include <string.h>

namespace edgedeploy {

namespace {

constexpr int kLanes = 8;
constexpr int kChannels = 3;
constexpr int8_t kLowest = -127;

// Rounded to whole numbers, halves away from zero. With its last bit set no product lies halfway between two of them,
// and none gets to the other side of what does, whose last bit is zero. Added to 1536, in the middle of the halves that
// step by one, it is rounded to one of these; what lies beyond them is beyond the codes too.
inline int8x8_t codes_of(const float* values, float16x8_t scales) {
  constexpr int16_t kMiddleBits = 0x6600;
  const float16x8_t halves = vcvt_high_f16_f32(vcvt_f16_f32(vld1q_f32(values)), vld1q_f32(values + 4));
  const int16x8_t odd = vorrq_s16(vreinterpretq_s16_f16(vmulq_f16(halves, scales)), vdupq_n_s16(1));
  const int16x8_t middle = vdupq_n_s16(kMiddleBits);
  const float16x8_t moved = vaddq_f16(vreinterpretq_f16_s16(odd), vreinterpretq_f16_s16(middle));
  return vmax_s8(vqmovn_s16(vqsubq_s16(vreinterpretq_s16_f16(moved), middle)), vdup_n_s8(kLowest));
}

inline void pixels_by_eights(const float* const* planes, int x, float16x8_t scales, int8_t* row) {
  const int8x8x3_t pixels = {
      {codes_of(planes[0] + x, scales), codes_of(planes[1] + x, scales), codes_of(planes[2] + x, scales)}};
  vst3_s8(row, pixels);
}

}  // namespace

void image_codes_by_halves(const float* const* planes, int width, float scale, int8_t* row) {
  const float16x8_t scales = vdupq_n_f16(static_cast<__fp16>(scale));
  int x = 0;
  for (; x + kLanes <= width; x += kLanes) pixels_by_eights(planes, x, scales, row + int64_t{x} * kChannels);
  if (x == width) return;
  float last[kChannels][kLanes] = {};
  for (int c = 0; c < kChannels; ++c) memcpy(last[c], planes[c] + x, sizeof(float) * static_cast<size_t>(width - x));
  const float* const parts[] = {last[0], last[1], last[2]};
  int8_t pixels[kLanes * kChannels];
  pixels_by_eights(parts, 0, scales, pixels);
  memcpy(row + int64_t{x} * kChannels, pixels, static_cast<size_t>(width - x) * kChannels);
}

}  // namespace edgedeploy

#endif
