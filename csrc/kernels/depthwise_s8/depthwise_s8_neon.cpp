// depthwise_s8 on armv8.0: how rows are prepared and weights packed. The kernels are depthwise_s8_KxKsS_neon.S.
//
// A prepared row is a padded copy, long enough for outputs in pairs. Packed weights: for each tap its 8 channels,
// twice, so that either pixel of a vector of two can be multiplied.
//
#include <arm_neon.h>

#include <algorithm>

#include "kernels/depthwise_s8/depthwise_s8.h"

namespace edgedeploy {
namespace {

constexpr int64_t kChannels = 8;
constexpr int64_t kVectorBytes = 16;

template <int64_t kernel, int64_t stride>
int64_t pixels(int64_t outputs) {
  return ((outputs + 1) / 2 * 2 - 1) * stride + kernel;
}

template <int64_t kernel, int64_t stride>
size_t row_bytes(int64_t outputs) {
  const int64_t bytes = pixels<kernel, stride>(outputs) * kChannels;
  return static_cast<size_t>((bytes + kVectorBytes - 1) / kVectorBytes * kVectorBytes);
}

// Four at a time, the last ones again where they are no four.
inline void copy_pixels(const int8_t* src, int64_t count, int8_t* dst) {
  constexpr int64_t kFour = 4;
  if (count < kFour) {
    for (int64_t i = 0; i < count; ++i) vst1_s8(dst + i * kChannels, vld1_s8(src + i * kChannels));
    return;
  }
  const int64_t last = (count - kFour) * kChannels;
  for (int64_t at = 0; at < last; at += kFour * kChannels) vst1q_s8_x2(dst + at, vld1q_s8_x2(src + at));
  vst1q_s8_x2(dst + last, vld1q_s8_x2(src + last));
}

template <int64_t kernel, int64_t stride>
void prepare(const DepthwiseS8RowParams* params) {
  const DepthwiseS8RowParams& p = *params;
  const int64_t all = pixels<kernel, stride>(p.outputs);
  const int64_t left = p.src == nullptr ? all : std::min(all, p.pad_left);
  const int64_t copied = p.src == nullptr ? 0 : std::min(all - left, p.width);
  const int8x8_t pad = vdup_n_s8(static_cast<int8_t>(p.pad_code));
  const int8_t* src = p.src;
  int8_t* dst = p.dst;
  for (int64_t row = 0; row < p.row_count;
       ++row, src += p.width * kChannels, dst += row_bytes<kernel, stride>(p.outputs)) {
    for (int64_t i = 0; i < left; ++i) vst1_s8(dst + i * kChannels, pad);
    copy_pixels(src, copied, dst + left * kChannels);
    for (int64_t i = left + copied; i < all; ++i) vst1_s8(dst + i * kChannels, pad);
  }
}

template <int64_t kernel>
constexpr size_t kPackedBytes = static_cast<size_t>(kernel * kernel * kVectorBytes);

template <int64_t kernel>
void pack(const int8_t* weights, int64_t n, int8_t* packed) {
  constexpr int64_t kTaps = kernel * kernel;
  for (int64_t first = 0; first < n; first += kChannels) {
    for (int64_t tap = 0; tap < kTaps; ++tap) {
      for (int64_t i = 0; i < kVectorBytes; ++i) {
        const int64_t channel = first + i % kChannels;
        *packed++ = channel < n ? weights[channel * kTaps + tap] : int8_t{0};
      }
    }
  }
}

}  // namespace

const DepthwiseS8Variant kDepthwiseS8K3S1Neon = {
    3, 1, row_bytes<3, 1>, prepare<3, 1>, kPackedBytes<3>, pack<3>, depthwise_s8_3x3s1_neon};
const DepthwiseS8Variant kDepthwiseS8K3S2Neon = {
    3, 2, row_bytes<3, 2>, prepare<3, 2>, kPackedBytes<3>, pack<3>, depthwise_s8_3x3s2_neon};
const DepthwiseS8Variant kDepthwiseS8K5S1Neon = {
    5, 1, row_bytes<5, 1>, prepare<5, 1>, kPackedBytes<5>, pack<5>, depthwise_s8_5x5s1_neon};
const DepthwiseS8Variant kDepthwiseS8K5S2Neon = {
    5, 2, row_bytes<5, 2>, prepare<5, 2>, kPackedBytes<5>, pack<5>, depthwise_s8_5x5s2_neon};

}  // namespace edgedeploy
