// How int32 sums become outputs, for the operators that convolve: conv_s8, depthwise_s8 and winograd_s8. Their headers
// say which outputs they know.
//
//   t = fma(float(sum), scale[n], offset[n])                    one rounding; float(sum) rounds to nearest even
//   output kSumsToF32:  C = min(max(t, low_value), high_value)
//   output kSumsToF16:  the same, rounded to half precision, ties to even
//   output kSumsToS8:   C = min(max(floor(toward_zero(t * 2^24) / 2^24), low_code), high_code)
//
// toward_zero saturates to int32, and of it C is the top byte: so the offset carries the half that makes the floor a
// rounding, and no activation that is a clamp costs anything: ReLU is a low_code, ReLU6 a high_code. Rounding is half
// up where ncnn's is half away from zero; they differ on exact negative halves alone.
//
// Where the sums are bounded well enough, the scaling starts from a float without a conversion:
//
//   output kSumsToS8Folded:
//     u = fma(float_of_bits(start[n] + sum), scale[n], offset[n]) - 1.5 * 2^23
//     C = min(max(u, low_code), high_code)
//
// start[n] + sum are the bits of a float in [2^23, 2^24), where a step of the bits is a step of 1, or that of a sum
// whose u is beyond the limits on either side, as it then is of all sums farther out. The bias is in start[n], rounded
// to whole sums; offset[n] is a whole number that puts the result in [2^23, 2^24) again, off 1.5 * 2^23 by less than
// 2^15, so that the fma itself rounds to a code (half to even) and its low 16 bits are the code.
//
//   output kSumsToF16Folded:   t = fma(float_of_bits(start[n] + sum), scale[n], offset[n]), then as kSumsToF16
//   output kSumsToF16Shifted:  t = fma(1.5 * 2^23 + ((start[n] + sum) >> kSumsShift), scale[n], offset[n]), likewise
//
// For the latter sums may be longer by three bits; the scale is that of eight sums.
//
//   output kSumsToF16Rectified:
//     t = fma(float_of_bits(start[n] + sum), scale[n], offset[n])
//     C = half_of_bits(min(max((bits_of(t) + 2^12) >> 13, 0), 2^16 - 1))
//
// t is the value times 2^-112, so that its exponent's bits are those of a half; C that with a ReLU, as long as the
// value is below 65520, ties upwards: no limits. start[n] are bits of a float around 1.5 * 2^-89 for that. Halves that
// are folded, shifted or rectified are not gated.
//
// An activation that multiplies the value by a gate, hard swish or leaky ReLU, is `gated`:
//
//   g = min(max(fma(t, gate.slope, gate.offset), gate.low), gate.high)
//   output kSumsToF32:       C = t * g, and kSumsToF16 that in half precision
//   output kSumsToS8:        as above with fma(t, g, 0.5) for t
//   output kSumsToS8Folded:  t is the fma of the float_of_bits, u = fma(t, g, 1.5 * 2^23) - 1.5 * 2^23
//
// There offset[n] is the bias without a half, or makes up for start[n] too; t, slope and gate.offset are finite,
// 0 <= gate.low <= gate.high, |t * g| < 2^15 where folded; low_code is -127, high_code 127, low_value and high_value
// are infinite.
//
// Two curves are `gated` too, with other factors than t and g (sums_curves_ref.h has all their operations):
//
//   x = min(max(t, gate.low), gate.high)
//   kGatedSigmoid:  r * (2 - d * r)   d = 2^x + gate.offset, r its reciprocal but for a last step
//   kGatedMish:     t * g             e = 2^(x * slope), n = e * (e + 2), g = n / (n + 2)
//
// So scale[n] and offset[n] of a sigmoid take the base and the sign of its exponent along, and its output scale K:
// t = -log2(e) * value - log2(K), gate.offset = 1 / K. For both what 2 is raised to is at most kCurveMaxExponent from
// zero, of mish at most kCurveMaxMishExponent; gate.offset is in [2^-60, 2^60], below 2^15 its reciprocal where folded.
//
// scale and offset are finite. low_value <= high_value, neither is NaN or -0, high_value is not 0.
// -128 <= low_code <= high_code <= 127.
#ifndef EDGEDEPLOY_KERNELS_SUMS_EPILOGUE_H_
#define EDGEDEPLOY_KERNELS_SUMS_EPILOGUE_H_

#include <cstdint>

namespace edgedeploy {

enum SumsOutput : int32_t {
  kSumsToS8 = 0,
  kSumsToF32 = 1,
  kSumsToS8Folded = 2,
  kSumsToF16 = 3,
  kSumsToF16Folded = 4,
  kSumsToF16Shifted = 5,
  kSumsToF16Rectified = 6,
};

inline constexpr int kSumsShift = 3;
inline constexpr int kHalfShift = 13;           // a float has so many more bits behind the first than a half
inline constexpr int kHalfExponentShift = 112;  // and its exponent is so much larger

enum SumsGated : int32_t { kNotGated = 0, kGatedLinear = 1, kGatedSigmoid = 2, kGatedMish = 3 };

inline constexpr float kCurveMaxExponent = 125.0f;
inline constexpr float kCurveMaxMishExponent = 30.0f;  // beyond it g is 1

// Each four times, as vectors are loaded.
struct alignas(16) SumsGate {
  float slope[4];
  float offset[4];
  float low[4];
  float high[4];
};

struct SumsEpilogue {
  int32_t output;  // SumsOutput
  int32_t low_code;
  int32_t high_code;
  float low_value;
  float high_value;
  int32_t short_sums;  // not 0: every sum is known to be in [-2^22, 2^22)
  int32_t gated;       // SumsGated: gate is part of it
  SumsGate gate;
};

}  // namespace edgedeploy

#endif  // EDGEDEPLOY_KERNELS_SUMS_EPILOGUE_H_
