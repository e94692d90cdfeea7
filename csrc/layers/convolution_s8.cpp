#include "layers/convolution_s8.h"

#include <layer_type.h>

#include "dispatch/dispatch.h"
#include "layers/output_tile.h"
#include "layers/quantize_input.h"

namespace edgedeploy {

namespace {

// Convolution's parameter ids, as ncnn's src/layer/convolution.cpp reads them.
constexpr int kParamNumOutput = 0;
constexpr int kParamBiasTerm = 5;
constexpr int kParamWeightCount = 6;
constexpr int kParamInt8ScaleTerm = 8;
constexpr int kRequantizeAbove = 100;

}  // namespace

ConvolutionS8::ConvolutionS8() : OverStock(ncnn::LayerType::Convolution) {}

bool ConvolutionS8::read_params(const ncnn::ParamDict& pd) {
  const int scale_term = pd.get(kParamInt8ScaleTerm, 0);
  if (scale_term == 0 || !read_window(pd, &plan_.window) || !read_activation(pd, &activation_)) return false;
  layout_ = {pd.get(kParamNumOutput, 0), pd.get(kParamBiasTerm, 0) != 0, scale_term > kRequantizeAbove};
  if (layout_.channels <= 0) return false;
  plan_.channels_out = layout_.channels;
  plan_.channels_in = pd.get(kParamWeightCount, 0) / layout_.channels / plan_.window.taps();
  plan_.in_eights = plan_.channels_in % kConvS8Group == 0;
  return plan_.channels_in > 0 && int64_t{plan_.channels_in} * plan_.window.taps() <= kConvS8MaxK - kConvS8Group;
}

Int8Layout ConvolutionS8::weights_layout() const { return layout_; }

bool ConvolutionS8::covers(const Int8Weights& weights, const ncnn::Option& /*opt*/) const {
  Epilogue epilogue;
  return select_kernel(kOpConvS8) != nullptr && weights.fit_the_kernels() &&
         make_epilogue(weights, activation_, &epilogue);
}

int ConvolutionS8::prepare(const Int8Weights& weights, const ncnn::Option& /*opt*/) {
  make_epilogue(weights, activation_, &plan_.epilogue);
  input_scale_ = weights.input_scale;
  plan_.kernel = select_kernel(kOpConvS8);
  const int64_t taps = plan_.taps();
  const int64_t k = int64_t{plan_.channels_in} * plan_.window.taps() / taps;
  plan_.packed_weights.create(static_cast<int>(conv_s8_packed_bytes(plan_.channels_out, k, taps)), size_t{1});
  if (plan_.packed_weights.empty()) return kOutOfMemory;
  plan_.kernel->conv_pack(weights.weights, plan_.channels_out, k, taps,
                          static_cast<int8_t*>(plan_.packed_weights.data));
  return kOk;
}

int ConvolutionS8::run(const ncnn::Mat& bottom_blob, ncnn::Mat& top_blob, const ncnn::Option& opt) const {
  ncnn::Mat input;
  const int code = int8_input(bottom_blob, input_scale_, opt, &input);
  if (code != kOk) return code;
  if (input.dims > 3 || input.c * input.elempack != plan_.channels_in) return kFailed;
  const int width = plan_.window.output_width(input.w);
  const int height = plan_.window.output_height(input.h);
  if (width <= 0 || height <= 0) return kFailed;
  const int created =
      create_output(width, height, plan_.channels_out, plan_.epilogue, support_fp16_storage, opt, &top_blob);
  return created != kOk ? created : run_convolution(plan_, input, top_blob, opt);
}

}  // namespace edgedeploy
