// ConvolutionDepthWise as ncnn knows it, with int8 3x3 and 5x5 windows of stride 1 and 2 computed by depthwise_s8.
#ifndef EDGEDEPLOY_LAYERS_DEPTHWISE_CONVOLUTION_S8_H_
#define EDGEDEPLOY_LAYERS_DEPTHWISE_CONVOLUTION_S8_H_

#include "kernels/table.h"
#include "layers/codes_layer.h"
#include "layers/window.h"

namespace edgedeploy {

class DepthwiseConvolutionS8 : public CodesLayer {
 public:
  DepthwiseConvolutionS8();

 protected:
  bool read_params(const ncnn::ParamDict& pd) override;
  bool covers(const Int8Weights& weights, const ncnn::Option& opt) const override;
  int prepare(const Int8Weights& weights, const ncnn::Option& opt) override;
  int run(const ncnn::Mat& bottom_blob, ncnn::Mat& top_blob, const ncnn::Option& opt) const override;

 private:
  Window window_;
  const DepthwiseS8Variant* variant_ = nullptr;
  ncnn::Mat packed_weights_;
};

}  // namespace edgedeploy

#endif  // EDGEDEPLOY_LAYERS_DEPTHWISE_CONVOLUTION_S8_H_
