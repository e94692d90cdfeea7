// preprocess_u8s8: image bytes straight to the int8 input of a network's first layer.
//
//   dst = clamp(round_half_away(preprocess_u8f32(image) * code_scale), -127, 127); NaN becomes 0
//
// The same bits as preprocess_u8f32 and the layer's own quantization after it, without the floats in memory between.
#ifndef EDGEDEPLOY_KERNELS_PREPROCESS_U8S8_H_
#define EDGEDEPLOY_KERNELS_PREPROCESS_U8S8_H_

#include "kernels/preprocess_u8f32/preprocess_u8f32.h"

namespace edgedeploy {

struct PreprocessU8S8Params {
  PreprocessU8F32Params
      image;         // prepared by preprocess_u8f32_prepare; its dst is not used, strides are dst's, in bytes
  int8_t* dst;       // CHW
  float code_scale;  // codes a unit
};

using PreprocessU8S8Fn = void (*)(const PreprocessU8S8Params* params);

extern "C" {
void preprocess_u8s8_ref(const PreprocessU8S8Params* params);
void preprocess_u8s8_1x8_neon(const PreprocessU8S8Params* params);
}

}  // namespace edgedeploy

#endif  // EDGEDEPLOY_KERNELS_PREPROCESS_U8S8_H_
