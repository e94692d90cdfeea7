// What the kernels' tests share: the random source, the checked call, comparison and the report of a failure.
#ifndef EDGEDEPLOY_TESTS_HARNESS_H_
#define EDGEDEPLOY_TESTS_HARNESS_H_

#include <cstdint>
#include <random>
#include <string>

#include "kernels/table.h"

namespace edgedeploy_tests {

// What the command line chooses.
struct Selection {
  std::string shape;  // only the case with this shape, or all
  uint32_t seed = 0;  // only this seed, or all
  bool one_seed = false;
  uint32_t one_in = 1;  // of so many cases one, spread over shapes and seeds
  bool references = true;
};

struct Outcome {
  int cases = 0;
  int failures = 0;
};

// A case of a kernel: its name, what identifies it for a rerun.
struct CaseId {
  const edgedeploy::KernelRow* row;
  std::string shape;
  uint32_t seed;
};

bool wanted(const Selection& selection, const std::string& shape, uint32_t seed);

// Call function(params), then report registers that AAPCS64 lets the caller keep and that came back changed.
// On other architectures a plain call.
bool call_checked(const CaseId& id, void (*function)(const void*), const void* params);

template <typename Params>
bool call_kernel(const CaseId& id, void (*kernel)(const Params*), const Params& params) {
  return call_checked(id, reinterpret_cast<void (*)(const void*)>(kernel), &params);
}

// Print kernel, shape, seed, the first mismatch and the command that reruns the case.
void report_failure(const CaseId& id, const std::string& mismatch);

// True if equal within the row's tolerance; two NaN are equal, zeros of both signs are not.
bool same_value(float tolerance, float got, float expected);

std::mt19937 generator(uint32_t seed);

Outcome test_conv_s8(const edgedeploy::KernelRow& row, const Selection& selection);
Outcome test_depthwise(const edgedeploy::KernelRow& row, const Selection& selection);
Outcome test_gemm(const edgedeploy::KernelRow& row, const Selection& selection);
Outcome test_gemm_tile(const edgedeploy::KernelRow& row, const Selection& selection);
Outcome test_preprocess_codes(const edgedeploy::KernelRow& row, const Selection& selection);
Outcome test_preprocess(const edgedeploy::KernelRow& row, const Selection& selection);
Outcome test_winograd_s8(const edgedeploy::KernelRow& row, const Selection& selection);

}  // namespace edgedeploy_tests

#endif  // EDGEDEPLOY_TESTS_HARNESS_H_
