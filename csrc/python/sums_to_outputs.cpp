#include <algorithm>
#include <cmath>
#include <limits>

#include "errors.h"
#include "feature_maps.h"
#include "kernels/sums_gates.h"

namespace edgedeploy_python {
namespace {

using edgedeploy::SumsEpilogue;

constexpr float kInfinity = std::numeric_limits<float>::infinity();

int32_t code_limit(const char* name, float limit, int32_t end) {
  if (std::isinf(limit)) return end;
  if (limit != std::nearbyint(limit) || std::fabs(limit) > 128) {
    throw OpsError(std::string(name) + " of codes must be a whole number in [-128, 127]");
  }
  return static_cast<int32_t>(limit);
}

void set_limits(float low, float high, bool codes, SumsEpilogue* epilogue) {
  if (!(low <= high)) throw OpsError("low must not be above high");
  if (codes) {
    epilogue->low_code = code_limit("low", low, -127);
    epilogue->high_code = std::min(code_limit("high", high, 127), 127);
  } else {
    if (high == 0) throw OpsError("high of float32 output must not be 0");
    epilogue->low_value = low + 0.0f;  // -0 becomes 0
    epilogue->high_value = high;
  }
}

// The gate of those activations that are one. False for another.
bool set_gate(const OutputSettings& settings, SumsEpilogue* epilogue) {
  bool fits = false;
  if (settings.activation == "leaky_relu") {
    fits = edgedeploy::set_leaky_relu_gate(settings.alpha, epilogue);
    if (!fits) throw OpsError("alpha of leaky_relu must be finite and not below 0");
  } else if (settings.activation == "hardswish") {
    fits = edgedeploy::set_hard_swish_gate(settings.alpha, settings.beta, settings.out_scale, epilogue);
    if (!fits) throw OpsError("alpha of hardswish must be above 0, and beta and alpha / out_scale finite");
  } else if (settings.activation == "sigmoid") {
    fits = edgedeploy::set_sigmoid_gate(settings.out_scale, epilogue);
  } else if (settings.activation == "mish") {
    fits = edgedeploy::set_mish_gate(settings.out_scale, epilogue);
  } else {
    return false;
  }
  if (!fits) throw OpsError("out_scale of " + settings.activation + " must lie in [2^-60, 2^60]");
  return true;
}

// Limits and gate. low and high are those of an activation that is none.
void set_activation(const OutputSettings& settings, SumsEpilogue* epilogue) {
  const bool limited = settings.low != -kInfinity || settings.high != kInfinity;
  const bool scaled = settings.out_scale != 1.0f;
  if (settings.activation == "none") return set_limits(settings.low, settings.high, settings.codes, epilogue);
  if (limited) throw OpsError("low and high go with activation 'none', not with '" + settings.activation + "'");
  if (!(settings.out_scale > 0) || std::isinf(settings.out_scale)) {
    throw OpsError("out_scale must be finite and above 0");
  }
  if (scaled && !settings.codes) throw OpsError("out_scale is that of codes");
  if (settings.activation == "relu") return set_limits(0, kInfinity, settings.codes, epilogue);
  if (settings.activation == "clip") return set_limits(settings.alpha, settings.beta, settings.codes, epilogue);
  set_limits(-kInfinity, kInfinity, settings.codes, epilogue);
  if (set_gate(settings, epilogue)) return;
  throw OpsError("unknown activation '" + settings.activation +
                 "'; one of none, relu, leaky_relu, clip, sigmoid, mish, hardswish");
}

}  // namespace

SumsToOutputs::SumsToOutputs(const py::object& scale, const py::object& bias, py::ssize_t channels,
                             const OutputSettings& settings) {
  const auto given = float_vector(scale, "scale", channels);
  scales.assign(given.data(), given.data() + channels);
  offsets.assign(static_cast<size_t>(channels), 0.0f);
  if (!bias.is_none()) {
    const auto biases = float_vector(bias, "bias", channels);
    offsets.assign(biases.data(), biases.data() + channels);
  }
  set_activation(settings, &epilogue);
  epilogue.output = settings.codes ? edgedeploy::kSumsToS8 : edgedeploy::kSumsToF32;
  const bool gated = epilogue.gated != edgedeploy::kNotGated;
  for (size_t i = 0; i < scales.size(); ++i) {
    if (epilogue.gated == edgedeploy::kGatedSigmoid) {
      scales[i] = edgedeploy::sigmoid_scale(scales[i] / settings.out_scale);
      offsets[i] = edgedeploy::sigmoid_offset(offsets[i] / settings.out_scale, settings.out_scale);
    }
    if (settings.codes && !gated) offsets[i] += 0.5f;
    if (!std::isfinite(scales[i]) || !std::isfinite(offsets[i])) throw OpsError("scale and bias must be finite");
    if (gated && !edgedeploy::gates_take(scales[i], offsets[i])) {
      throw OpsError("scale and bias are too large for activation '" + settings.activation + "'");
    }
  }
  scales.resize((scales.size() + kEight - 1) / kEight * kEight);
  offsets.resize(scales.size());
}

}  // namespace edgedeploy_python
