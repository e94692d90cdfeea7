#include "layers/convolution_s8.h"

#include <layer_type.h>

#include "dispatch/dispatch.h"
#include "layers/gathered_windows.h"
#include "layers/interleaved_input.h"
#include "layers/output_tile.h"
#include "layers/whole_parts.h"
#include "layers/winograd_convolution.h"

namespace edgedeploy {

namespace {

// Convolution's parameter ids, as ncnn's src/layer/convolution.cpp reads them.
constexpr int kParamNumOutput = 0;
constexpr int kParamBiasTerm = 5;
constexpr int kParamWeightCount = 6;
constexpr int kParamInt8ScaleTerm = 8;
constexpr int kRequantizeAbove = 100;

// Where Winograd's algorithm is faster, which needs a quarter of the products: cores without SDOT, where a product
// costs four times as much. What ours does not cover is left to the engine's.
bool winograd_is_faster(const ConvolutionPlan& plan, const ncnn::Option& opt) {
  const Window& w = plan.window;
  const bool applies = w.kernel_w == 3 && w.kernel_h == 3 && w.stride_w == 1 && w.stride_h == 1 && w.dilation_w == 1 &&
                       w.dilation_h == 1 && plan.channels_in >= 8 && plan.channels_out >= 8;
  return applies && opt.use_winograd_convolution &&
         (opt.use_winograd23_convolution || opt.use_winograd43_convolution) && (cpu_features() & kIsaAsimdDp) == 0;
}

InputForm form_of(const ConvolutionPlan& plan) {
  if (plan.channels_in % kConvS8Group == 0) return InputForm::kEights;
  if (plan.window.dilation_w != 1) return InputForm::kPacked;
  return gathering_pays(plan.window, plan.channels_in, plan.channels_out) ? InputForm::kGathered
                                                                          : InputForm::kInterleaved;
}

}  // namespace

ConvolutionS8::ConvolutionS8() : CodesLayer(ncnn::LayerType::Convolution) {}

bool ConvolutionS8::read_params(const ncnn::ParamDict& pd) {
  const int scale_term = pd.get(kParamInt8ScaleTerm, 0);
  if (scale_term == 0 || !read_window(pd, &plan_.window) || !read_activation(pd, &activation_)) return false;
  layout_ = {pd.get(kParamNumOutput, 0), pd.get(kParamBiasTerm, 0) != 0, scale_term > kRequantizeAbove};
  if (layout_.channels <= 0) return false;
  plan_.channels_out = layout_.channels;
  plan_.channels_in = pd.get(kParamWeightCount, 0) / layout_.channels / plan_.window.taps();
  plan_.form = form_of(plan_);
  plan_.taps = plan_.form == InputForm::kEights        ? plan_.window.taps()
               : plan_.form == InputForm::kInterleaved ? plan_.window.kernel_h
                                                       : 1;
  plan_.k = int64_t{plan_.channels_in} * plan_.window.taps() / plan_.taps;
  plan_.groups = divide_up(plan_.k, kConvS8Group);
  return plan_.channels_in > 0 && plan_.taps * plan_.groups * kConvS8Group <= kConvS8MaxK;
}

bool ConvolutionS8::covers(const Int8Weights& weights, const ncnn::Option& opt) const {
  Epilogue epilogue;
  if (select_kernel(kOpConvS8) == nullptr || !weights.fit_the_kernels() ||
      !make_epilogue(weights, activation_, &epilogue)) {
    return false;
  }
  return !winograd_is_faster(plan_, opt) || winograd_fits(plan_, epilogue, support_fp16_storage, opt);
}

// Float32 of an image becomes codes at once then, in whatever precision the engine would have made them.
void ConvolutionS8::expect_given() {
  const bool by_pixels = plan_.form == InputForm::kInterleaved || plan_.form == InputForm::kGathered;
  if (computed_here() && by_pixels && plan_.channels_in == kImageChannels) support_fp16_storage = false;
}

int ConvolutionS8::prepare(const Int8Weights& weights, const ncnn::Option& opt) {
  writes_halves_ = support_fp16_storage;
  keep_facts(weights, plan_.window.pad_code);
  if (winograd_is_faster(plan_, opt)) plan_.winograd_parts = winograd_parts(plan_, weights.weights);
  if (winograd_is_faster(plan_, opt) && plan_.winograd_parts > 0) return pack_winograd(weights.weights, &plan_);
  plan_.kernel = select_kernel(kOpConvS8);
  const int64_t k = plan_.k;
  const ncnn::Mat ordered = in_kernel_order(weights.weights);
  plan_.packed_weights.create(static_cast<int>(conv_s8_packed_bytes(plan_.channels_out, k, plan_.taps)), size_t{1});
  if (ordered.empty() || plan_.packed_weights.empty()) return kOutOfMemory;
  plan_.kernel->conv_pack(ordered, plan_.channels_out, k, plan_.taps, static_cast<int8_t*>(plan_.packed_weights.data));
  return kOk;
}

// conv_pack takes weights[n][k][taps]. ncnn's [n][channel][row][column] is that with a pixel a tap, and with all of
// them in one; where a row of the window is a tap, k is [column][channel], where the window is, [row][column][channel].
ncnn::Mat ConvolutionS8::in_kernel_order(const ncnn::Mat& weights) const {
  if (plan_.form != InputForm::kInterleaved && plan_.form != InputForm::kGathered) return weights;
  ncnn::Mat ordered(weights.w, size_t{1});
  if (ordered.empty()) return ordered;
  const int8_t* from = weights;
  int8_t* into = ordered;
  const Window& window = plan_.window;
  for (int n = 0; n < plan_.channels_out; ++n, into += plan_.channels_in * window.taps()) {
    for (int channel = 0; channel < plan_.channels_in; ++channel) {
      for (int row = 0; row < window.kernel_h; ++row) {
        for (int column = 0; column < window.kernel_w; ++column) {
          const int in_row = column * plan_.channels_in + channel;
          into[plan_.form == InputForm::kGathered ? row * window.kernel_w * plan_.channels_in + in_row
                                                  : in_row * window.kernel_h + row] = *from++;
        }
      }
    }
  }
  return ordered;
}

int ConvolutionS8::run(const ncnn::Mat& bottom_blob, ncnn::Mat& top_blob, const ncnn::Option& opt) const {
  if (bottom_blob.dims > 3 || bottom_blob.c * bottom_blob.elempack != plan_.channels_in) return kFailed;
  const int width = plan_.window.output_width(bottom_blob.w);
  const int height = plan_.window.output_height(bottom_blob.h);
  if (width <= 0 || height <= 0) return kFailed;
  ConvolutionInput input;
  const int code = convolution_input(plan_, bottom_blob, input_scale_, opt, &input);
  if (code != kOk) return code;
  const int created = create_output(width, height, plan_.channels_out, epilogue(), writes_halves_, opt, &top_blob);
  if (created != kOk) return created;
  return plan_.winograd != nullptr ? run_winograd(plan_, epilogue(), input, top_blob, opt)
                                   : run_convolution(plan_, epilogue(), input, top_blob, opt);
}

}  // namespace edgedeploy
