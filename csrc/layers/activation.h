// The engine's fused activations.
#ifndef EDGEDEPLOY_LAYERS_ACTIVATION_H_
#define EDGEDEPLOY_LAYERS_ACTIVATION_H_

#include <paramdict.h>

#include <cstdint>

namespace edgedeploy {

// ncnn's numbers.
enum class ActivationKind : int {
  kNone = 0,
  kRelu = 1,
  kLeakyRelu = 2,
  kClip = 3,
  kSigmoid = 4,
  kMish = 5,
  kHardSwish = 6,
};

struct Activation {
  ActivationKind kind = ActivationKind::kNone;
  float alpha = 0;  // leaky ReLU's slope, clip's minimum, hard swish's alpha
  float beta = 0;   // clip's maximum, hard swish's beta
};

// From the ids that Convolution, ConvolutionDepthWise and InnerProduct share. False for a kind this project lacks.
bool read_activation(const ncnn::ParamDict& pd, Activation* activation);

// In place on `count` values, a multiple of 4.
void activate(const Activation& activation, float* values, int64_t count);

}  // namespace edgedeploy

#endif  // EDGEDEPLOY_LAYERS_ACTIVATION_H_
