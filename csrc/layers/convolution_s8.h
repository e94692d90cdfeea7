// Convolution as ncnn knows it, with int8 convolutions of any window computed by conv_s8.
//
// Stock ncnn copies the input with its padding, unrolls it for a matrix product, writes int32 sums to memory and reads
// them again to requantize. Here kernels read the blob where it lies, through pointers, and scale, bias, activation and
// requantization happen in their registers.
#ifndef EDGEDEPLOY_LAYERS_CONVOLUTION_S8_H_
#define EDGEDEPLOY_LAYERS_CONVOLUTION_S8_H_

#include "kernels/table.h"
#include "layers/codes_layer.h"
#include "layers/pixel_tiles.h"
#include "layers/window.h"

namespace edgedeploy {

// How a convolution finds its input.
enum class InputForm {
  kEights,       // Channels are whole eights: read where they lie, a tap a pixel.
  kInterleaved,  // Other channel counts: pixels one after the other, a tap a row of the window.
  kGathered,     // The same, a tap a window: rows of windows copied one behind the other.
  kPacked,       // Those under a window that is dilated across: each tile is packed.
};

// What a convolution needs at run time.
struct ConvolutionPlan {
  Window window;
  int channels_in = 0;
  int channels_out = 0;
  InputForm form = InputForm::kEights;
  bool finds_codes_beside = false;
  const KernelRow* kernel = nullptr;
  const WinogradS8Variant* winograd = nullptr;  // instead of the kernel; packed_weights are its own then
  int64_t winograd_parts = 1;
  ncnn::Mat packed_weights;

  // The window as conv_s8 sees it.
  int64_t taps = 0;
  int64_t k = 0;       // values of a tap
  int64_t groups = 0;  // of eight values of a tap
};

class ConvolutionS8 : public CodesLayer {
 public:
  ConvolutionS8();

  float input_code_scale() const override { return computed_here() ? input_scale_[0] : 0; }
  void expect_given() override;
  bool reads_planes_apart() const override { return computed_here() && plan_.form == InputForm::kEights; }
  void expect_codes_beside() override { plan_.finds_codes_beside = true; }

 protected:
  bool read_params(const ncnn::ParamDict& pd) override;
  bool covers(const Int8Weights& weights, const ncnn::Option& opt) const override;
  int prepare(const Int8Weights& weights, const ncnn::Option& opt) override;
  int run(const ncnn::Mat& bottom_blob, ncnn::Mat& top_blob, const ncnn::Option& opt) const override;

 private:
  ncnn::Mat in_kernel_order(const ncnn::Mat& weights) const;

  ConvolutionPlan plan_;
  bool writes_halves_ = false;  // where the engine stores them
};

// A convolution's input as its plan wants it.
struct ConvolutionInput {
  ncnn::Mat blob;      // holds the bytes
  PixelLayout layout;  // unless the tiles are packed
  int64_t group_stride_bytes = 0;
  ncnn::Mat pad;  // holds the padding
};

// From the blob that the layer is given; float is quantized with the scale. Returns kOk or another of ncnn's codes.
int convolution_input(const ConvolutionPlan& plan, const ncnn::Mat& blob, const ncnn::Mat& scale,
                      const ncnn::Option& opt, ConvolutionInput* input);

// The product itself.
int run_convolution(const ConvolutionPlan& plan, const Epilogue& epilogue, const ConvolutionInput& input,
                    ncnn::Mat& output, const ncnn::Option& opt);

}  // namespace edgedeploy

#endif  // EDGEDEPLOY_LAYERS_CONVOLUTION_S8_H_
