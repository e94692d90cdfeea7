#include "layers/store_floats.h"

#include <algorithm>

namespace edgedeploy {

namespace {

#if defined(__aarch64__)
using Half = __fp16;
inline Half to_half(float value) { return static_cast<Half>(value); }
#else
using Half = unsigned short;
inline Half to_half(float value) { return ncnn::float32_to_float16(value); }
#endif

inline void assign(float& into, float value) { into = value; }
inline void assign(Half& into, float value) { into = to_half(value); }

template <typename Element>
void store(const float* src, int64_t src_stride, int64_t rows, int32_t columns, int64_t first_pixel,
           int32_t first_channel, ncnn::Mat& blob) {
  const int32_t pack = blob.elempack;
  for (int32_t begin = 0; begin < columns; begin += pack) {
    Element* group = static_cast<Element*>(blob.channel((first_channel + begin) / pack)) + first_pixel * pack;
    const int32_t width = std::min(pack, columns - begin);
    for (int64_t row = 0; row < rows; ++row) {
      const float* from = src + row * src_stride + begin;
      for (int32_t i = 0; i < width; ++i) assign(group[row * pack + i], from[i]);
    }
  }
}

}  // namespace

void store_floats(const float* src, int64_t src_stride, int64_t rows, int32_t columns, int64_t first_pixel,
                  int32_t first_channel, ncnn::Mat& blob) {
  if (blob.elembits() == 16) {
    store<Half>(src, src_stride, rows, columns, first_pixel, first_channel, blob);
  } else {
    store<float>(src, src_stride, rows, columns, first_pixel, first_channel, blob);
  }
}

}  // namespace edgedeploy
