// The meaning of sums_epilogue.h's gates: what a value becomes as the product of two factors.
#ifndef EDGEDEPLOY_KERNELS_SUMS_GATE_REF_H_
#define EDGEDEPLOY_KERNELS_SUMS_GATE_REF_H_

#include <cmath>

#include "kernels/sums_curves_ref.h"
#include "kernels/sums_epilogue.h"

namespace edgedeploy {

inline SumsFactors sums_gate(float t, const SumsEpilogue& epilogue) {
  const SumsGate& gate = epilogue.gate;
  if (epilogue.gated == kGatedSigmoid) return sums_sigmoid(t, gate);
  if (epilogue.gated == kGatedMish) return sums_mish(t, gate);
  return {t, sums_clamp(std::fma(t, gate.slope[0], gate.offset[0]), gate.low[0], gate.high[0])};
}

inline float sums_gated(float t, float addend, const SumsEpilogue& epilogue) {
  const SumsFactors factors = sums_gate(t, epilogue);
  return std::fma(factors.first, factors.second, addend);
}

}  // namespace edgedeploy

#endif  // EDGEDEPLOY_KERNELS_SUMS_GATE_REF_H_
