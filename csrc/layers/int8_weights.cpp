#include "layers/int8_weights.h"

#include <algorithm>

namespace edgedeploy {

bool Int8Weights::take(const std::vector<ncnn::Mat>& loaded, const Int8Layout& layout) {
  const size_t wanted = 3 + (layout.has_bias ? 1 : 0) + (layout.requantizes ? 1 : 0);
  if (loaded.size() != wanted) return false;
  for (const ncnn::Mat& each : loaded) {
    if (each.empty()) return false;
  }
  size_t next = 0;
  weights = loaded[next++];
  if (layout.has_bias) bias = loaded[next++];
  weight_scales = loaded[next++];
  input_scale = loaded[next++];
  if (layout.requantizes) output_scale = loaded[next++];
  return weight_scales.w == layout.channels;
}

bool Int8Weights::fit_the_kernels() const {
  if (weights.elemsize != 1) return false;
  const signed char* begin = weights;
  return std::find(begin, begin + weights.w, static_cast<signed char>(-128)) == begin + weights.w;
}

}  // namespace edgedeploy
