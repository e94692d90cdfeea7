#include "kernels/sums_gates.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <limits>

namespace edgedeploy {

namespace {

constexpr double kLog2OfE = 1.44269504088896340736;
constexpr float kLeastCurveScale = 0x1p-60f;
constexpr float kLargestCurveScale = 0x1p60f;

bool set_gate(SumsGated kind, float slope, float offset, float low, float high, SumsEpilogue* epilogue) {
  if (!std::isfinite(slope) || !std::isfinite(offset) || !std::isfinite(high)) return false;
  SumsGate& gate = epilogue->gate;
  std::fill(std::begin(gate.slope), std::end(gate.slope), slope);
  std::fill(std::begin(gate.offset), std::end(gate.offset), offset);
  std::fill(std::begin(gate.low), std::end(gate.low), low);
  std::fill(std::begin(gate.high), std::end(gate.high), high);
  epilogue->gated = kind;
  return true;
}

bool curves_take(float out_scale) { return out_scale >= kLeastCurveScale && out_scale <= kLargestCurveScale; }

}  // namespace

bool set_leaky_relu_gate(float alpha, SumsEpilogue* epilogue) {
  constexpr float kSteep = std::numeric_limits<float>::max();
  if (!(alpha >= 0)) return false;
  return set_gate(kGatedLinear, alpha <= 1 ? kSteep : -kSteep, 0, std::min(alpha, 1.0f), std::max(alpha, 1.0f),
                  epilogue);
}

bool set_hard_swish_gate(float alpha, float beta, float out_scale, SumsEpilogue* epilogue) {
  return alpha > 0 && set_gate(kGatedLinear, alpha / out_scale, beta, 0, 1, epilogue);
}

bool set_sigmoid_gate(float out_scale, SumsEpilogue* epilogue) {
  if (!curves_take(out_scale)) return false;
  return set_gate(kGatedSigmoid, 0, 1 / out_scale, -kCurveMaxExponent, kCurveMaxExponent, epilogue);
}

float sigmoid_scale(float scale) { return static_cast<float>(-kLog2OfE * static_cast<double>(scale)); }

float sigmoid_offset(float bias, float out_scale) {
  return static_cast<float>(-kLog2OfE * static_cast<double>(bias) - std::log2(static_cast<double>(out_scale)));
}

bool set_mish_gate(float out_scale, SumsEpilogue* epilogue) {
  if (!curves_take(out_scale)) return false;
  const float slope = static_cast<float>(kLog2OfE / static_cast<double>(out_scale));
  return set_gate(kGatedMish, slope, 0, -kCurveMaxExponent / slope, kCurveMaxMishExponent / slope, epilogue);
}

bool gates_take(float scale, float offset) {
  constexpr float kLargestSum = 2147483648.0f;
  constexpr float kRoom = 1e30f;
  return std::fabs(scale) <= kRoom / kLargestSum && std::fabs(offset) <= kRoom;
}

}  // namespace edgedeploy
