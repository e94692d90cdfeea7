// Gates that the operators' tests choose from (sums_epilogue.h).
#ifndef EDGEDEPLOY_TESTS_KERNELS_GATE_CASES_H_
#define EDGEDEPLOY_TESTS_KERNELS_GATE_CASES_H_

#include <algorithm>
#include <cstdint>
#include <limits>

#include "kernels/sums_epilogue.h"

namespace edgedeploy_tests {

// Linear gates: hard swish of values and of codes, leaky ReLU of slopes below and above one, gates that are always at a
// limit, always within, and closed; a start and a step where a value's last bit decides.
struct GateCase {
  float slope, offset, low, high;
};
inline constexpr GateCase kGateCases[] = {
    {1.0f / 6, 0.5f, 0.0f, 1.0f}, {1.0f / 120, 0.5f, 0.0f, 1.0f}, {3e38f, 0.0f, 0.125f, 1.0f},
    {-3e38f, 0.0f, 1.0f, 1.5f},   {0.0f, 0.0f, 0.25f, 0.75f},     {0.001f, 0.375f, 0.0f, 1.0f},
    {1.0f / 6, 0.5f, 0.0f, 0.0f}, {-0.2f, -0.0f, 0.0f, 1.0f},     {0x1p-20f, 1.0f, 0.0f, 1.0f},
};
inline constexpr uint32_t kGateCount = sizeof(kGateCases) / sizeof(kGateCases[0]);

// Sigmoids of values, of codes, and at the ends of what their output scales may be; mishes of values, of codes, of
// outputs far below and above their codes.
struct CurveCase {
  edgedeploy::SumsGated kind;
  float slope, offset;
};
inline constexpr CurveCase kCurveCases[] = {
    {edgedeploy::kGatedSigmoid, 0.0f, 1.0f},     {edgedeploy::kGatedSigmoid, 0.0f, 1.0f / 127},
    {edgedeploy::kGatedSigmoid, 0.0f, 0x1p-14f}, {edgedeploy::kGatedSigmoid, 0.0f, 0x1p-60f},
    {edgedeploy::kGatedSigmoid, 0.0f, 0x1p60f},  {edgedeploy::kGatedMish, 1.442695f, 0.0f},
    {edgedeploy::kGatedMish, 0.07f, 0.0f},       {edgedeploy::kGatedMish, 1e-6f, 0.0f},
    {edgedeploy::kGatedMish, 1442.695f, 0.0f},   {edgedeploy::kGatedMish, 0x1p-100f, 0.0f},
};
inline constexpr uint32_t kCurveCount = sizeof(kCurveCases) / sizeof(kCurveCases[0]);

// Takes values without an end, too.
inline void set_curve(uint32_t choice, edgedeploy::SumsEpilogue* epilogue) {
  const CurveCase& curve = kCurveCases[choice % kCurveCount];
  const bool is_mish = curve.kind == edgedeploy::kGatedMish;
  const bool is_folded = epilogue->output == edgedeploy::kSumsToS8Folded;
  const float high = is_mish ? edgedeploy::kCurveMaxMishExponent / curve.slope : edgedeploy::kCurveMaxExponent;
  for (int i = 0; i < 4; ++i) {
    epilogue->gate.slope[i] = curve.slope;
    epilogue->gate.offset[i] = is_folded ? std::max(curve.offset, 0x1p-14f) : curve.offset;
    epilogue->gate.low[i] = -edgedeploy::kCurveMaxExponent / (is_mish ? curve.slope : 1.0f);
    epilogue->gate.high[i] = high;
  }
  epilogue->gated = curve.kind;
  epilogue->low_code = -127;
  epilogue->high_code = 127;
  epilogue->low_value = -std::numeric_limits<float>::infinity();
  epilogue->high_value = std::numeric_limits<float>::infinity();
}

// A linear gate or a curve.
inline void set_gate(uint32_t choice, edgedeploy::SumsEpilogue* epilogue) {
  choice %= kGateCount + kCurveCount;
  if (choice >= kGateCount) return set_curve(choice - kGateCount, epilogue);
  const GateCase& gate = kGateCases[choice];
  for (int i = 0; i < 4; ++i) {
    epilogue->gate.slope[i] = gate.slope;
    epilogue->gate.offset[i] = gate.offset;
    epilogue->gate.low[i] = gate.low;
    epilogue->gate.high[i] = gate.high;
  }
  epilogue->gated = edgedeploy::kGatedLinear;
  epilogue->low_code = -127;
  epilogue->high_code = 127;
  epilogue->low_value = -std::numeric_limits<float>::infinity();
  epilogue->high_value = std::numeric_limits<float>::infinity();
}

}  // namespace edgedeploy_tests

#endif  // EDGEDEPLOY_TESTS_KERNELS_GATE_CASES_H_
