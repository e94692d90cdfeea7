#include "layers/halves_epilogue.h"

#include <cmath>
#include <cstdlib>

namespace edgedeploy {

namespace {

constexpr double kMiddle = 12582912.0;  // 1.5 * 2^23, in the middle of the floats that step by one
constexpr int32_t kBitsOfMiddle = 0x4b400000;
constexpr double kRoom = 4194304.0 - 2.0;  // from there to their ends
constexpr double kGoodError = 1.0 / 1024;  // of a step
constexpr double kMaxError = 4 * kGoodError;
constexpr int kMaxTries = 16384;
constexpr int kMaxScaleSteps = 16;
constexpr int32_t kSumsOfShiftedStep = 1 << kSumsShift;

struct Channel {
  int32_t shift;  // of the sums' start from the middle
  float scale;    // of a step
  float offset;
};

// sums: how many a step stands for. The offset takes the middle back out, which its rounding spoils by up to three
// quarters of a step: of the starts that the room leaves, one is taken where it does not.
bool fold_with(float scale_of_sum, float bias, double largest_sum, int32_t sums, Channel* channel) {
  const double scale = static_cast<double>(scale_of_sum);
  double smallest_error = kMaxError * sums * std::fabs(scale);
  bool found = false;
  for (int i = 0; i < kMaxTries; ++i) {
    const int32_t shift = i % 2 == 0 ? i / 2 : -(i + 1) / 2;
    if (std::abs(shift) + largest_sum > kRoom * sums) break;
    const double offset = static_cast<double>(bias) - (kMiddle * sums + shift) * scale;
    const float rounded = static_cast<float>(offset);
    const double error = std::fabs(static_cast<double>(rounded) - offset);
    if (error > smallest_error || !std::isfinite(rounded)) continue;
    *channel = {shift, scale_of_sum * static_cast<float>(sums), rounded};
    found = std::isfinite(channel->scale);
    smallest_error = error;
    if (error <= kGoodError * sums * std::fabs(scale)) break;
  }
  return found;
}

// Or with a scale some steps of its last bit away.
bool fold(float scale, float bias, double largest_sum, int32_t sums, Channel* channel) {
  float moved = scale;
  for (int step = 0; step <= kMaxScaleSteps; ++step, moved = std::nextafter(moved, 0.0f)) {
    if (fold_with(moved, bias, largest_sum, sums, channel)) return true;
  }
  return false;
}

}  // namespace

HalvesEpilogue halves_epilogue(const std::vector<float>& scale, const std::vector<float>& offset,
                               const std::vector<double>& largest_sums) {
  for (const int32_t sums : {1, kSumsOfShiftedStep}) {
    const bool shifts = sums != 1;
    // A shift drops bits: half of what they stand for is added before.
    const int32_t first = shifts ? kSumsOfShiftedStep / 2 : kBitsOfMiddle;
    HalvesEpilogue made;
    made.output = shifts ? kSumsToF16Shifted : kSumsToF16Folded;
    made.start.assign(scale.size(), first);
    made.scale.assign(scale.size(), 0.0f);
    made.offset.assign(scale.size(), 0.0f);
    bool fits = true;
    for (size_t i = 0; i < largest_sums.size() && fits; ++i) {
      Channel channel{};
      fits = fold(scale[i], offset[i], largest_sums[i], sums, &channel);
      made.start[i] = first + channel.shift;
      made.scale[i] = channel.scale;
      made.offset[i] = channel.offset;
    }
    if (fits) return made;
  }
  return {};
}

HalvesEpilogue rectified(const HalvesEpilogue& halves, const std::vector<double>& largest_sums) {
  constexpr double kLargestHalf = 65504.0;
  constexpr int kFloatMantissaBits = 23;
  if (halves.output != kSumsToF16Folded) return {};
  HalvesEpilogue made = halves;
  made.output = kSumsToF16Rectified;
  for (size_t i = 0; i < made.start.size(); ++i) {
    made.start[i] -= kHalfExponentShift << kFloatMantissaBits;
    made.offset[i] = std::ldexp(halves.offset[i], -kHalfExponentShift);
    if (std::ldexp(made.offset[i], kHalfExponentShift) != halves.offset[i]) return {};
    if (i >= largest_sums.size()) continue;
    const double scale = static_cast<double>(halves.scale[i]);
    const double middle = (kMiddle + (halves.start[i] - kBitsOfMiddle)) * scale + static_cast<double>(halves.offset[i]);
    if (std::fabs(middle) + largest_sums[i] * std::fabs(scale) > kLargestHalf) return {};
  }
  return made;
}

}  // namespace edgedeploy
