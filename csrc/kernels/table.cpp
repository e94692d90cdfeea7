#include "kernels/table.h"

namespace edgedeploy {
namespace {

constexpr float kBitExact = 0.0f;

constexpr KernelRow preprocess_codes_row(const char* name, uint64_t isa, int32_t step, PreprocessU8S8Fn function) {
  KernelRow row{name, kOpPreprocessU8S8, isa, 1, step, 1, kBitExact, "preprocess_u8s8_ref", nullptr, nullptr, nullptr};
  row.preprocess_codes = function;
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
    {"gemm_s8_8x8_neondot", kOpGemmS8, kIsaAsimd | kIsaAsimdDp, 8, 8, 4, kBitExact, "gemm_s8_ref", nullptr,
     gemm_s8_8x8_neondot, gemm_s8_pack},
    {"gemm_s8_4x4_neon", kOpGemmS8, kIsaAsimd, 4, 4, 16, kBitExact, "gemm_s8_ref", nullptr, gemm_s8_4x4_neon,
     gemm_s8_pack},
#endif
    {"gemm_s8_ref", kOpGemmS8, kIsaNone, 1, 1, 1, kBitExact, "gemm_s8_ref", nullptr, gemm_s8_ref, gemm_s8_pack},
};

}  // namespace

KernelTable kernel_table() { return {kRows, sizeof(kRows) / sizeof(kRows[0])}; }

}  // namespace edgedeploy
