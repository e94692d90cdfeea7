// How int32 sums become outputs, for the operators that end in int8 or float32: conv_s8 and depthwise_s8.
//
//   t = fma(float(sum), scale[n], offset[n])                    one rounding; float(sum) rounds to nearest even
//   output kSumsToF32:  C = min(max(t, low_value), high_value)
//   output kSumsToS8:   C = min(max(floor(toward_zero(t * 2^24) / 2^24), low_code), high_code)
//
// toward_zero saturates to int32, and of it C is the top byte: so the offset carries the half that makes the floor a
// rounding, and no activation that is a clamp costs anything: ReLU is a low_code, ReLU6 a high_code. Rounding is half
// up where ncnn's is half away from zero; they differ on exact negative halves alone.
//
// scale and offset are finite. low_value <= high_value, neither is NaN or -0, high_value is not 0.
// -128 <= low_code <= high_code <= 127.
#ifndef EDGEDEPLOY_KERNELS_SUMS_EPILOGUE_H_
#define EDGEDEPLOY_KERNELS_SUMS_EPILOGUE_H_

#include <cstdint>

namespace edgedeploy {

enum SumsOutput : int32_t { kSumsToS8 = 0, kSumsToF32 = 1 };

struct SumsEpilogue {
  int32_t output;  // SumsOutput
  int32_t low_code;
  int32_t high_code;
  float low_value;
  float high_value;
  int32_t reserved;
};

}  // namespace edgedeploy

#endif  // EDGEDEPLOY_KERNELS_SUMS_EPILOGUE_H_
