// InnerProduct as ncnn knows it, with int8 weights computed by conv_s8: a row of inputs is a pixel, the outputs
// channels.
#ifndef EDGEDEPLOY_LAYERS_INNER_PRODUCT_S8_H_
#define EDGEDEPLOY_LAYERS_INNER_PRODUCT_S8_H_

#include "kernels/table.h"
#include "layers/epilogue.h"
#include "layers/over_stock.h"

namespace edgedeploy {

class InnerProductS8 : public OverStock {
 public:
  InnerProductS8();

  float read_scale() const override { return computed_here() ? input_scale_[0] : 0; }

 protected:
  bool read_params(const ncnn::ParamDict& pd) override;
  Int8Layout weights_layout() const override;
  bool covers(const Int8Weights& weights, const ncnn::Option& opt) const override;
  int prepare(const Int8Weights& weights, const ncnn::Option& opt) override;
  int run(const ncnn::Mat& bottom_blob, ncnn::Mat& top_blob, const ncnn::Option& opt) const override;

 private:
  // The input as rows of num_input_ bytes that lie `stride` apart, filled up to eights. Returns kOk or another code.
  int rows_of(const ncnn::Mat& bottom_blob, const ncnn::Option& opt, ncnn::Mat* rows) const;
  void multiply(const ncnn::Mat& rows, int64_t first, int64_t count, int group, ncnn::Mat& output) const;

  Int8Layout layout_;
  Activation activation_;
  int num_input_ = 0;
  Epilogue epilogue_;
  ncnn::Mat input_scale_;  // float [1]
  const KernelRow* kernel_ = nullptr;
  ncnn::Mat packed_weights_;
};

}  // namespace edgedeploy

#endif  // EDGEDEPLOY_LAYERS_INNER_PRODUCT_S8_H_
