// gemm_s8: int8 matrix product with requantization, bias and activation in its epilogue.
//
//   acc[m][n] = sum over k of A[m][k] * B[n][k]                           int32, exact
//   v         = activation(float(acc) * scale[n] + bias[n])               float32, each operation rounded, never fused
//   C[m][n]   = v                                                         output kGemmOutputF32
//   C[m][n]   = clamp(round_half_away(v * out_scale), -127, 127)          output kGemmOutputS8; NaN becomes 0
//
// A holds [-128, 127]. B holds [-127, 127], so that two products fit into 16 bits on cores without SDOT (2 * 128 * 127
// = 32512). k is at most kGemmS8MaxK, so that acc cannot overflow. A bias of int32 is the same bias times scale[n].
//
// A row of the table computes one tile (tile_m x tile_n); gemm_s8_run walks the tiles of a matrix. A and B are packed:
// panels of tile_m (tile_n) rows, in a panel the K units one after the other, in a unit the rows one after the other,
// k_unit bytes each; rows and k are filled up with zeros. Tile 1, unit 1 is the plain row-major matrix.
#ifndef EDGEDEPLOY_KERNELS_GEMM_S8_H_
#define EDGEDEPLOY_KERNELS_GEMM_S8_H_

#include <cstddef>
#include <cstdint>

namespace edgedeploy {

struct KernelRow;

// ncnn's numbers.
enum GemmActivation : int32_t {
  kActivationNone = 0,
  kActivationRelu = 1,       // v > 0 ? v : 0
  kActivationLeakyRelu = 2,  // v > 0 ? v : v * act[0]
  kActivationClip = 3,       // t = v > act[0] ? v : act[0];  t < act[1] ? t : act[1]
  kActivationHardSwish = 6,  // v < act[2] ? 0 : v > act[3] ? v : v * (v * act[0] + act[1])
};

enum GemmOutput : int32_t { kGemmOutputS8 = 0, kGemmOutputF32 = 1 };

inline constexpr int64_t kGemmS8MaxK = 131071;  // (2^31 - 1) / (128 * 128)
inline constexpr int32_t kGemmS8MaxTile = 16;   // of tile_m and of tile_n

// How acc becomes C. Use gemm_s8_set_activation: it computes hardswish's limits.
struct GemmS8Epilogue {
  int32_t output;      // GemmOutput
  int32_t activation;  // GemmActivation
  float act[4];        // see GemmActivation
  float out_scale;     // unused for kGemmOutputF32
  int32_t reserved;
};

// One tile. A kernel reads and writes whole tiles only; gemm_s8_run gives it a buffer of its own at ragged edges.
struct GemmS8TileParams {
  const int8_t* a;         // packed panel, tile_m * k_unit * k_units bytes, aligned to 1
  const int8_t* b;         // packed panel, tile_n * k_unit * k_units bytes, aligned to 1
  int64_t k_units;         // at least 1
  const float* scale;      // [tile_n]
  const float* bias;       // [tile_n]
  void* c;                 // tile_m rows of tile_n values, int8 or float
  int64_t c_stride_bytes;  // from a row of C to the next
  GemmS8Epilogue epilogue;
};

using GemmS8TileFn = void (*)(const GemmS8TileParams* params);

// A whole product, or the rectangle [m_begin, m_end) x [n_begin, n_end) of it (how callers share work among threads;
// begins are multiples of the tile).
struct GemmS8Params {
  int32_t m_begin, m_end;
  int32_t n_begin, n_end;
  int64_t k;
  const int8_t* packed_a;  // the whole packed A: panel of m_begin is found from it
  const int8_t* packed_b;
  const float* scale;          // [n]
  const float* bias;           // [n], or null for none
  void* c;                     // element (0, 0); element (m, n) lies m * row stride + n * column stride bytes further
  int64_t c_row_stride_bytes;  // for C[m][n] row-major int8: its width
  int64_t c_col_stride_bytes;  // for C[m][n] row-major int8: 1; any other value costs a copy of each tile
  GemmS8Epilogue epilogue;
};

// Fill up k to whole units, rows to whole tiles.
size_t gemm_s8_packed_bytes(int64_t rows, int64_t k, int32_t tile_rows, int32_t k_unit);

// Pack `rows` rows of k bytes (A: m rows; B: n rows, that is B transposed) that lie src_stride_bytes apart.
using GemmS8PackFn = void (*)(const int8_t* src, int64_t src_stride_bytes, int64_t rows, int64_t k, int32_t tile_rows,
                              int32_t k_unit, int8_t* dst);
void gemm_s8_pack(const int8_t* src, int64_t src_stride_bytes, int64_t rows, int64_t k, int32_t tile_rows,
                  int32_t k_unit, int8_t* dst);

// alpha, beta: leaky relu's slope; clip's minimum and maximum; hardswish's alpha and beta (ncnn's activation_params).
// False for an activation this operator does not know; the epilogue is then left as it was.
bool gemm_s8_set_activation(GemmS8Epilogue* epilogue, int32_t activation, float alpha, float beta);

// Walk the tiles with the row's kernel. Allocates nothing.
void gemm_s8_run(const KernelRow& row, const GemmS8Params& params);

extern "C" {
void gemm_s8_ref(const GemmS8TileParams* params);
void gemm_s8_4x4_neon(const GemmS8TileParams* params);
void gemm_s8_8x8_neondot(const GemmS8TileParams* params);
void gemm_s8_8x8_neoni8mm(const GemmS8TileParams* params);
}

}  // namespace edgedeploy

#endif  // EDGEDEPLOY_KERNELS_GEMM_S8_H_
