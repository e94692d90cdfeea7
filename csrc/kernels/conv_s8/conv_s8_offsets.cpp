// Holds the assembly's view of ConvS8Params and its enumeration to the C++ one.
#include "kernels/conv_s8/conv_s8_offsets.h"

#include <cstddef>
#include <type_traits>

#include "kernels/conv_s8/conv_s8.h"
#include "kernels/sums_curves.h"

namespace edgedeploy {

static_assert(std::is_standard_layout_v<ConvS8Params>);
static_assert(offsetof(ConvS8Params, a) == CONV_S8_A);
static_assert(offsetof(ConvS8Params, taps) == CONV_S8_TAPS);
static_assert(offsetof(ConvS8Params, groups) == CONV_S8_GROUPS);
static_assert(offsetof(ConvS8Params, a_group_stride_bytes) == CONV_S8_A_GROUP_STRIDE_BYTES);
static_assert(offsetof(ConvS8Params, b) == CONV_S8_B);
static_assert(offsetof(ConvS8Params, pixels) == CONV_S8_PIXELS);
static_assert(offsetof(ConvS8Params, scale) == CONV_S8_SCALE);
static_assert(offsetof(ConvS8Params, offset) == CONV_S8_OFFSET);
static_assert(offsetof(ConvS8Params, c) == CONV_S8_C);
static_assert(offsetof(ConvS8Params, c_quad_stride_bytes) == CONV_S8_C_QUAD_STRIDE_BYTES);
static_assert(offsetof(ConvS8Params, epilogue.output) == CONV_S8_OUTPUT);
static_assert(offsetof(ConvS8Params, epilogue.low_code) == CONV_S8_LOW_CODE);
static_assert(offsetof(ConvS8Params, epilogue.high_code) == CONV_S8_HIGH_CODE);
static_assert(offsetof(ConvS8Params, epilogue.low_value) == CONV_S8_LOW_VALUE);
static_assert(offsetof(ConvS8Params, epilogue.high_value) == CONV_S8_HIGH_VALUE);
static_assert(offsetof(ConvS8Params, epilogue.short_sums) == CONV_S8_SHORT_SUMS);
static_assert(offsetof(ConvS8Params, epilogue.gated) == CONV_S8_GATED);
static_assert(offsetof(ConvS8Params, epilogue.gate.slope) == CONV_S8_GATE_SLOPE);
static_assert(offsetof(ConvS8Params, epilogue.gate.offset) == CONV_S8_GATE_OFFSET);
static_assert(offsetof(ConvS8Params, epilogue.gate.low) == CONV_S8_GATE_LOW);
static_assert(offsetof(ConvS8Params, epilogue.gate.high) == CONV_S8_GATE_HIGH);
static_assert(CONV_S8_GATE_HIGH == CONV_S8_GATE_LOW + 16);  // loaded as a pair
static_assert(offsetof(SumsGate, slope) == SUMS_GATE_SLOPE && offsetof(SumsGate, offset) == SUMS_GATE_OFFSET);
static_assert(offsetof(SumsGate, low) == SUMS_GATE_LOW && offsetof(SumsGate, high) == SUMS_GATE_HIGH);
static_assert(offsetof(ConvS8Params, start) == CONV_S8_START);
static_assert(offsetof(ConvS8Params, half_step) == CONV_S8_HALF_STEP);
static_assert(kSumsToS8Folded == CONV_S8_TO_S8_FOLDED);
static_assert(kSumsToF16 == CONV_S8_TO_F16);
static_assert(kSumsToF16Folded == CONV_S8_TO_F16_FOLDED);
static_assert(kSumsToF16Shifted == CONV_S8_TO_F16_SHIFTED && kSumsShift == CONV_S8_SHIFT);
static_assert(kSumsToF16Rectified == CONV_S8_TO_F16_RECTIFIED && kHalfShift == CONV_S8_HALF_SHIFT);
static_assert(kSumsToS8 == CONV_S8_TO_S8);
static_assert(kSumsToF32 == CONV_S8_TO_F32);
static_assert(kGatedLinear == CONV_S8_GATED_LINEAR && kGatedSigmoid == CONV_S8_GATED_SIGMOID);
static_assert(kGatedMish == kGatedSigmoid + 1);
static_assert(kConvS8Group == 8 && kConvS8MaxTile == 8);

}  // namespace edgedeploy
