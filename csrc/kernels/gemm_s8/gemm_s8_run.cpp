// Walks the tiles of a matrix with one variant. Ragged tiles and strided columns go through a tile of its own on the
// stack, so kernels know whole tiles only.
#include <cstring>

#include "kernels/gemm_s8/gemm_s8.h"
#include "kernels/table.h"

namespace edgedeploy {
namespace {

template <typename Value>
void scatter(const Value* tile, int32_t tile_n, int32_t rows, int32_t cols, const GemmS8Params& params, char* c) {
  for (int32_t m = 0; m < rows; ++m) {
    for (int32_t n = 0; n < cols; ++n) {
      char* const place = c + m * params.c_row_stride_bytes + n * params.c_col_stride_bytes;
      std::memcpy(place, &tile[m * tile_n + n], sizeof(Value));
    }
  }
}

int32_t smaller(int32_t a, int32_t b) { return a < b ? a : b; }

}  // namespace

bool gemm_s8_set_activation(GemmS8Epilogue* epilogue, int32_t activation, float alpha, float beta) {
  float act[4] = {alpha, beta, 0.0f, 0.0f};
  switch (activation) {
    case kActivationNone:
    case kActivationRelu:
    case kActivationLeakyRelu:
    case kActivationClip:
      break;
    case kActivationHardSwish:
      act[2] = -beta / alpha;
      act[3] = 1.0f / alpha + act[2];
      break;
    default:
      return false;
  }
  epilogue->activation = activation;
  std::memcpy(epilogue->act, act, sizeof(act));
  return true;
}

void gemm_s8_run(const KernelRow& row, const GemmS8Params& params) {
  const bool is_float = params.epilogue.output == kGemmOutputF32;
  const int64_t value_bytes = is_float ? sizeof(float) : sizeof(int8_t);
  const int64_t k_units = (params.k + row.k_unit - 1) / row.k_unit;
  const int64_t row_bytes = k_units * row.k_unit;  // of one packed row of A or B

  for (int32_t n = params.n_begin; n < params.n_end; n += row.tile_n) {
    const int32_t cols = smaller(row.tile_n, params.n_end - n);
    float scale[kGemmS8MaxTile] = {};
    float bias[kGemmS8MaxTile] = {};
    std::memcpy(scale, params.scale + n, static_cast<size_t>(cols) * sizeof(float));
    if (params.bias != nullptr) std::memcpy(bias, params.bias + n, static_cast<size_t>(cols) * sizeof(float));

    for (int32_t m = params.m_begin; m < params.m_end; m += row.tile_m) {
      const int32_t rows = smaller(row.tile_m, params.m_end - m);
      char* const c = static_cast<char*>(params.c) + m * params.c_row_stride_bytes + n * params.c_col_stride_bytes;
      const bool direct = rows == row.tile_m && cols == row.tile_n && params.c_col_stride_bytes == value_bytes;
      alignas(16) float tile[kGemmS8MaxTile * kGemmS8MaxTile];

      GemmS8TileParams call;
      call.a = params.packed_a + m * row_bytes;
      call.b = params.packed_b + n * row_bytes;
      call.k_units = k_units;
      call.scale = scale;
      call.bias = bias;
      call.c = direct ? static_cast<void*>(c) : tile;
      call.c_stride_bytes = direct ? params.c_row_stride_bytes : row.tile_n * value_bytes;
      call.epilogue = params.epilogue;
      row.gemm(&call);
      if (direct) continue;
      if (is_float) {
        scatter(tile, row.tile_n, rows, cols, params, c);
      } else {
        scatter(reinterpret_cast<const int8_t*>(tile), row.tile_n, rows, cols, params, c);
      }
    }
  }
}

}  // namespace edgedeploy
