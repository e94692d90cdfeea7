#include "layers/epilogue.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <iterator>
#include <limits>

#include "kernels/sums_gates.h"
#include "layers/codes_of_floats.h"

namespace edgedeploy {

namespace {

constexpr size_t kGroup = 8;

bool is_clamp(ActivationKind kind) {
  return kind == ActivationKind::kNone || kind == ActivationKind::kRelu || kind == ActivationKind::kClip;
}

// The kernel's limits that are a clamp. False where they cannot be.
bool clamp_for(const Activation& activation, Epilogue* epilogue) {
  SumsEpilogue& sums = epilogue->sums;
  if (activation.kind == ActivationKind::kRelu) {
    sums.low_value = 0;
    sums.low_code = 0;
  } else if (activation.kind == ActivationKind::kClip) {
    sums.low_value = activation.alpha + 0.0f;  // -0 becomes 0
    sums.high_value = activation.beta;
    // The kernels' limits must be in order and the upper one not zero; such a clip is left to the tile.
    if (!(activation.alpha <= activation.beta) || activation.beta == 0) return false;
    sums.low_code = code_of(activation.alpha, epilogue->output_scale);
    sums.high_code = code_of(activation.beta, epilogue->output_scale);
  }
  return true;
}

// The kernel's gate that is the activation, of values as the kernel has them, which may be codes. False where there is
// none.
bool gate_for(const Activation& activation, Epilogue* epilogue) {
  SumsEpilogue* const sums = &epilogue->sums;
  switch (activation.kind) {
    case ActivationKind::kLeakyRelu:
      return set_leaky_relu_gate(activation.alpha, sums);
    case ActivationKind::kHardSwish:
      return set_hard_swish_gate(activation.alpha, activation.beta, epilogue->output_scale, sums);
    case ActivationKind::kSigmoid:
      return set_sigmoid_gate(epilogue->output_scale, sums);
    case ActivationKind::kMish:
      return set_mish_gate(epilogue->output_scale, sums);
    default:
      return false;
  }
}

// What makes the kernel's output the activated one. False where only a tile of floats will do.
bool activation_for(const Activation& activation, Epilogue* epilogue) {
  const float infinity = std::numeric_limits<float>::infinity();
  SumsEpilogue& sums = epilogue->sums;
  sums.low_value = -infinity;
  sums.high_value = infinity;
  sums.low_code = kLowestCode;
  sums.high_code = kHighestCode;
  sums.gated = kNotGated;
  if (epilogue->requantizes && epilogue->output_scale <= 0) return false;
  return is_clamp(activation.kind) ? clamp_for(activation, epilogue) : gate_for(activation, epilogue);
}

// The kernel's scales and offsets. False if one is not finite.
bool make_scales(const Int8Weights& weights, Epilogue* epilogue) {
  const bool to_codes = epilogue->requantizes && epilogue->in_registers;
  const float half = epilogue->sums.gated != kNotGated ? 0.0f : 0.5f;  // for a floor
  epilogue->sums.output = to_codes ? kSumsToS8 : kSumsToF32;
  for (int i = 0; i < weights.weight_scales.w; ++i) {
    // A scale of zero marks a channel whose weights are all zero.
    const float sum_scale =
        weights.weight_scales[i] == 0.0f ? 0.0f : 1.0f / (weights.input_scale[0] * weights.weight_scales[i]);
    const float bias = weights.bias.empty() ? 0.0f : weights.bias[i];
    const float factor = to_codes ? epilogue->output_scale : 1.0f;
    const size_t at = static_cast<size_t>(i);
    if (epilogue->sums.gated == kGatedSigmoid) {
      epilogue->scale[at] = sigmoid_scale(sum_scale);
      epilogue->offset[at] = sigmoid_offset(bias, epilogue->output_scale);
    } else {
      epilogue->scale[at] = sum_scale * factor;
      epilogue->offset[at] = to_codes ? bias * factor + half : bias;
    }
    if (!std::isfinite(epilogue->scale[at]) || !std::isfinite(epilogue->offset[at])) return false;
  }
  return true;
}

bool values_are_finite(const Epilogue& epilogue) {
  for (size_t i = 0; i < epilogue.scale.size(); ++i) {
    if (!gates_take(epilogue.scale[i], epilogue.offset[i])) return false;
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
  epilogue->in_registers = activation_for(activation, epilogue);
  epilogue->scale.assign(padded, 0.0f);
  epilogue->offset.assign(padded, 0.0f);
  if (!make_scales(weights, epilogue)) return false;
  if (epilogue->sums.gated != kNotGated && !values_are_finite(*epilogue)) {
    epilogue->sums.gated = kNotGated;
    epilogue->in_registers = false;
    if (!make_scales(weights, epilogue)) return false;
  }
  return std::isfinite(weights.input_scale[0]) && std::isfinite(epilogue->output_scale);
}

namespace {

constexpr double kStart = 12582912.0;        // 1.5 * 2^23, in the middle of the floats that step by one
constexpr double kRoom = 4194304.0 - 2.0;    // from there to their ends
constexpr double kRoomOfBits = 536870912.0;  // 2^29: as far from there bits are those of finite floats above zero
constexpr double kBeyondLimits = 130.0;      // codes
constexpr double kMaxCode = 32766.0;         // Codes travel in 16 bits.
constexpr double kMaxError = 1.0 / 4096;     // codes: as many values of 4096 may come out a step apart
constexpr double kGoodError = kMaxError / 16;
constexpr int kMaxTries = 2048;
constexpr int32_t kBitsOfTwoTo23 = 0x4b000000;
constexpr double kTwoTo23 = 8388608.0;
constexpr double kShortSum = 4194304.0;  // 2^22

constexpr int kMaxScaleSteps = 16;

struct FoldedChannel {
  int32_t start;
  float offset;
  float scale;
};

int32_t bits_of(double value) { return kBitsOfTwoTo23 + static_cast<int32_t>(value - kTwoTo23); }

// bias: in codes. largest_sum: of those that matter, in the room. max_error: in codes. False where the scale does not
// fit.
//
// A whole number of codes stands for the start itself, and the start has to be a whole number of sums: of the many
// pairs that the room leaves, the first is taken whose difference is nearly the bias.
bool fold_with(float float_scale, double bias, double largest_sum, double max_error, FoldedChannel* folded) {
  const double scale = static_cast<double>(float_scale);
  const double middle = std::nearbyint(kStart * scale);
  double smallest_error = max_error;
  for (int i = 0; i < kMaxTries && smallest_error > kGoodError; ++i) {
    const double codes = middle + (i % 2 == 0 ? i / 2 : -(i + 1) / 2);
    const double start = std::nearbyint((codes + bias) / scale);
    if (std::fabs(start - kStart) + largest_sum > kRoom) break;
    const double error = std::fabs(start * scale - codes - bias);
    if (error >= smallest_error) continue;
    smallest_error = error;
    *folded = {bits_of(start), static_cast<float>(kStart - codes), float_scale};
  }
  return smallest_error < max_error;
}

// The float that a sum's bits are, and the code of it before it is clamped, from the middle of what 16 bits hold.
double folded_code(const FoldedChannel& folded, double sum) {
  const int32_t bits = folded.start + static_cast<int32_t>(sum);
  float value;
  std::memcpy(&value, &bits, sizeof(value));
  return static_cast<double>(value) * static_cast<double>(folded.scale) + static_cast<double>(folded.offset) - kStart;
}

// Beyond the floats that step by one, larger bits are larger floats still, farther from the start than the sum.
bool codes_fit(const FoldedChannel& folded, double largest_sum) {
  return largest_sum < kRoomOfBits && std::fabs(folded_code(folded, largest_sum)) <= kMaxCode &&
         std::fabs(folded_code(folded, -largest_sum)) <= kMaxCode;
}

// Where a code is nearly a whole number of sums, all pairs miss the bias alike; then a scale some steps of its last bit
// away is taken, as long as no code moves by more than the error that is allowed. Of sums whose codes are beyond every
// limit it matters only that they stay there: they may leave the room.
bool fold_channel(float scale, double bias, double largest_sum, FoldedChannel* folded) {
  if (std::fabs(bias) > kMaxCode) return false;
  if (scale == 0) {
    *folded = {bits_of(kStart), static_cast<float>(kStart + std::nearbyint(bias)), scale};
    return true;
  }
  const double beyond_limits = (kBeyondLimits + std::fabs(bias)) / std::fabs(static_cast<double>(scale));
  const double matters = std::min(largest_sum, std::ceil(beyond_limits));
  float below = scale;
  float above = scale;
  for (int step = 0; step <= kMaxScaleSteps; ++step) {
    for (const float moved : {above, below}) {
      const double shift = kHighestCode * std::fabs(static_cast<double>(moved) / static_cast<double>(scale) - 1.0);
      if (shift >= kMaxError || !fold_with(moved, bias, matters, kMaxError - shift, folded)) continue;
      if (codes_fit(*folded, largest_sum)) return true;
    }
    above = std::nextafter(above, std::numeric_limits<float>::infinity());
    below = std::nextafter(below, -std::numeric_limits<float>::infinity());
  }
  return false;
}

// How much a gated value changes with the value, at the most; a sigmoid's code with its exponent.
double steepness_of(const Epilogue& epilogue) {
  constexpr double kOfMish = 1.1;
  constexpr double kQuarterOfLn2 = 0.17328679513998632736;
  const Activation& activation = epilogue.activation;
  if (activation.kind == ActivationKind::kMish) return kOfMish;
  double steepness = activation.alpha;
  if (activation.kind == ActivationKind::kSigmoid) {
    steepness = kQuarterOfLn2 * static_cast<double>(epilogue.output_scale);
  } else if (activation.kind == ActivationKind::kHardSwish) {
    steepness = std::max(std::fabs(activation.beta), std::fabs(2.0f - activation.beta));
  }
  return std::max(1.0, steepness);
}

// Whether the codes of a channel whose values are gated have room where folded ones travel.
bool gated_fits(const Epilogue& epilogue, float scale, double bias, double largest_sum, double steepness) {
  if (epilogue.sums.gated == kGatedSigmoid) return static_cast<double>(epilogue.output_scale) <= kMaxCode;
  return (std::fabs(bias) + largest_sum * std::fabs(static_cast<double>(scale))) * steepness <= kMaxCode;
}

// Of a channel whose values are gated, and so not rounded to codes yet: the offset is any float, and the start one of
// those for which it comes out nearly exact. They lie apart, so that scales next to a power of two find one as well.
bool fold_gated_channel(float scale, double bias, double largest_sum, double steepness, FoldedChannel* folded) {
  constexpr int kStride = 257;
  const double wide = static_cast<double>(scale);
  const double max_error = kMaxError / steepness;
  double smallest_error = max_error;
  for (int i = 0; i < kMaxTries && smallest_error > kGoodError / steepness; ++i) {
    const double start = kStart + kStride * (i % 2 == 0 ? i / 2 : -(i + 1) / 2);
    if (std::fabs(start - kStart) + largest_sum > kRoom) break;
    const double exact = bias - start * wide;
    const float offset = static_cast<float>(exact);
    const double error = std::fabs(static_cast<double>(offset) - exact);
    if (error >= smallest_error) continue;
    smallest_error = error;
    *folded = {bits_of(start), offset, scale};
  }
  return smallest_error < max_error;
}

constexpr int64_t kLargestInput = 128;

// No sum of the channel is farther from zero.
double largest_sum(const EpilogueFacts& facts, size_t channel) {
  const int64_t positive = facts.positive[channel];
  const int64_t negative = facts.negative[channel];
  return static_cast<double>(facts.inputs_not_negative ? int64_t{kHighestCode} * std::max(positive, negative)
                                                       : kLargestInput * (positive + negative));
}

// Moves the offsets of int8 results into where the sums start (kSumsToS8Folded), which spares the kernel a conversion,
// where that cannot change more than one code in a few thousand: codes bounded by the weights, and a sum so small a
// part of a code that its rounding does not matter. Else leaves the epilogue as it is.
void fold_offsets(const EpilogueFacts& facts, Epilogue* epilogue) {
  if (epilogue->sums.output != kSumsToS8) return;
  constexpr float kHalf = 0.5f;  // which make_scales added for a floor
  const bool gated = epilogue->sums.gated != kNotGated;
  const double steepness = gated ? steepness_of(*epilogue) : 1;
  std::vector<int32_t> start(epilogue->scale.size(), bits_of(kStart));
  std::vector<float> offset(epilogue->scale.size(), static_cast<float>(kStart));
  std::vector<float> scale = epilogue->scale;
  for (size_t i = 0; i < facts.positive.size(); ++i) {
    FoldedChannel folded{};
    const double most = largest_sum(facts, i);
    if (gated && !gated_fits(*epilogue, scale[i], epilogue->offset[i], most, steepness)) return;
    const bool folds = gated ? fold_gated_channel(scale[i], epilogue->offset[i], most, steepness, &folded)
                             : fold_channel(scale[i], epilogue->offset[i] - kHalf, most, &folded);
    if (!folds) return;
    start[i] = folded.start;
    offset[i] = folded.offset;
    scale[i] = folded.scale;
  }
  epilogue->sums.output = kSumsToS8Folded;
  epilogue->start = start;
  epilogue->offset = offset;
  epilogue->scale = scale;
}

bool has_short_sums(const EpilogueFacts& facts) {
  for (size_t i = 0; i < facts.positive.size(); ++i) {
    if (largest_sum(facts, i) >= kShortSum) return false;
  }
  return true;
}

}  // namespace

EpilogueFacts facts_of(const Int8Weights& weights, const Activation& activation) {
  EpilogueFacts facts;
  facts.scales = weights;
  facts.scales.weights.release();
  facts.activation = activation;
  const int channels = weights.weight_scales.w;
  const int per_channel = weights.weights.w / channels;
  const signed char* row = weights.weights;
  for (int i = 0; i < channels; ++i, row += per_channel) {
    int64_t positive = 0;
    int64_t negative = 0;
    for (int k = 0; k < per_channel; ++k) (row[k] > 0 ? positive : negative) += std::abs(row[k]);
    facts.positive.push_back(positive);
    facts.negative.push_back(negative);
  }
  return facts;
}

Epilogue best_epilogue(const EpilogueFacts& facts) {
  Epilogue epilogue;
  make_epilogue(facts.scales, facts.activation, &epilogue);
  fold_offsets(facts, &epilogue);
  epilogue.sums.short_sums = has_short_sums(facts) ? 1 : 0;
  if (!epilogue.requantizes && epilogue.in_registers && epilogue.sums.gated == kNotGated) {
    std::vector<double> largest_sums;
    for (size_t i = 0; i < facts.positive.size(); ++i) largest_sums.push_back(largest_sum(facts, i));
    epilogue.halves = halves_epilogue(epilogue.scale, epilogue.offset, largest_sums);
    if (facts.activation.kind == ActivationKind::kRelu) {
      epilogue.rectified_halves = rectified(epilogue.halves, largest_sums);
    }
  }
  return epilogue;
}

}  // namespace edgedeploy
