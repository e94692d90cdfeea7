// The meaning of preprocess_u8s8 (formula in preprocess_u8s8.h), one value at a time.
#include <cmath>

#include "kernels/preprocess_u8s8/preprocess_u8s8.h"

namespace edgedeploy {

extern "C" void preprocess_u8s8_ref(const PreprocessU8S8Params* params) {
  const PreprocessU8F32Params& p = params->image;
  for (int32_t c = 0; c < preprocess_u8f32_channels(p.color); ++c) {
    for (int32_t y = 0; y < p.dst_height; ++y) {
      int8_t* row = params->dst + c * p.dst_channel_stride_bytes + y * p.dst_row_stride_bytes;
      for (int32_t x = 0; x < p.dst_width; ++x) {
        const float shifted = static_cast<float>(preprocess_u8_value_ref(p, y, x, c)) - p.mean[c];
        const float normalised = shifted * p.scale[c];
        const float code = std::round(normalised * params->code_scale);
        row[x] = static_cast<int8_t>(std::isnan(code) ? 0 : code < -127 ? -127 : code > 127 ? 127 : code);
      }
    }
  }
}

}  // namespace edgedeploy
