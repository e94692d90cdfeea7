#include "layers/depthwise_convolution_s8.h"

#include <cpu.h>
#include <layer_type.h>

#include <algorithm>

#include "dispatch/dispatch.h"
#include "layers/output_tile.h"
#include "layers/quantize_input.h"

namespace edgedeploy {

namespace {

// ConvolutionDepthWise's parameter ids and values, as ncnn's src/layer/convolutiondepthwise.cpp reads them.
constexpr int kParamNumOutput = 0;
constexpr int kParamBiasTerm = 5;
constexpr int kParamWeightCount = 6;
constexpr int kParamGroup = 7;
constexpr int kParamInt8ScaleTerm = 8;
constexpr int kScalePerChannel = 1;
constexpr int kRequantizes = 101;

// The variant for a window, or null.
const DepthwiseS8Variant* variant_for(const Window& window) {
  if (window.kernel_w != window.kernel_h || window.stride_w != window.stride_h || window.dilation_w != 1 ||
      window.dilation_h != 1) {
    return nullptr;
  }
  for (const char* op : {kOpDepthwiseS8K3S1, kOpDepthwiseS8K3S2, kOpDepthwiseS8K5S1, kOpDepthwiseS8K5S2}) {
    const KernelRow* row = select_kernel(op);
    if (row != nullptr && row->depthwise->kernel == window.kernel_w && row->depthwise->stride == window.stride_w) {
      return row->depthwise;
    }
  }
  return nullptr;
}

// Prepared rows of one group of channels: the last input rows, as many as a window has or a few more, so that their
// number is a power of two and a row's place costs no division, and one row of padding.
class RowRing {
 public:
  RowRing(const DepthwiseS8Variant& variant, int64_t outputs, int8_t* memory)
      : variant_(variant), outputs_(outputs), row_bytes_(variant.row_bytes(outputs)), memory_(memory) {}

  static size_t bytes(const DepthwiseS8Variant& variant, int64_t outputs) {
    return static_cast<size_t>(places(variant) + 1) * variant.row_bytes(outputs);
  }

  // Starts on another plane.
  void begin(const int8_t* plane, int width, int height, const Padding& padding, int8_t pad_code) {
    plane_ = plane;
    height_ = height;
    params_ = {plane, width, padding.left, outputs_, pad_code, padding_row()};
    params_.src = nullptr;
    variant_.prepare(&params_);
    next_ = 0;
  }

  // Prepared forms of the input rows [first, first + kernel); rows outside the plane are padding. `first` never falls.
  void rows_from(int first, const int8_t** rows) {
    next_ = std::max(next_, first);
    for (; next_ < std::min(first + variant_.kernel, height_); ++next_) {
      params_.src = plane_ + next_ * params_.width * kChannelGroup;
      params_.dst = place_of(next_);
      variant_.prepare(&params_);
    }
    for (int r = 0; r < variant_.kernel; ++r) {
      const int y = first + r;
      rows[r] = y >= 0 && y < height_ ? place_of(y) : padding_row();
    }
  }

 private:
  static int places(const DepthwiseS8Variant& variant) { return variant.kernel <= 4 ? 4 : 8; }
  int8_t* place_of(int y) const { return memory_ + static_cast<size_t>(y & (places(variant_) - 1)) * row_bytes_; }
  int8_t* padding_row() const { return memory_ + static_cast<size_t>(places(variant_)) * row_bytes_; }

