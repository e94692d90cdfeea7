// The meaning of preprocess_u8f32 (formulas in preprocess_u8f32.h), one value at a time.
#include "kernels/preprocess_u8f32/preprocess_u8f32.h"

namespace edgedeploy {
namespace {

const uint8_t* source_row(const PreprocessU8F32Params& p, int32_t y) {
  const int32_t clamped = y < 0 ? 0 : (y < p.src_height ? y : p.src_height - 1);
  return p.src + clamped * p.src_stride_bytes;
}

uint32_t blend_row(const PreprocessU8F32Params& p, const uint8_t* row, int32_t x, int32_t channel) {
  const int32_t left = p.x_source[x];
  const int32_t right = left + 1 < p.src_width ? left + 1 : left;
  const uint32_t weight = static_cast<uint32_t>(p.x_weight[x]);
  return (row[left * 3 + channel] * (kResizeWeightOne - weight) + row[right * 3 + channel] * weight) >> 4;
}

uint32_t resized(const PreprocessU8F32Params& p, int32_t y, int32_t x, int32_t channel) {
  const uint32_t above = blend_row(p, source_row(p, p.y_source[y]), x, channel);
  const uint32_t below = blend_row(p, source_row(p, p.y_source[y] + 1), x, channel);
  const uint32_t weight = static_cast<uint32_t>(p.y_weight[y]);
  return (((above * (kResizeWeightOne - weight)) >> 16) + ((below * weight) >> 16) + 2) >> 2;
}

}  // namespace

uint32_t preprocess_u8_value_ref(const PreprocessU8F32Params& p, int32_t y, int32_t x, int32_t channel) {
  if (p.color == kColorBgr) return resized(p, y, x, channel);
  if (p.color == kColorRgb) return resized(p, y, x, 2 - channel);
  return (3735 * resized(p, y, x, 0) + 19235 * resized(p, y, x, 1) + 9798 * resized(p, y, x, 2) + (1 << 14)) >> 15;
}

extern "C" void preprocess_u8f32_ref(const PreprocessU8F32Params* params) {
  const PreprocessU8F32Params& p = *params;
  for (int32_t c = 0; c < preprocess_u8f32_channels(p.color); ++c) {
    char* plane = reinterpret_cast<char*>(p.dst) + c * p.dst_channel_stride_bytes;
    for (int32_t y = 0; y < p.dst_height; ++y) {
      float* row = reinterpret_cast<float*>(plane + y * p.dst_row_stride_bytes);
      for (int32_t x = 0; x < p.dst_width; ++x) {
        const float shifted = static_cast<float>(preprocess_u8_value_ref(p, y, x, c)) - p.mean[c];
        row[x] = shifted * p.scale[c];
      }
    }
  }
}

}  // namespace edgedeploy
