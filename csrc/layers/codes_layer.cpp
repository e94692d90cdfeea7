#include "layers/codes_layer.h"

#include "layers/output_tile.h"

namespace edgedeploy {

void CodesLayer::expect_no_negatives(bool /*by_eights*/) {
  if (!computed_here()) return;
  if (pad_code_ < 0 || input_scale_[0] <= 0) return;  // Padding and codes of the other sign.
  facts_.inputs_not_negative = true;
  epilogue_ = best_epilogue(facts_);
}

Written CodesLayer::written() const {
  return computed_here() ? Written{epilogue_.never_negative(), channels_are_eights()} : Written{};
}

bool CodesLayer::could_write_codes() const {
  return computed_here() && !epilogue_.requantizes && channels_are_eights();
}

void CodesLayer::write_codes(float scale) {
  facts_.scales.output_scale.create(1);
  facts_.scales.output_scale[0] = scale;
  epilogue_ = best_epilogue(facts_);
}

void CodesLayer::keep_facts(const Int8Weights& weights, int8_t pad_code) {
  facts_ = facts_of(weights, activation_);
  epilogue_ = best_epilogue(facts_);
  input_scale_ = weights.input_scale;
  pad_code_ = pad_code;
}

bool CodesLayer::channels_are_eights() const { return layout_.channels % kChannelGroup == 0; }

}  // namespace edgedeploy
