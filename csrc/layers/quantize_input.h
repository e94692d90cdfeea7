// A layer's input as int8.
#ifndef EDGEDEPLOY_LAYERS_QUANTIZE_INPUT_H_
#define EDGEDEPLOY_LAYERS_QUANTIZE_INPUT_H_

#include <mat.h>
#include <option.h>

namespace edgedeploy {

// An int8 blob stays; any other is quantized with the scale, as the engine does it, into a blob of the workspace.
// Channels in eights come packed by eights, others not packed. Returns kOk or kOutOfMemory.
int int8_input(const ncnn::Mat& blob, const ncnn::Mat& scale, const ncnn::Option& opt, ncnn::Mat* input);

}  // namespace edgedeploy

#endif  // EDGEDEPLOY_LAYERS_QUANTIZE_INPUT_H_
