// preprocess_u8f32, eight destination pixels a step. Formula: preprocess_u8f32.h; the way there: preprocess_u8_neon.h.
//
// Epilogue: widen to float32, subtract, multiply (two roundings, as the reference).
#include "kernels/preprocess_u8f32/preprocess_u8_neon.h"

namespace edgedeploy {
namespace {

struct FloatWriter {
  using Value = float;

  static void eight(float* dst, uint16x8_t value, float mean, float scale) {
    const float32x4_t low = vcvtq_f32_u32(vmovl_u16(vget_low_u16(value)));
    const float32x4_t high = vcvtq_f32_u32(vmovl_u16(vget_high_u16(value)));
    const float32x4_t shift = vdupq_n_f32(mean);
    vst1q_f32(dst, vmulq_n_f32(vsubq_f32(low, shift), scale));
    vst1q_f32(dst + 4, vmulq_n_f32(vsubq_f32(high, shift), scale));
  }

  static void one(float* dst, uint32_t value, float mean, float scale) {
    *dst = (static_cast<float>(value) - mean) * scale;
  }
};

}  // namespace

extern "C" void preprocess_u8f32_1x8_neon(const PreprocessU8F32Params* params) {
  PreprocessU8Neon<FloatWriter>(*params, params->dst, FloatWriter{}).run();
}

}  // namespace edgedeploy
