// The epilogue of gemm_s8 on four values, for variants in intrinsics. Every operation is one rounding, in the
// reference's order; comparisons select as the reference's conditional expressions do, NaN and signed zero included.
#ifndef EDGEDEPLOY_KERNELS_GEMM_S8_EPILOGUE_NEON_H_
#define EDGEDEPLOY_KERNELS_GEMM_S8_EPILOGUE_NEON_H_

#include <arm_neon.h>

#include "kernels/gemm_s8/gemm_s8.h"

namespace edgedeploy {

inline float32x4_t gemm_s8_activate(float32x4_t v, const GemmS8Epilogue& e) {
  const float32x4_t zero = vdupq_n_f32(0.0f);
  switch (e.activation) {
    case kActivationRelu:
      return vbslq_f32(vcgtq_f32(v, zero), v, zero);
    case kActivationLeakyRelu:
      return vbslq_f32(vcgtq_f32(v, zero), v, vmulq_n_f32(v, e.act[0]));
    case kActivationClip: {
      const float32x4_t low = vdupq_n_f32(e.act[0]);
      const float32x4_t high = vdupq_n_f32(e.act[1]);
      const float32x4_t above = vbslq_f32(vcgtq_f32(v, low), v, low);
      return vbslq_f32(vcltq_f32(above, high), above, high);
    }
    case kActivationHardSwish: {
      const float32x4_t slope = vaddq_f32(vmulq_n_f32(v, e.act[0]), vdupq_n_f32(e.act[1]));
      const float32x4_t inside = vbslq_f32(vcgtq_f32(v, vdupq_n_f32(e.act[3])), v, vmulq_f32(v, slope));
      return vbslq_f32(vcltq_f32(v, vdupq_n_f32(e.act[2])), zero, inside);
    }
    default:
      return v;
  }
}

// activation(float(acc) * scale + bias)
inline float32x4_t gemm_s8_value(int32x4_t acc, float32x4_t scale, float32x4_t bias, const GemmS8Epilogue& e) {
  return gemm_s8_activate(vaddq_f32(vmulq_f32(vcvtq_f32_s32(acc), scale), bias), e);
}

// round_half_away(v * out_scale), saturated to 16 bits; NaN becomes 0. FCVTAS is that rounding.
inline int16x4_t gemm_s8_quantize(float32x4_t v, const GemmS8Epilogue& e) {
  return vqmovn_s32(vcvtaq_s32_f32(vmulq_n_f32(v, e.out_scale)));
}

// Two quadruples to eight bytes in [-127, 127].
inline int8x8_t gemm_s8_narrow(int16x4_t low, int16x4_t high) {
  return vmax_s8(vqmovn_s16(vcombine_s16(low, high)), vdup_n_s8(-127));
}

}  // namespace edgedeploy

#endif  // EDGEDEPLOY_KERNELS_GEMM_S8_EPILOGUE_NEON_H_
