// Holds the assembly's view of DepthwiseS8Params to the C++ one.
#include "kernels/depthwise_s8/depthwise_s8_offsets.h"

#include <cstddef>
#include <type_traits>

#include "kernels/depthwise_s8/depthwise_s8.h"

namespace edgedeploy {

static_assert(std::is_standard_layout_v<DepthwiseS8Params>);
static_assert(offsetof(DepthwiseS8Params, rows) == DEPTHWISE_S8_ROWS);
static_assert(offsetof(DepthwiseS8Params, weights) == DEPTHWISE_S8_WEIGHTS);
static_assert(offsetof(DepthwiseS8Params, outputs) == DEPTHWISE_S8_OUTPUTS);
static_assert(offsetof(DepthwiseS8Params, scale) == DEPTHWISE_S8_SCALE);
static_assert(offsetof(DepthwiseS8Params, offset) == DEPTHWISE_S8_OFFSET);
static_assert(offsetof(DepthwiseS8Params, c) == DEPTHWISE_S8_C);
static_assert(offsetof(DepthwiseS8Params, c_quad_stride_bytes) == DEPTHWISE_S8_C_QUAD_STRIDE_BYTES);
static_assert(offsetof(DepthwiseS8Params, epilogue.output) == DEPTHWISE_S8_OUTPUT);
static_assert(offsetof(DepthwiseS8Params, epilogue.low_code) == DEPTHWISE_S8_LOW_CODE);
static_assert(offsetof(DepthwiseS8Params, epilogue.high_code) == DEPTHWISE_S8_HIGH_CODE);
static_assert(offsetof(DepthwiseS8Params, epilogue.low_value) == DEPTHWISE_S8_LOW_VALUE);
static_assert(offsetof(DepthwiseS8Params, epilogue.high_value) == DEPTHWISE_S8_HIGH_VALUE);
static_assert(offsetof(DepthwiseS8Params, epilogue.gated) == DEPTHWISE_S8_GATED);
static_assert(offsetof(DepthwiseS8Params, epilogue.gate.slope) == DEPTHWISE_S8_GATE_SLOPE);
static_assert(offsetof(DepthwiseS8Params, epilogue.gate.offset) == DEPTHWISE_S8_GATE_OFFSET);
static_assert(offsetof(DepthwiseS8Params, epilogue.gate.low) == DEPTHWISE_S8_GATE_LOW);
static_assert(offsetof(DepthwiseS8Params, epilogue.gate.high) == DEPTHWISE_S8_GATE_HIGH);
static_assert(DEPTHWISE_S8_GATE_HIGH == DEPTHWISE_S8_GATE_LOW + 16);  // loaded as a pair
static_assert(offsetof(DepthwiseS8Params, start) == DEPTHWISE_S8_START);
static_assert(offsetof(DepthwiseS8Params, row_count) == DEPTHWISE_S8_ROW_COUNT);
static_assert(DEPTHWISE_S8_ROW_COUNT == DEPTHWISE_S8_START + 8);  // loaded as a pair
static_assert(kSumsToS8 == DEPTHWISE_S8_TO_S8 && kSumsToF32 == DEPTHWISE_S8_TO_F32);
static_assert(kSumsToS8Folded == DEPTHWISE_S8_TO_S8_FOLDED);
static_assert(kGatedSigmoid == DEPTHWISE_S8_GATED_SIGMOID && kGatedMish == DEPTHWISE_S8_GATED_SIGMOID + 1);

// The largest sum stays where floats are whole: DEPTHWISE_S8_MAGIC is 1.5 * 2^23.
static_assert(kDepthwiseS8MaxKernel * kDepthwiseS8MaxKernel * 128 * 127 < 1 << 22);

}  // namespace edgedeploy
