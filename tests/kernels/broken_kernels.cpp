#include "broken_kernels.h"

#include <cmath>
#include <cstring>

#if defined(__aarch64__)
extern "C" void broken_registers(const edgedeploy::GemmS8TileParams* params);
#endif

namespace edgedeploy_tests {
namespace {

using edgedeploy::GemmS8TileFn;
using edgedeploy::GemmS8TileParams;
using edgedeploy::KernelRow;

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

constexpr KernelRow row_of(const char* name, GemmS8TileFn kernel) {
  return {name,   edgedeploy::kOpGemmS8,   edgedeploy::kIsaNone, 1, 1, 1, 0.0f, "gemm_s8_ref", nullptr,
          kernel, edgedeploy::gemm_s8_pack};
}

constexpr char kPrefix[] = "broken_";

constexpr KernelRow kBroken[] = {
    row_of("broken_rounding", broken_rounding),
    row_of("broken_over-read", broken_over_read),
    row_of("broken_over-write", broken_over_write),
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
