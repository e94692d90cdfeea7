// The meaning of conv_s8 (formulas in conv_s8.h and sums_epilogue_ref.h): tiles of 8 pixels x 8 channels.
#include "kernels/conv_s8/conv_s8.h"
#include "kernels/sums_to_halves_ref.h"

namespace edgedeploy {
namespace {

constexpr int64_t kTileM = 8;

// conv_s8_pack_ref's order: [taps][groups][8 channels][8 of k].
int32_t sum_of(const ConvS8Params& p, int64_t m, int64_t n) {
  int32_t sum = 0;
  for (int64_t t = 0; t < p.taps; ++t) {
    for (int64_t g = 0; g < p.groups; ++g) {
      const int8_t* a = p.a[(m / kTileM * p.taps + t) * kTileM + m % kTileM] + g * p.a_group_stride_bytes;
      const int8_t* b = p.b + ((t * p.groups + g) * 8 + n) * 8;
      for (int k = 0; k < 8; ++k) sum += a[k] * b[k];
    }
  }
  return sum;
}

}  // namespace

extern "C" void conv_s8_ref(const ConvS8Params* params) {
  const ConvS8Params& p = *params;
  for (int64_t m = 0; m < p.pixels; ++m) {
    for (int64_t n = 0; n < 8; ++n) {
      const int32_t sum = sum_of(p, m, n);
      if (p.epilogue.output == kSumsToF32) {
        char* c = static_cast<char*>(p.c) + n / 4 * p.c_quad_stride_bytes;
        reinterpret_cast<float*>(c)[m * 4 + n % 4] = sums_to_f32(sum, p.scale[n], p.offset[n], p.epilogue);
      } else if (p.epilogue.output == kSumsToF16) {
        static_cast<uint16_t*>(p.c)[m * 8 + n] = sums_to_f16(sum, p.scale[n], p.offset[n], p.epilogue);
      } else if (p.epilogue.output == kSumsToF16Folded) {
        static_cast<uint16_t*>(p.c)[m * 8 + n] =
            sums_to_f16_folded(sum, p.start[n], p.scale[n], p.offset[n], p.epilogue);
      } else if (p.epilogue.output == kSumsToF16Shifted) {
        static_cast<uint16_t*>(p.c)[m * 8 + n] =
            sums_to_f16_shifted(sum, p.start[n], p.scale[n], p.offset[n], p.epilogue);
      } else if (p.epilogue.output == kSumsToF16Rectified) {
        static_cast<uint16_t*>(p.c)[m * 8 + n] = sums_to_f16_rectified(sum, p.start[n], p.scale[n], p.offset[n]);
      } else if (p.epilogue.output == kSumsToS8Folded) {
        static_cast<int8_t*>(p.c)[m * 8 + n] = sums_to_s8_folded(sum, p.start[n], p.scale[n], p.offset[n], p.epilogue);
      } else {
        static_cast<int8_t*>(p.c)[m * 8 + n] = sums_to_s8(sum, p.scale[n], p.offset[n], p.epilogue);
      }
    }
  }
}

}  // namespace edgedeploy
