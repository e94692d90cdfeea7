// Convolution as ncnn knows it, with int8 convolutions of any window computed by conv_s8.
//
// Stock ncnn copies the input with its padding, unrolls it for a matrix product, writes int32 sums to memory and reads
// them again to requantize. Here kernels read the blob where it lies, through pointers, and scale, bias, activation and
// requantization happen in their registers.
#ifndef EDGEDEPLOY_LAYERS_CONVOLUTION_S8_H_
#define EDGEDEPLOY_LAYERS_CONVOLUTION_S8_H_

#include "kernels/table.h"
#include "layers/epilogue.h"
#include "layers/over_stock.h"
#include "layers/window.h"

namespace edgedeploy {

// What a convolution needs at run time.
struct ConvolutionPlan {
  Window window;
  int channels_in = 0;
  int channels_out = 0;
  bool in_eights = false;  // The input's channels are whole eights and are read where they lie; else tiles are packed.
  const KernelRow* kernel = nullptr;
  Epilogue epilogue;
  ncnn::Mat packed_weights;

  int64_t taps() const { return in_eights ? window.taps() : 1; }
  int64_t groups() const {
    const int64_t k = in_eights ? channels_in : int64_t{channels_in} * window.taps();
    return (k + kConvS8Group - 1) / kConvS8Group;
  }
};

class ConvolutionS8 : public OverStock {
 public:
  ConvolutionS8();

 protected:
  bool read_params(const ncnn::ParamDict& pd) override;
  Int8Layout weights_layout() const override;
  bool covers(const Int8Weights& weights, const ncnn::Option& opt) const override;
  int prepare(const Int8Weights& weights, const ncnn::Option& opt) override;
  int run(const ncnn::Mat& bottom_blob, ncnn::Mat& top_blob, const ncnn::Option& opt) const override;

 private:
  Int8Layout layout_;
  Activation activation_;
  ncnn::Mat input_scale_;  // float [1]
  ConvolutionPlan plan_;
};

// The product itself. `input` is int8, packed by eights where the plan says so, else by whatever divides its channels.
int run_convolution(const ConvolutionPlan& plan, const ncnn::Mat& input, ncnn::Mat& output, const ncnn::Option& opt);

}  // namespace edgedeploy

#endif  // EDGEDEPLOY_LAYERS_CONVOLUTION_S8_H_
