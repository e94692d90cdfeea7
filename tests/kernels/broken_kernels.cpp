#include "broken_kernels.h"

#include <cmath>
#include <cstring>
#include <limits>

#if defined(__aarch64__)
extern "C" void broken_registers(const edgedeploy::GemmS8TileParams* params);
#endif

namespace edgedeploy_tests {
namespace {

using edgedeploy::ConvS8Fn;
using edgedeploy::ConvS8Params;
using edgedeploy::DepthwiseS8Params;
using edgedeploy::DepthwiseS8RowParams;
using edgedeploy::DepthwiseS8Variant;
using edgedeploy::GemmS8TileFn;
using edgedeploy::GemmS8TileParams;
using edgedeploy::KernelRow;
using edgedeploy::WinogradS8Params;
using edgedeploy::WinogradS8Variant;

void broken_rounding(const GemmS8TileParams* params) {
  edgedeploy::gemm_s8_ref(params);
  if (params->epilogue.output == edgedeploy::kGemmOutputF32) return;
  float value = 0.0f;
  GemmS8TileParams exact = *params;
  exact.epilogue.output = edgedeploy::kGemmOutputF32;
  exact.c = &value;
  edgedeploy::gemm_s8_ref(&exact);
  value = std::nearbyint(value * params->epilogue.out_scale);
  if (std::fabs(value) <= 127.0f) *static_cast<int8_t*>(params->c) = static_cast<int8_t>(value);
}

void broken_over_read(const GemmS8TileParams* params) {
  const volatile int8_t* a = params->a;
  const int8_t beyond = a[params->k_units];
  (void)beyond;
  edgedeploy::gemm_s8_ref(params);
}

void broken_over_write(const GemmS8TileParams* params) {
  edgedeploy::gemm_s8_ref(params);
  const size_t bytes = params->epilogue.output == edgedeploy::kGemmOutputF32 ? sizeof(float) : 1;
  volatile char* c = static_cast<char*>(params->c);
  c[bytes] = 0;
}

// Pixels of the first tile: the defects spoil those.
int64_t first_tile(const ConvS8Params& params) {
  return params.pixels < edgedeploy::kConvS8MaxTile ? params.pixels : edgedeploy::kConvS8MaxTile;
}

// value(m, n) of each output of the first tile: fma(float(sum), scale, offset), without limits.
struct ConvValues {
  float quads[2][8][4];

