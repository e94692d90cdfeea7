// The meaning of depthwise_s8 in plain C++: a prepared row is a padded copy, weights keep their order.
#include "kernels/depthwise_s8/depthwise_s8.h"
#include "kernels/sums_epilogue_ref.h"

namespace edgedeploy {
namespace {

constexpr int64_t kChannels = 8;
constexpr size_t round_to_16(int64_t bytes) { return static_cast<size_t>((bytes + 15) / 16 * 16); }

template <int64_t kernel, int64_t stride>
struct Reference {
  static int64_t pixels(int64_t outputs) { return (outputs - 1) * stride + kernel; }
  static size_t row_bytes(int64_t outputs) { return round_to_16(pixels(outputs) * kChannels); }
  static void prepare(const DepthwiseS8RowParams* p) {
    for (int64_t i = 0, row_values = pixels(p->outputs) * kChannels; i < p->row_count * row_values; ++i) {
      const int64_t row = i / row_values, at = i % row_values, from = at - p->pad_left * kChannels;
      const bool inside = p->src != nullptr && from >= 0 && from < p->width * kChannels;
      p->dst[row * static_cast<int64_t>(row_bytes(p->outputs)) + at] =
          inside ? p->src[row * p->width * kChannels + from] : static_cast<int8_t>(p->pad_code);
    }
  }
  static void pack(const int8_t* weights, int64_t n, int8_t* packed) {
    for (int64_t i = 0; i < (n + kChannels - 1) / kChannels * kChannels; ++i) {
      int8_t* block = packed + i / kChannels * static_cast<int64_t>(kVariant.packed_bytes);
      for (int64_t tap = 0; tap < kernel * kernel; ++tap) {
        block[tap * kChannels + i % kChannels] = i < n ? weights[i * kernel * kernel + tap] : int8_t{0};
      }
    }
  }
  static void run(const DepthwiseS8Params* p) {
    for (int64_t i = 0; i < p->row_count * p->outputs * kChannels; ++i) {
      const int64_t pixel = i / kChannels, n = i % kChannels, x = pixel % p->outputs;
      const int8_t* const* rows = p->rows + pixel / p->outputs * stride;
      int32_t sum = 0;
      for (int64_t tap = 0; tap < kernel * kernel; ++tap) {
        sum += rows[tap / kernel][(x * stride + tap % kernel) * kChannels + n] * p->weights[tap * kChannels + n];
      }
      if (p->epilogue.output == kSumsToF32) {
        static_cast<float*>(p->c)[n / 4 * p->c_quad_stride_bytes / 4 + pixel * 4 + n % 4] =
            sums_to_f32(sum, p->scale[n], p->offset[n], p->epilogue);
      } else if (p->epilogue.output == kSumsToS8Folded) {
        static_cast<int8_t*>(p->c)[i] = sums_to_s8_folded(sum, p->start[n], p->scale[n], p->offset[n], p->epilogue);
      } else {
        static_cast<int8_t*>(p->c)[i] = sums_to_s8(sum, p->scale[n], p->offset[n], p->epilogue);
      }
    }
  }
  static constexpr DepthwiseS8Variant kVariant = {
      kernel, stride, row_bytes, prepare, round_to_16(kernel * kernel * kChannels), pack, run};
};

}  // namespace

const DepthwiseS8Variant kDepthwiseS8K3S1Ref = Reference<3, 1>::kVariant;
const DepthwiseS8Variant kDepthwiseS8K3S2Ref = Reference<3, 2>::kVariant;
const DepthwiseS8Variant kDepthwiseS8K5S1Ref = Reference<5, 1>::kVariant;
const DepthwiseS8Variant kDepthwiseS8K5S2Ref = Reference<5, 2>::kVariant;

}  // namespace edgedeploy
