// Packing for gemm_s8; the layout is described in gemm_s8.h.
#include <cstring>

#include "kernels/gemm_s8/gemm_s8.h"

namespace edgedeploy {
namespace {

int64_t units(int64_t count, int64_t unit) { return (count + unit - 1) / unit; }

}  // namespace

size_t gemm_s8_packed_bytes(int64_t rows, int64_t k, int32_t tile_rows, int32_t k_unit) {
  return static_cast<size_t>(units(rows, tile_rows) * tile_rows * units(k, k_unit) * k_unit);
}

void gemm_s8_pack(const int8_t* src, int64_t src_stride_bytes, int64_t rows, int64_t k, int32_t tile_rows,
                  int32_t k_unit, int8_t* dst) {
  for (int64_t panel = 0; panel < rows; panel += tile_rows) {
    for (int64_t k0 = 0; k0 < k; k0 += k_unit) {
      const int64_t valid = k - k0 < k_unit ? k - k0 : k_unit;
      for (int64_t row = panel; row < panel + tile_rows; ++row, dst += k_unit) {
        const int64_t copied = row < rows ? valid : 0;
        if (copied > 0) std::memcpy(dst, src + row * src_stride_bytes + k0, static_cast<size_t>(copied));
        if (copied < k_unit) std::memset(dst + copied, 0, static_cast<size_t>(k_unit - copied));
      }
    }
  }
}

}  // namespace edgedeploy