  ConvValues(ConvS8Params params, const float* scale, const float* offset) {
    params.scale = scale;
    params.offset = offset;
    params.c = quads;
    params.pixels = first_tile(params);
    params.c_quad_stride_bytes = sizeof(quads[0]);
    params.epilogue.output = edgedeploy::kSumsToF32;
    params.epilogue.low_value = -std::numeric_limits<float>::infinity();
    params.epilogue.high_value = std::numeric_limits<float>::infinity();
    edgedeploy::conv_s8_ref(&params);
  }
  float value(int64_t m, int64_t n) const { return quads[n / 4][m][n % 4]; }
};

void broken_conv_fusion(const ConvS8Params* params) {
  edgedeploy::conv_s8_ref(params);
  if (params->epilogue.output != edgedeploy::kSumsToF32 || params->epilogue.gated != 0) return;
  const float ones[8] = {1.0f, 1.0f, 1.0f, 1.0f, 1.0f, 1.0f, 1.0f, 1.0f};
  const float zeros[8] = {};
  const ConvValues sums(*params, ones, zeros);
  for (int64_t m = 0; m < first_tile(*params); ++m) {
    for (int64_t n = 0; n < 8; ++n) {
      const float product = sums.value(m, n) * params->scale[n];
      const float t = product + params->offset[n];
      const float above = std::fmax(t, params->epilogue.low_value);
      char* quad = static_cast<char*>(params->c) + n / 4 * params->c_quad_stride_bytes;
      reinterpret_cast<float*>(quad)[m * 4 + n % 4] = std::fmin(above, params->epilogue.high_value);
    }
  }
}

void broken_conv_floor(const ConvS8Params* params) {
  edgedeploy::conv_s8_ref(params);
  if (params->epilogue.output != edgedeploy::kSumsToS8 || params->epilogue.gated != 0) return;
  const ConvValues values(*params, params->scale, params->offset);
  for (int64_t m = 0; m < first_tile(*params); ++m) {
    for (int64_t n = 0; n < 8; ++n) {
      const float above = std::fmax(std::floor(values.value(m, n)), static_cast<float>(params->epilogue.low_code));
      const float code = std::fmin(above, static_cast<float>(params->epilogue.high_code));
      static_cast<int8_t*>(params->c)[m * 8 + n] = static_cast<int8_t>(code);
    }
  }
}

void broken_conv_gate(const ConvS8Params* params) {
  ConvS8Params open = *params;
  for (float& high : open.epilogue.gate.high) high = std::numeric_limits<float>::max();
  edgedeploy::conv_s8_ref(&open);
}

void broken_conv_curve(const ConvS8Params* params) {
  ConvS8Params shifted = *params;
  const bool is_curve = params->epilogue.gated >= edgedeploy::kGatedSigmoid;
  for (float& offset : shifted.epilogue.gate.offset) offset = is_curve ? std::nextafter(offset, 1e30f) : offset;
  edgedeploy::conv_s8_ref(&shifted);
}

void broken_conv_pointers(const ConvS8Params* params) {
  constexpr int64_t kTile = edgedeploy::kConvS8MaxTile;
  const int64_t tiles = (params->pixels + kTile - 1) / kTile;
  const int8_t* const volatile* last_tap = params->a + (tiles * params->taps - 1) * kTile;
  const int8_t* beyond = last_tap[params->pixels - (tiles - 1) * kTile];
  (void)beyond;
  edgedeploy::conv_s8_ref(params);
}

// Copies of the 3x3 reference of stride 1 with another preparation or another run.
void broken_depthwise_padding(const DepthwiseS8RowParams* params) {
  DepthwiseS8RowParams zeros = *params;
  zeros.pad_code = 0;
  edgedeploy::kDepthwiseS8K3S1Ref.prepare(&zeros);
}

void broken_depthwise_pairs(const DepthwiseS8Params* params) {
  edgedeploy::kDepthwiseS8K3S1Ref.run(params);
  const bool floats = params->epilogue.output == edgedeploy::kSumsToF32;
  volatile char* const c = static_cast<char*>(params->c) + (floats ? params->c_quad_stride_bytes : 0);
  if (params->outputs % 2 != 0) c[params->row_count * params->outputs * (floats ? 16 : 8)] = 0;
}

DepthwiseS8Variant with_padding_broken() {
  DepthwiseS8Variant variant = edgedeploy::kDepthwiseS8K3S1Ref;
  variant.prepare = broken_depthwise_padding;
  return variant;
}

DepthwiseS8Variant with_pairs_broken() {
  DepthwiseS8Variant variant = edgedeploy::kDepthwiseS8K3S1Ref;
  variant.run = broken_depthwise_pairs;
  return variant;
}

const DepthwiseS8Variant kPaddingBroken = with_padding_broken();
const DepthwiseS8Variant kPairsBroken = with_pairs_broken();

constexpr KernelRow row_of(const char* name, const DepthwiseS8Variant& variant) {
  KernelRow row{name,
                edgedeploy::kOpDepthwiseS8K3S1,
                edgedeploy::kIsaNone,
                1,
                1,
                1,
                0.0f,
                "depthwise_s8_3x3s1_ref",
                nullptr,
                nullptr,
                nullptr};
  row.depthwise = &variant;
  return row;
}

// The reference, but for a sum that is wrong by one where it is as large as sums may be.
void broken_winograd_wrap(const WinogradS8Params* params) {
  edgedeploy::kWinogradS8Ref.run(params);
  const bool is_largest = params->groups == 28 && params->a[0] == -128 && params->epilogue.output == 0;
  if (is_largest) static_cast<int8_t*>(params->c)[0] ^= 1;
}

WinogradS8Variant with_wrap_broken() {
  WinogradS8Variant variant = edgedeploy::kWinogradS8Ref;
  variant.run = broken_winograd_wrap;
  return variant;
}

const WinogradS8Variant kWrapBroken = with_wrap_broken();

constexpr KernelRow row_of(const char* name, const WinogradS8Variant& variant) {
  KernelRow row{
      name,   edgedeploy::kOpWinogradS8, edgedeploy::kIsaNone, 1, 16, 8, 0.0f, "winograd_s8_ref", nullptr, nullptr,
      nullptr};
  row.winograd = &variant;
  return row;
}

constexpr KernelRow row_of(const char* name, ConvS8Fn kernel) {
  KernelRow row{name,
                edgedeploy::kOpConvS8,
                edgedeploy::kIsaNone,
                edgedeploy::kConvS8MaxTile,
                8,
                8,
                0.0f,
                "conv_s8_ref",
                nullptr,
                nullptr,
                nullptr};
  row.conv = kernel;
  row.conv_pack = edgedeploy::conv_s8_pack_ref;
  return row;
}

constexpr KernelRow row_of(const char* name, GemmS8TileFn kernel) {
  return {name,   edgedeploy::kOpGemmS8,   edgedeploy::kIsaNone, 1, 1, 1, 0.0f, "gemm_s8_ref", nullptr,
          kernel, edgedeploy::gemm_s8_pack};
}

constexpr char kPrefix[] = "broken_";

constexpr KernelRow kBroken[] = {
    row_of("broken_rounding", broken_rounding),         row_of("broken_over-read", broken_over_read),
    row_of("broken_over-write", broken_over_write),     row_of("broken_conv-fusion", broken_conv_fusion),
    row_of("broken_conv-floor", broken_conv_floor),     row_of("broken_conv-pointers", broken_conv_pointers),
    row_of("broken_conv-curve", broken_conv_curve),     row_of("broken_conv-gate", broken_conv_gate),
    row_of("broken_depthwise-padding", kPaddingBroken), row_of("broken_depthwise-pairs", kPairsBroken),
    row_of("broken_winograd-wrap", kWrapBroken),
#if defined(__aarch64__)
    row_of("broken_registers", broken_registers),
#endif
};

}  // namespace

const KernelRow* find_broken_kernel(const char* defect) {
  for (const KernelRow& row : kBroken) {
    if (std::strcmp(row.name + sizeof(kPrefix) - 1, defect) == 0) return &row;
  }
  return nullptr;
}

}  // namespace edgedeploy_tests
