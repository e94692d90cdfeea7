// Holds the assembly's view of GemmS8TileParams and its enumerations to the C++ one.
#include "kernels/gemm_s8/gemm_s8_offsets.h"

#include <cstddef>
#include <type_traits>

#include "kernels/gemm_s8/gemm_s8.h"

namespace edgedeploy {

static_assert(std::is_standard_layout_v<GemmS8TileParams>);
static_assert(offsetof(GemmS8TileParams, a) == GEMM_S8_A);
static_assert(offsetof(GemmS8TileParams, b) == GEMM_S8_B);
static_assert(offsetof(GemmS8TileParams, k_units) == GEMM_S8_K_UNITS);
static_assert(offsetof(GemmS8TileParams, scale) == GEMM_S8_SCALE);
static_assert(offsetof(GemmS8TileParams, bias) == GEMM_S8_BIAS);
static_assert(offsetof(GemmS8TileParams, c) == GEMM_S8_C);
static_assert(offsetof(GemmS8TileParams, c_stride_bytes) == GEMM_S8_C_STRIDE_BYTES);
static_assert(offsetof(GemmS8TileParams, epilogue.output) == GEMM_S8_OUTPUT);
static_assert(offsetof(GemmS8TileParams, epilogue.activation) == GEMM_S8_ACTIVATION);
static_assert(offsetof(GemmS8TileParams, epilogue.act) == GEMM_S8_ACT);
static_assert(offsetof(GemmS8TileParams, epilogue.out_scale) == GEMM_S8_OUT_SCALE);
static_assert(kGemmOutputF32 == GEMM_S8_OUTPUT_F32);
static_assert(kActivationRelu == GEMM_S8_ACTIVATION_RELU);
static_assert(kActivationLeakyRelu == GEMM_S8_ACTIVATION_LEAKY_RELU);
static_assert(kActivationClip == GEMM_S8_ACTIVATION_CLIP);
static_assert(kActivationHardSwish == GEMM_S8_ACTIVATION_HARD_SWISH);

}  // namespace edgedeploy
