// ConvolutionDepthWise as ncnn knows it, with int8 3x3 and 5x5 windows of stride 1 and 2 computed by depthwise_s8.
#ifndef EDGEDEPLOY_LAYERS_DEPTHWISE_CONVOLUTION_S8_H_
#define EDGEDEPLOY_LAYERS_DEPTHWISE_CONVOLUTION_S8_H_

#include "kernels/table.h"
#include "layers/epilogue.h"
#include "layers/over_stock.h"
#include "layers/window.h"

namespace edgedeploy {

class DepthwiseConvolutionS8 : public OverStock {
 public:
  DepthwiseConvolutionS8();

  float read_scale() const override { return computed_here() ? input_scale_[0] : 0; }
  void expect_no_negatives(bool by_eights) override;
  Written written() const override { return computed_here() ? Written{epilogue_.never_negative(), true} : Written{}; }
  bool could_write_codes() const override;
  void write_codes(float scale) override;

 protected:
  bool read_params(const ncnn::ParamDict& pd) override;
  Int8Layout weights_layout() const override;
  bool covers(const Int8Weights& weights, const ncnn::Option& opt) const override;
  int prepare(const Int8Weights& weights, const ncnn::Option& opt) override;
  int run(const ncnn::Mat& bottom_blob, ncnn::Mat& top_blob, const ncnn::Option& opt) const override;

 private:
  Window window_;
  Int8Layout layout_;
  Activation activation_;
  EpilogueFacts facts_;
  Epilogue epilogue_;
  ncnn::Mat input_scale_;  // float [1]
  const DepthwiseS8Variant* variant_ = nullptr;
  ncnn::Mat packed_weights_;
};

}  // namespace edgedeploy

#endif  // EDGEDEPLOY_LAYERS_DEPTHWISE_CONVOLUTION_S8_H_
