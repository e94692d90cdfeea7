// The meaning of gemm_s8 (formulas in gemm_s8.h): a tile of one value.
#include <cmath>

#include "kernels/gemm_s8/gemm_s8.h"

namespace edgedeploy {
namespace {

float activate(float v, const GemmS8Epilogue& e) {
  switch (e.activation) {
    case kActivationRelu:
      return v > 0.0f ? v : 0.0f;
    case kActivationLeakyRelu:
      return v > 0.0f ? v : v * e.act[0];
    case kActivationClip: {
      const float above = v > e.act[0] ? v : e.act[0];
      return above < e.act[1] ? above : e.act[1];
    }
    case kActivationHardSwish:
      if (v < e.act[2]) return 0.0f;
      return v > e.act[3] ? v : v * (v * e.act[0] + e.act[1]);
    default:
      return v;
  }
}

int8_t quantize(float v) {
  if (std::isnan(v)) return 0;
  const float rounded = std::round(v);  // half away from zero
  return static_cast<int8_t>(rounded > 127.0f ? 127.0f : (rounded < -127.0f ? -127.0f : rounded));
}

}  // namespace

extern "C" void gemm_s8_ref(const GemmS8TileParams* params) {
  int32_t acc = 0;
  for (int64_t k = 0; k < params->k_units; ++k) acc += params->a[k] * params->b[k];
  const float scaled = static_cast<float>(acc) * params->scale[0];
  const float v = activate(scaled + params->bias[0], params->epilogue);
  if (params->epilogue.output == kGemmOutputF32) {
    *static_cast<float*>(params->c) = v;
  } else {
    *static_cast<int8_t*>(params->c) = quantize(v * params->epilogue.out_scale);
  }
}

}  // namespace edgedeploy
