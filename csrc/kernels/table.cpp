#include "kernels/table.h"

namespace edgedeploy {
namespace {

constexpr float kBitExact = 0.0f;

constexpr KernelRow preprocess_codes_row(const char* name, uint64_t isa, int32_t step, PreprocessU8S8Fn function) {
  KernelRow row{name, kOpPreprocessU8S8, isa, 1, step, 1, kBitExact, "preprocess_u8s8_ref", nullptr, nullptr, nullptr};
  row.preprocess_codes = function;
  return row;
}

constexpr KernelRow depthwise_row(const char* name, const char* op, const char* reference, uint64_t isa, int32_t step,
                                  const DepthwiseS8Variant& variant) {
  KernelRow row{name, op, isa, 1, step, 1, kBitExact, reference, nullptr, nullptr, nullptr};
  row.depthwise = &variant;
  return row;
}

constexpr KernelRow conv_row(const char* name, uint64_t isa, int32_t tile_m, ConvS8Fn conv, ConvS8PackFn pack,
                             bool to_f16, bool all_f16) {
  KernelRow row{name, kOpConvS8, isa, tile_m, 8, kConvS8Group, kBitExact, "conv_s8_ref", nullptr, nullptr, nullptr};
  row.conv = conv;
  row.conv_pack = pack;
  row.conv_to_f16 = to_f16;
  row.conv_all_f16 = all_f16;
  return row;
}

constexpr KernelRow winograd_row(const char* name, uint64_t isa, int32_t tile_m, const WinogradS8Variant& variant) {
  KernelRow row{name,      kOpWinogradS8,     isa,     tile_m,  kWinogradS8Block, 8,
                kBitExact, "winograd_s8_ref", nullptr, nullptr, nullptr};
  row.winograd = &variant;
  return row;
}

constexpr KernelRow kRows[] = {
#if defined(__aarch64__)
    {"preprocess_u8f32_1x8_neon", kOpPreprocessU8F32, kIsaAsimd, 1, 8, 1, kBitExact, "preprocess_u8f32_ref",
     preprocess_u8f32_1x8_neon, nullptr, nullptr},
#endif
    {"preprocess_u8f32_ref", kOpPreprocessU8F32, kIsaNone, 1, 1, 1, kBitExact, "preprocess_u8f32_ref",
     preprocess_u8f32_ref, nullptr, nullptr},
#if defined(__aarch64__)
    preprocess_codes_row("preprocess_u8s8_1x8_neon", kIsaAsimd, 8, preprocess_u8s8_1x8_neon),
#endif
    preprocess_codes_row("preprocess_u8s8_ref", kIsaNone, 1, preprocess_u8s8_ref),
#if defined(__aarch64__)
    {"gemm_s8_8x8_neoni8mm", kOpGemmS8, kIsaAsimd | kIsaI8mm, 8, 8, 8, kBitExact, "gemm_s8_ref", nullptr,
     gemm_s8_8x8_neoni8mm, gemm_s8_pack},
    {"gemm_s8_8x8_neondot", kOpGemmS8, kIsaAsimd | kIsaAsimdDp, 8, 8, 4, kBitExact, "gemm_s8_ref", nullptr,
     gemm_s8_8x8_neondot, gemm_s8_pack},
    {"gemm_s8_4x4_neon", kOpGemmS8, kIsaAsimd, 4, 4, 16, kBitExact, "gemm_s8_ref", nullptr, gemm_s8_4x4_neon,
     gemm_s8_pack},
#endif
    {"gemm_s8_ref", kOpGemmS8, kIsaNone, 1, 1, 1, kBitExact, "gemm_s8_ref", nullptr, gemm_s8_ref, gemm_s8_pack},
#if defined(__aarch64__)
    conv_row("conv_s8_8x8_neoni8mm", kIsaAsimd | kIsaAsimdDp | kIsaI8mm, 8, conv_s8_8x8_neoni8mm, conv_s8_pack_ref,
             true, false),
    conv_row("conv_s8_8x8_neondot", kIsaAsimd | kIsaAsimdDp, 8, conv_s8_8x8_neondot, conv_s8_pack_neondot, true, true),
    conv_row("conv_s8_4x8_neon", kIsaAsimd, 4, conv_s8_4x8_neon, conv_s8_pack_neon, false, false),
#endif
    conv_row("conv_s8_ref", kIsaNone, 8, conv_s8_ref, conv_s8_pack_ref, true, true),
#if defined(__aarch64__)
    depthwise_row("depthwise_s8_3x3s1_neondot", kOpDepthwiseS8K3S1, "depthwise_s8_3x3s1_ref", kIsaAsimd | kIsaAsimdDp,
                  2, kDepthwiseS8K3S1Neondot),
    depthwise_row("depthwise_s8_3x3s1_neon", kOpDepthwiseS8K3S1, "depthwise_s8_3x3s1_ref", kIsaAsimd, 2,
                  kDepthwiseS8K3S1Neon),
#endif
    depthwise_row("depthwise_s8_3x3s1_ref", kOpDepthwiseS8K3S1, "depthwise_s8_3x3s1_ref", kIsaNone, 1,
                  kDepthwiseS8K3S1Ref),
#if defined(__aarch64__)
    depthwise_row("depthwise_s8_3x3s2_neondot", kOpDepthwiseS8K3S2, "depthwise_s8_3x3s2_ref", kIsaAsimd | kIsaAsimdDp,
                  8, kDepthwiseS8K3S2Neondot),
    depthwise_row("depthwise_s8_3x3s2_neon", kOpDepthwiseS8K3S2, "depthwise_s8_3x3s2_ref", kIsaAsimd, 2,
                  kDepthwiseS8K3S2Neon),
#endif
    depthwise_row("depthwise_s8_3x3s2_ref", kOpDepthwiseS8K3S2, "depthwise_s8_3x3s2_ref", kIsaNone, 1,
                  kDepthwiseS8K3S2Ref),
#if defined(__aarch64__)
    depthwise_row("depthwise_s8_5x5s1_neondot", kOpDepthwiseS8K5S1, "depthwise_s8_5x5s1_ref", kIsaAsimd | kIsaAsimdDp,
                  8, kDepthwiseS8K5S1Neondot),
    depthwise_row("depthwise_s8_5x5s1_neon", kOpDepthwiseS8K5S1, "depthwise_s8_5x5s1_ref", kIsaAsimd, 2,
                  kDepthwiseS8K5S1Neon),
#endif
    depthwise_row("depthwise_s8_5x5s1_ref", kOpDepthwiseS8K5S1, "depthwise_s8_5x5s1_ref", kIsaNone, 1,
                  kDepthwiseS8K5S1Ref),
#if defined(__aarch64__)
    depthwise_row("depthwise_s8_5x5s2_neondot", kOpDepthwiseS8K5S2, "depthwise_s8_5x5s2_ref", kIsaAsimd | kIsaAsimdDp,
                  8, kDepthwiseS8K5S2Neondot),
    depthwise_row("depthwise_s8_5x5s2_neon", kOpDepthwiseS8K5S2, "depthwise_s8_5x5s2_ref", kIsaAsimd, 2,
                  kDepthwiseS8K5S2Neon),
#endif
    depthwise_row("depthwise_s8_5x5s2_ref", kOpDepthwiseS8K5S2, "depthwise_s8_5x5s2_ref", kIsaNone, 1,
                  kDepthwiseS8K5S2Ref),
#if defined(__aarch64__)
    winograd_row("winograd_s8_4x16_neon", kIsaAsimd, 4, kWinogradS8Neon),
#endif
    winograd_row("winograd_s8_ref", kIsaNone, 1, kWinogradS8Ref),
};

}  // namespace

KernelTable kernel_table() { return {kRows, sizeof(kRows) / sizeof(kRows[0])}; }

}  // namespace edgedeploy
