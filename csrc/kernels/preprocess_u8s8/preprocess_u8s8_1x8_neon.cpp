// preprocess_u8s8, eight destination pixels a step. Formula: preprocess_u8s8.h; the way there: preprocess_u8_neon.h.
//
// Epilogue: float32 as preprocess_u8f32, multiply, FCVTAS (half away from zero), saturate to a byte, clamp to -127.
#include "kernels/preprocess_u8f32/preprocess_u8_neon.h"
#include "kernels/preprocess_u8s8/preprocess_u8s8.h"

namespace edgedeploy {
namespace {

struct CodeWriter {
  using Value = int8_t;
  float code_scale;

  int16x4_t four(uint16x4_t value, float mean, float scale) const {
    const float32x4_t shifted = vsubq_f32(vcvtq_f32_u32(vmovl_u16(value)), vdupq_n_f32(mean));
    return vqmovn_s32(vcvtaq_s32_f32(vmulq_n_f32(vmulq_n_f32(shifted, scale), code_scale)));
  }

  void eight(int8_t* dst, uint16x8_t value, float mean, float scale) const {
    const int16x8_t codes =
        vcombine_s16(four(vget_low_u16(value), mean, scale), four(vget_high_u16(value), mean, scale));
    vst1_s8(dst, vmax_s8(vqmovn_s16(codes), vdup_n_s8(-127)));
  }

  void one(int8_t* dst, uint32_t value, float mean, float scale) const {
    int8_t codes[8];
    eight(codes, vdupq_n_u16(static_cast<uint16_t>(value)), mean, scale);
    *dst = codes[0];
  }
};

}  // namespace

extern "C" void preprocess_u8s8_1x8_neon(const PreprocessU8S8Params* params) {
  PreprocessU8Neon<CodeWriter>(params->image, params->dst, CodeWriter{params->code_scale}).run();
}

}  // namespace edgedeploy