  const DepthwiseS8Variant& variant_;
  const int64_t outputs_;
  const size_t row_bytes_;
  int8_t* const memory_;
  const int8_t* plane_ = nullptr;
  int height_ = 0;
  int next_ = 0;  // The first row that is not prepared yet.
  DepthwiseS8RowParams params_{};
};

}  // namespace

DepthwiseConvolutionS8::DepthwiseConvolutionS8() : OverStock(ncnn::LayerType::ConvolutionDepthWise) {}

bool DepthwiseConvolutionS8::read_params(const ncnn::ParamDict& pd) {
  const int scale_term = pd.get(kParamInt8ScaleTerm, 0);
  const int channels = pd.get(kParamNumOutput, 0);
  if ((scale_term != kScalePerChannel && scale_term != kRequantizes) || !read_window(pd, &window_) ||
      !read_activation(pd, &activation_) || channels <= 0 || channels % kChannelGroup != 0 ||
      pd.get(kParamGroup, 1) != channels || pd.get(kParamWeightCount, 0) != channels * window_.taps()) {
    return false;
  }
  layout_ = {channels, pd.get(kParamBiasTerm, 0) != 0, scale_term == kRequantizes};
  return window_.padding.left < window_.kernel_w && window_.padding.top < window_.kernel_h;
}

Int8Layout DepthwiseConvolutionS8::weights_layout() const { return layout_; }

bool DepthwiseConvolutionS8::covers(const Int8Weights& weights, const ncnn::Option& /*opt*/) const {
  Epilogue epilogue;
  return variant_for(window_) != nullptr && weights.fit_the_kernels() && make_epilogue(weights, activation_, &epilogue);
}

int DepthwiseConvolutionS8::prepare(const Int8Weights& weights, const ncnn::Option& /*opt*/) {
  make_epilogue(weights, activation_, &epilogue_);
  fold_offsets(weights, &epilogue_);
  input_scale_ = weights.input_scale;
  variant_ = variant_for(window_);
  const int groups = layout_.channels / kChannelGroup;
  packed_weights_.create(static_cast<int>(variant_->packed_bytes), groups, size_t{1});
  if (packed_weights_.empty()) return kOutOfMemory;
  for (int group = 0; group < groups; ++group) {
    const signed char* first = weights.weights;
    variant_->pack(first + group * kChannelGroup * window_.taps(), kChannelGroup, packed_weights_.row<int8_t>(group));
  }
  return kOk;
}

int DepthwiseConvolutionS8::run(const ncnn::Mat& bottom_blob, ncnn::Mat& top_blob, const ncnn::Option& opt) const {
  ncnn::Mat input;
  const int code = int8_input(bottom_blob, input_scale_, opt, &input);
  if (code != kOk) return code;
  if (input.dims > 3 || input.elempack != kChannelGroup || input.c * kChannelGroup != layout_.channels) return kFailed;
  const int width = window_.output_width(input.w);
  const int height = window_.output_height(input.h);
  if (width <= 0 || height <= 0) return kFailed;
  const int created = create_output(width, height, layout_.channels, epilogue_, false, opt, &top_blob);
  if (created != kOk) return created;

  const Padding padding = window_.padding_for(input.w, input.h);
  const size_t ring_bytes = RowRing::bytes(*variant_, width);
  const size_t tile_bytes = static_cast<size_t>(width) * kChannelGroup * sizeof(float);
  ncnn::Mat scratch;
  scratch.create(static_cast<int>(ring_bytes + tile_bytes), opt.num_threads, size_t{1}, opt.workspace_allocator);
  if (scratch.empty()) return kOutOfMemory;

#pragma omp parallel for num_threads(opt.num_threads)
  for (int group = 0; group < input.c; ++group) {
    int8_t* mine = scratch.row<int8_t>(ncnn::get_omp_thread_num());
    RowRing ring(*variant_, width, mine);
    ring.begin(input.channel(group), input.w, input.h, padding, window_.pad_code);
    OutputTile out(epilogue_, layout_.channels, top_blob, reinterpret_cast<float*>(mine + ring_bytes), width);
    const int8_t* rows[kDepthwiseS8MaxKernel];
    DepthwiseS8Params params{};
    params.rows = rows;
    params.weights = packed_weights_.row<const int8_t>(group);
    params.outputs = width;
    params.scale = epilogue_.scale.data() + group * kChannelGroup;
    params.offset = epilogue_.offset.data() + group * kChannelGroup;
    params.epilogue = epilogue_.sums;
    params.start = epilogue_.start.empty() ? nullptr : epilogue_.start.data() + group * kChannelGroup;
    for (int y = 0; y < height; ++y) {
      ring.rows_from(y * window_.stride_h - padding.top, rows);
      params.c = out.place(int64_t{y} * width, group);
      params.c_quad_stride_bytes = out.quad_stride_bytes();
      variant_->run(&params);
      out.store(int64_t{y} * width, width, group);
    }
  }
  return kOk;
}

}  // namespace edgedeploy
