#include "layers/epilogue.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace edgedeploy {

namespace {

constexpr size_t kGroup = 8;
constexpr int32_t kLowestCode = -127;
constexpr int32_t kHighestCode = 127;

bool is_clamp(ActivationKind kind) {
  return kind == ActivationKind::kNone || kind == ActivationKind::kRelu || kind == ActivationKind::kClip;
}

// Half away from zero, within the codes.
int32_t code_of(float value, float scale) {
  const float code = std::round(value * scale);
  return static_cast<int32_t>(std::clamp(code, static_cast<float>(kLowestCode), static_cast<float>(kHighestCode)));
}

// The kernel's limits that are the activation. False where only a tile of floats will do.
bool limits_for(const Activation& activation, Epilogue* epilogue) {
  const float infinity = std::numeric_limits<float>::infinity();
  SumsEpilogue& sums = epilogue->sums;
  sums.low_value = -infinity;
  sums.high_value = infinity;
  sums.low_code = kLowestCode;
  sums.high_code = kHighestCode;
  if (!is_clamp(activation.kind) || (epilogue->requantizes && epilogue->output_scale <= 0)) return false;
  const bool is_clip = activation.kind == ActivationKind::kClip;
  if (activation.kind == ActivationKind::kRelu) {
    sums.low_value = 0;
    sums.low_code = 0;
  } else if (is_clip) {
    sums.low_value = activation.alpha + 0.0f;  // -0 becomes 0
    sums.high_value = activation.beta;
    // The kernels' limits must be in order and the upper one not zero; such a clip is left to the tile.
    if (!(activation.alpha <= activation.beta) || activation.beta == 0) return false;
    sums.low_code = code_of(activation.alpha, epilogue->output_scale);
    sums.high_code = code_of(activation.beta, epilogue->output_scale);
  }
  return true;
}

}  // namespace

bool make_epilogue(const Int8Weights& weights, const Activation& activation, Epilogue* epilogue) {
  const int channels = weights.weight_scales.w;
  const size_t padded = (static_cast<size_t>(channels) + kGroup - 1) / kGroup * kGroup;
  epilogue->requantizes = !weights.output_scale.empty();
  epilogue->activation = activation;
  epilogue->output_scale = epilogue->requantizes ? weights.output_scale[0] : 1.0f;
  epilogue->in_registers = limits_for(activation, epilogue);
  const bool to_codes = epilogue->requantizes && epilogue->in_registers;
  epilogue->sums.output = to_codes ? kSumsToS8 : kSumsToF32;
  epilogue->scale.assign(padded, 0.0f);
  epilogue->offset.assign(padded, 0.0f);
  for (int i = 0; i < channels; ++i) {
    // A scale of zero marks a channel whose weights are all zero.
    const float sum_scale =
        weights.weight_scales[i] == 0.0f ? 0.0f : 1.0f / (weights.input_scale[0] * weights.weight_scales[i]);
    const float bias = weights.bias.empty() ? 0.0f : weights.bias[i];
    const float factor = to_codes ? epilogue->output_scale : 1.0f;
    const size_t at = static_cast<size_t>(i);
    epilogue->scale[at] = sum_scale * factor;
    epilogue->offset[at] = to_codes ? bias * factor + 0.5f : bias;
    if (!std::isfinite(epilogue->scale[at]) || !std::isfinite(epilogue->offset[at])) return false;
  }
  return std::isfinite(weights.input_scale[0]) && std::isfinite(epilogue->output_scale);
}

}  // namespace edgedeploy
