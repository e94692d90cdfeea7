// Convolutions with a 3x3 window of stride 1 by winograd_s8.
#ifndef EDGEDEPLOY_LAYERS_WINOGRAD_CONVOLUTION_H_
#define EDGEDEPLOY_LAYERS_WINOGRAD_CONVOLUTION_H_

#include "layers/convolution_s8.h"

namespace edgedeploy {

// Whether winograd_s8 can write what the layer's output is: eights of channels, the activation in its registers, floats
// of 32 bits.
bool winograd_fits(const ConvolutionPlan& plan, const Epilogue& epilogue, bool fp16_storage, const ncnn::Option& opt);

// In how many parts winograd_s8 has to take the input's channels, so that no sum of these weights can be beyond what it
// computes exactly; 0 where no number of them will do. weights: int8, in ncnn's order.
int64_t winograd_parts(const ConvolutionPlan& plan, const ncnn::Mat& weights);

// Makes the plan one of winograd_s8. weights: int8, in ncnn's order. Returns kOk or kOutOfMemory.
int pack_winograd(const ncnn::Mat& weights, ConvolutionPlan* plan);

// The convolution itself, of a plan that pack_winograd made. Returns kOk or kOutOfMemory.
int run_winograd(const ConvolutionPlan& plan, const Epilogue& epilogue, const ConvolutionInput& input,
                 ncnn::Mat& output, const ncnn::Option& opt);

}  // namespace edgedeploy

#endif  // EDGEDEPLOY_LAYERS_WINOGRAD_CONVOLUTION_H_
