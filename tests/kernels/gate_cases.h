// Gates that the operators' tests choose from (sums_epilogue.h).
#ifndef EDGEDEPLOY_TESTS_KERNELS_GATE_CASES_H_
#define EDGEDEPLOY_TESTS_KERNELS_GATE_CASES_H_

#include <cstdint>
#include <limits>

#include "kernels/sums_epilogue.h"

namespace edgedeploy_tests {

// Hard swish of values and of codes, leaky ReLU of slopes below and above one, gates that are always at a limit, always
// within, and closed; a start and a step where a value's last bit decides.
struct GateCase {
  float slope, offset, low, high;
};
inline constexpr GateCase kGateCases[] = {
    {1.0f / 6, 0.5f, 0.0f, 1.0f}, {1.0f / 120, 0.5f, 0.0f, 1.0f}, {3e38f, 0.0f, 0.125f, 1.0f},
    {-3e38f, 0.0f, 1.0f, 1.5f},   {0.0f, 0.0f, 0.25f, 0.75f},     {0.001f, 0.375f, 0.0f, 1.0f},
    {1.0f / 6, 0.5f, 0.0f, 0.0f}, {-0.2f, -0.0f, 0.0f, 1.0f},     {0x1p-20f, 1.0f, 0.0f, 1.0f},
};
inline constexpr uint32_t kGateCount = sizeof(kGateCases) / sizeof(kGateCases[0]);

inline void set_gate(uint32_t choice, edgedeploy::SumsEpilogue* epilogue) {
  const GateCase& gate = kGateCases[choice % kGateCount];
  for (int i = 0; i < 4; ++i) {
    epilogue->gate.slope[i] = gate.slope;
    epilogue->gate.offset[i] = gate.offset;
    epilogue->gate.low[i] = gate.low;
    epilogue->gate.high[i] = gate.high;
  }
  epilogue->gated = 1;
  epilogue->low_code = -127;
  epilogue->high_code = 127;
  epilogue->low_value = -std::numeric_limits<float>::infinity();
  epilogue->high_value = std::numeric_limits<float>::infinity();
}

}  // namespace edgedeploy_tests

#endif  // EDGEDEPLOY_TESTS_KERNELS_GATE_CASES_H_
