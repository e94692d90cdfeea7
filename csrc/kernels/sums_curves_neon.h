// Sigmoid and mish of four values in intrinsics: sums_curves_ref.h's operations.
#ifndef EDGEDEPLOY_KERNELS_SUMS_CURVES_NEON_H_
#define EDGEDEPLOY_KERNELS_SUMS_CURVES_NEON_H_

#include <arm_neon.h>

#include "kernels/sums_curves.h"
#include "kernels/sums_epilogue.h"

namespace edgedeploy {

struct SumsCurve {
  explicit SumsCurve(const SumsGate& gate)
      : slope(vld1q_f32(gate.slope)),
        offset(vld1q_f32(gate.offset)),
        low(vld1q_f32(gate.low)),
        high(vld1q_f32(gate.high)) {}

  [[gnu::always_inline]] float32x4_t argument(float32x4_t t) const { return vminq_f32(vmaxq_f32(t, low), high); }

  float32x4_t slope, offset, low, high;
};

// The value is first * second.
struct SumsCurveFactors {
  float32x4_t first, second;
};

[[gnu::always_inline]] inline float32x4_t sums_curve_polynomial(float32x4_t f) {
  float32x4_t p = vfmaq_f32(vdupq_n_f32(kCurveC3), f, vdupq_n_f32(kCurveC4));
  p = vfmaq_f32(vdupq_n_f32(kCurveC2), p, f);
  p = vfmaq_f32(vdupq_n_f32(kCurveC1), p, f);
  return vfmaq_f32(vdupq_n_f32(kCurveC0), p, f);
}

[[gnu::always_inline]] inline float32x4_t sums_curve_power(float32x4_t z) {
  return vreinterpretq_f32_s32(vshlq_n_s32(vreinterpretq_s32_f32(z), 23));
}

[[gnu::always_inline]] inline SumsCurveFactors sums_curve_reciprocal(float32x4_t d) {
  const float32x4_t start =
      vreinterpretq_f32_s32(vsubq_s32(vdupq_n_s32(CURVE_RECIPROCAL_BITS), vreinterpretq_s32_f32(d)));
  const float32x4_t nearer = vmulq_f32(start, vfmsq_f32(vdupq_n_f32(kCurveK1), d, start));
  return {nearer, vfmsq_f32(vdupq_n_f32(kCurveK2), d, nearer)};
}

[[gnu::always_inline]] inline SumsCurveFactors sums_curve_sigmoid(float32x4_t t, const SumsCurve& curve) {
  const float32x4_t middle = vdupq_n_f32(kCurveMiddle);
  const float32x4_t x = curve.argument(t);
  const float32x4_t z = vaddq_f32(x, middle);
  const float32x4_t p = sums_curve_polynomial(vsubq_f32(x, vsubq_f32(z, middle)));
  return sums_curve_reciprocal(vfmaq_f32(curve.offset, p, sums_curve_power(z)));
}

[[gnu::always_inline]] inline SumsCurveFactors sums_curve_mish(float32x4_t t, const SumsCurve& curve) {
  const float32x4_t middle = vdupq_n_f32(kCurveMiddle);
  const float32x4_t two = vdupq_n_f32(2.0f);
  const float32x4_t x = curve.argument(t);
  const float32x4_t z = vfmaq_f32(middle, x, curve.slope);
  const float32x4_t p = sums_curve_polynomial(vfmaq_f32(vsubq_f32(middle, z), x, curve.slope));
  const float32x4_t e = vmulq_f32(p, sums_curve_power(z));
  const float32x4_t n = vmulq_f32(e, vaddq_f32(e, two));
  const SumsCurveFactors reciprocal = sums_curve_reciprocal(vaddq_f32(n, two));
  return {t, vmulq_f32(n, vmulq_f32(reciprocal.first, reciprocal.second))};
}

}  // namespace edgedeploy

#endif  // EDGEDEPLOY_KERNELS_SUMS_CURVES_NEON_H_
