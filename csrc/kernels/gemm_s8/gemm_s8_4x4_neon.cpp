// gemm_s8 on armv8.0: a tile of 4 x 4, 16 bytes of k a step. Formula, packing and ranges: gemm_s8.h.
//
// Layout     A panel: for each step 4 rows x 16 bytes of k; B panel: for each step 4 rows (columns of C) x 16 bytes.
// Alignment  none. Over-read none: both panels are whole, scale and bias hold 4 values. C: 4 rows of 4 values.
// Target     Cortex-A72: one pipe multiplies, the other adds pairs. A step is 16 SMULL + 16 SMLAL2 (8 MAC each) on one,
//            16 SADALP on the other, 8 loads: the bound is 256 MAC in 32 cycles, 8 MAC a cycle.
// Reached    32.02 cycles a step, 7.99 MAC a cycle, as llvm-mca 19 estimates for cortex-a72 with GCC 12. Its
//            model is the A57's and may be kinder than the hardware.
// Range      SMULL + SMLAL2 put two products into 16 bits: 2 * 128 * 127 = 32512, hence B in [-127, 127].
//
// Each accumulator holds four partial sums over k of one C[m][n]; ADDP folds them after the loop.
// Registers (the compiler's): 16 accumulators, 4 of A, 4 of products, the rest of B. The build keeps GCC from
// reordering before it allocates registers (-fno-schedule-insns): it would pull all products up and spill.
#include <arm_neon.h>

#include <cstring>

#include "kernels/gemm_s8/gemm_s8.h"
#include "kernels/gemm_s8/gemm_s8_epilogue_neon.h"

namespace edgedeploy {
namespace {

constexpr int kTile = 4;
constexpr int kUnit = 16;

void store_f32(const GemmS8TileParams& p, const float32x4_t (&value)[kTile]) {
  char* c = static_cast<char*>(p.c);
  for (int m = 0; m < kTile; ++m) vst1q_f32(reinterpret_cast<float*>(c + m * p.c_stride_bytes), value[m]);
}

void store_s8(const GemmS8TileParams& p, const float32x4_t (&value)[kTile]) {
  char* c = static_cast<char*>(p.c);
  for (int m = 0; m < kTile; m += 2) {
    const int8x8_t pair =
        gemm_s8_narrow(gemm_s8_quantize(value[m], p.epilogue), gemm_s8_quantize(value[m + 1], p.epilogue));
    const uint32_t first = vget_lane_u32(vreinterpret_u32_s8(pair), 0);
    const uint32_t second = vget_lane_u32(vreinterpret_u32_s8(pair), 1);
    std::memcpy(c + m * p.c_stride_bytes, &first, sizeof(first));
    std::memcpy(c + (m + 1) * p.c_stride_bytes, &second, sizeof(second));
  }
}

}  // namespace

extern "C" void gemm_s8_4x4_neon(const GemmS8TileParams* params) {
  const GemmS8TileParams& p = *params;
  const int8_t* a = p.a;
  const int8_t* b = p.b;
  int32x4_t acc[kTile][kTile];
  for (int m = 0; m < kTile; ++m) {
    for (int n = 0; n < kTile; ++n) acc[m][n] = vdupq_n_s32(0);
  }
  int64_t steps = p.k_units;
  do {
    int8x16_t rows[kTile];
    for (int m = 0; m < kTile; ++m) rows[m] = vld1q_s8(a + m * kUnit);
    for (int n = 0; n < kTile; ++n) {
      const int8x16_t column = vld1q_s8(b + n * kUnit);
      int16x8_t product[kTile];
      for (int m = 0; m < kTile; ++m) product[m] = vmull_s8(vget_low_s8(rows[m]), vget_low_s8(column));
      for (int m = 0; m < kTile; ++m) product[m] = vmlal_high_s8(product[m], rows[m], column);
      for (int m = 0; m < kTile; ++m) acc[m][n] = vpadalq_s16(acc[m][n], product[m]);
    }
    a += kTile * kUnit;
    b += kTile * kUnit;
  } while (--steps != 0);

  const float32x4_t scale = vld1q_f32(p.scale);
  const float32x4_t bias = vld1q_f32(p.bias);
  float32x4_t value[kTile];
  for (int m = 0; m < kTile; ++m) {
    const int32x4_t sum = vpaddq_s32(vpaddq_s32(acc[m][0], acc[m][1]), vpaddq_s32(acc[m][2], acc[m][3]));
    value[m] = gemm_s8_value(sum, scale, bias, p.epilogue);
  }
  if (p.epilogue.output == kGemmOutputF32) {
    store_f32(p, value);
  } else {
    store_s8(p, value);
  }
}

}  // namespace edgedeploy
