// The meaning of winograd_s8 in plain C++: a convolution, sum by sum. Its packed weights are those of the model.
#include <cstring>

#include "kernels/sums_epilogue_ref.h"
#include "kernels/winograd_s8/winograd_s8.h"

namespace edgedeploy {
namespace {

size_t packed_bytes(int64_t channels, int64_t groups) { return static_cast<size_t>(channels * groups * 72); }
size_t scratch_bytes(int64_t /*groups*/) { return 0; }
void pack(const int8_t* weights, int64_t channels, int64_t groups, void* packed) {
  std::memcpy(packed, weights, packed_bytes(channels, groups));
}

int32_t sum_of(const WinogradS8Params& p, int64_t y, int64_t x, int64_t n) {
  int32_t sum = 0;
  for (int64_t k = 0; k < 8 * p.groups; ++k) {
    const int8_t* plane = p.a + k / 8 * p.a_stride_bytes + k % 8;
    const int8_t* weights = static_cast<const int8_t*>(p.b) + (n * 8 * p.groups + k) * 9;
    for (int64_t tap = 0; tap < 9; ++tap) {
      const int64_t row = y - p.pad_top + tap / 3, column = x - p.pad_left + tap % 3;
      const bool inside = row >= 0 && row < p.a_height && column >= 0 && column < p.a_width;
      sum += weights[tap] * (inside ? plane[(row * p.a_width + column) * 8] : static_cast<int8_t>(p.pad_code));
    }
  }
  return sum;
}

void store(const WinogradS8Params& p, int64_t pixel, int64_t n, int32_t sum) {
  char* c = static_cast<char*>(p.c);
  float* quad = reinterpret_cast<float*>(c + n / 4 * p.c_stride_bytes);
  if (p.epilogue.output == kSumsToF32) {
    quad[pixel * 4 + n % 4] = sums_to_f32(sum, p.scale[n], p.offset[n], p.epilogue);
    return;
  }
  int8_t* codes = reinterpret_cast<int8_t*>(c + n / 8 * p.c_stride_bytes);
  codes[pixel * 8 + n % 8] = p.epilogue.output == kSumsToS8Folded
                                 ? sums_to_s8_folded(sum, p.start[n], p.scale[n], p.offset[n], p.epilogue)
                                 : sums_to_s8(sum, p.scale[n], p.offset[n], p.epilogue);
}

void run(const WinogradS8Params* params) {
  const WinogradS8Params& p = *params;
  const int64_t across = (p.c_width + kWinogradS8Tile - 1) / kWinogradS8Tile;
  for (int64_t i = 0; i < 16 * p.tiles; ++i) {
    const int64_t tile = p.first_tile + i / 16;
    const int64_t y = tile / across * 4 + i % 16 / 4, x = tile % across * 4 + i % 4;
    if (y >= p.c_height || x >= p.c_width) continue;
    for (int64_t n = p.first_block * kWinogradS8Block; n < (p.first_block + p.blocks) * kWinogradS8Block; ++n) {
      if (n < p.channels) store(p, y * p.c_width + x, n, sum_of(p, y, x, n));
    }
  }
}

}  // namespace

const WinogradS8Variant kWinogradS8Ref = {packed_bytes, pack, scratch_bytes, run};

}  // namespace edgedeploy
