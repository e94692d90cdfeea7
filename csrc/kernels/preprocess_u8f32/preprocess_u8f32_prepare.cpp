// Positions and weights of the resize, as OpenCV computes them: double for the position, float for the fraction.
#include <cmath>

#include "kernels/preprocess_u8f32/preprocess_u8f32.h"

namespace edgedeploy {
namespace {

constexpr size_t kAlignment = 16;

size_t aligned(size_t bytes) { return (bytes + kAlignment - 1) / kAlignment * kAlignment; }

struct Sample {
  int32_t source;
  float fraction;
};

// Where the centre of destination pixel `index` falls in the source.
Sample sample_at(int32_t index, int32_t src_size, int32_t dst_size) {
  const double step = 1.0 / (static_cast<double>(dst_size) / src_size);
  const float position = static_cast<float>((index + 0.5) * step - 0.5);
  const float floor = std::floor(position);
  return {static_cast<int32_t>(floor), position - floor};
}

int16_t weight(float fraction) { return static_cast<int16_t>(std::lrint(fraction * kResizeWeightOne)); }

}  // namespace

size_t preprocess_u8f32_scratch_bytes(int32_t dst_width, int32_t dst_height) {
  const size_t width = static_cast<size_t>(dst_width);
  const size_t height = static_cast<size_t>(dst_height);
  return aligned(width * sizeof(int32_t)) + aligned(height * sizeof(int32_t)) + aligned(width * sizeof(int16_t)) +
         aligned(height * sizeof(int16_t)) + 2 * aligned(width * 4 * sizeof(uint16_t));
}

void preprocess_u8f32_prepare(PreprocessU8F32Params* params) {
  const size_t width = static_cast<size_t>(params->dst_width);
  const size_t height = static_cast<size_t>(params->dst_height);
  unsigned char* next = static_cast<unsigned char*>(params->scratch);
  int32_t* x_source = reinterpret_cast<int32_t*>(next);
  next += aligned(width * sizeof(int32_t));
  int32_t* y_source = reinterpret_cast<int32_t*>(next);
  next += aligned(height * sizeof(int32_t));
  int16_t* x_weight = reinterpret_cast<int16_t*>(next);
  next += aligned(width * sizeof(int16_t));
  int16_t* y_weight = reinterpret_cast<int16_t*>(next);
  next += aligned(height * sizeof(int16_t));

  for (int32_t x = 0; x < params->dst_width; ++x) {
    const Sample sample = sample_at(x, params->src_width, params->dst_width);
    const bool outside = sample.source < 0 || sample.source >= params->src_width - 1;
    x_source[x] = sample.source < 0 ? 0 : (outside ? params->src_width - 1 : sample.source);
    x_weight[x] = outside ? int16_t{0} : weight(sample.fraction);
  }
  for (int32_t y = 0; y < params->dst_height; ++y) {
    const Sample sample = sample_at(y, params->src_height, params->dst_height);
    y_source[y] = sample.source < params->src_height ? sample.source : params->src_height - 1;
    y_weight[y] = weight(sample.fraction);
  }
  params->x_source = x_source;
  params->y_source = y_source;
  params->x_weight = x_weight;
  params->y_weight = y_weight;
  params->row_buffer = reinterpret_cast<uint16_t*>(next);
}

}  // namespace edgedeploy
