// The meaning of sums_epilogue.h's curves, sigmoid and mish, in plain C++: the operations and their order.
#ifndef EDGEDEPLOY_KERNELS_SUMS_CURVES_REF_H_
#define EDGEDEPLOY_KERNELS_SUMS_CURVES_REF_H_

#include <cmath>

#include "kernels/float_bits_ref.h"
#include "kernels/sums_curves.h"
#include "kernels/sums_epilogue.h"

namespace edgedeploy {

inline float sums_clamp(float t, float low, float high) {
  const float above = t > low ? t : low;
  return above < high ? above : high;
}

// 2^f for |f| <= 1/2.
inline float sums_curve_polynomial(float f) {
  float p = std::fma(kCurveC4, f, kCurveC3);
  p = std::fma(p, f, kCurveC2);
  p = std::fma(p, f, kCurveC1);
  return std::fma(p, f, kCurveC0);
}

// The value is first * second.
struct SumsFactors {
  float first, second;
};

// Whose product is 1 / d.
inline SumsFactors sums_reciprocal(float d) {
  const float start = float_of_bits(CURVE_RECIPROCAL_BITS - bits_of_float(d));
  const float nearer = start * std::fma(-d, start, kCurveK1);
  return {nearer, std::fma(-d, nearer, kCurveK2)};
}

inline SumsFactors sums_sigmoid(float t, const SumsGate& gate) {
  const float x = sums_clamp(t, gate.low[0], gate.high[0]);
  const float z = x + kCurveMiddle;
  const float p = sums_curve_polynomial(x - (z - kCurveMiddle));
  return sums_reciprocal(std::fma(p, float_of_bits(bits_of_float(z) << 23), gate.offset[0]));
}

inline SumsFactors sums_mish(float t, const SumsGate& gate) {
  const float x = sums_clamp(t, gate.low[0], gate.high[0]);
  const float z = std::fma(x, gate.slope[0], kCurveMiddle);
  const float p = sums_curve_polynomial(std::fma(x, gate.slope[0], kCurveMiddle - z));
  const float e = p * float_of_bits(bits_of_float(z) << 23);
  const float n = e * (e + 2.0f);
  const SumsFactors reciprocal = sums_reciprocal(n + 2.0f);
  return {t, n * (reciprocal.first * reciprocal.second)};
}

}  // namespace edgedeploy

#endif  // EDGEDEPLOY_KERNELS_SUMS_CURVES_REF_H_
