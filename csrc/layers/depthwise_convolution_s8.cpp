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

constexpr size_t kRingBytes = 16 * 1024;  // Half of the smallest L1 data cache.

// Prepared rows of one group of channels: the last input rows, as many as a band of output rows needs or a few more, so
// that their number is a power of two and a row's place costs no division; and one row of padding.
class RowRing {
 public:
  // How many rows of outputs are computed at once, and for how many input rows there is room.
  struct Size {
    int band = 1;
    int places = 0;
  };

  static Size size_for(const DepthwiseS8Variant& variant, int64_t outputs, int output_rows) {
    Size size;
    size.places = variant.kernel <= 4 ? 4 : 8;
    const int needed = (output_rows - 1) * variant.stride + variant.kernel;
    while (size.places < needed && 2 * static_cast<size_t>(size.places) * variant.row_bytes(outputs) <= kRingBytes) {
      size.places *= 2;
    }
    size.band = std::min(output_rows, (size.places - variant.kernel) / variant.stride + 1);
    return size;
  }

  RowRing(const DepthwiseS8Variant& variant, int64_t outputs, const Size& size, int8_t* memory)
      : variant_(variant),
        outputs_(outputs),
        row_bytes_(variant.row_bytes(outputs)),
        places_(size.places),
        memory_(memory),
        pointers_(reinterpret_cast<const int8_t**>(memory + static_cast<size_t>(size.places + 1) * row_bytes_)) {}

  static size_t bytes(const DepthwiseS8Variant& variant, int64_t outputs, const Size& size) {
    return static_cast<size_t>(size.places + 1) * variant.row_bytes(outputs) +
           static_cast<size_t>(size.places) * sizeof(const int8_t*);
  }

  // Starts on another plane.
  void begin(const int8_t* plane, int width, int height, const Padding& padding, int8_t pad_code) {
    plane_ = plane;
    height_ = height;
    params_ = {nullptr, width, padding.left, outputs_, pad_code, padding_row(), 1};
    variant_.prepare(&params_);
    next_ = 0;
  }

  // Prepared forms of the input rows [first, first + count); rows outside the plane are padding. `first` never falls,
  // count is at most the number of places.
  const int8_t* const* rows_from(int first, int count) {
    next_ = std::max(next_, first);
    const int end = std::min(first + count, height_);
    while (next_ < end) {
      const int place = next_ & (places_ - 1);
      params_.src = plane_ + next_ * params_.width * kChannelGroup;
      params_.dst = place_of(next_);
      params_.row_count = std::min(end - next_, places_ - place);
      variant_.prepare(&params_);
      next_ += static_cast<int>(params_.row_count);
    }
    for (int r = 0; r < count; ++r) {
      const int y = first + r;
      pointers_[r] = y >= 0 && y < height_ ? place_of(y) : padding_row();
    }
    return pointers_;
  }

 private:
  int8_t* place_of(int y) const { return memory_ + static_cast<size_t>(y & (places_ - 1)) * row_bytes_; }
  int8_t* padding_row() const { return memory_ + static_cast<size_t>(places_) * row_bytes_; }

  const DepthwiseS8Variant& variant_;
  const int64_t outputs_;
  const size_t row_bytes_;
  const int places_;
  int8_t* const memory_;
  const int8_t** const pointers_;
  const int8_t* plane_ = nullptr;
  int height_ = 0;
  int next_ = 0;  // The first row that is not prepared yet.
  DepthwiseS8RowParams params_{};
};

}  // namespace

DepthwiseConvolutionS8::DepthwiseConvolutionS8() : CodesLayer(ncnn::LayerType::ConvolutionDepthWise) {}

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

bool DepthwiseConvolutionS8::covers(const Int8Weights& weights, const ncnn::Option& /*opt*/) const {
  Epilogue epilogue;
  return variant_for(window_) != nullptr && weights.fit_the_kernels() && make_epilogue(weights, activation_, &epilogue);
}

int DepthwiseConvolutionS8::prepare(const Int8Weights& weights, const ncnn::Option& /*opt*/) {
  keep_facts(weights, window_.pad_code);
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
  const Epilogue& epilogue = this->epilogue();
  const int created = create_output(width, height, layout_.channels, epilogue, false, opt, &top_blob);
  if (created != kOk) return created;

  const Padding padding = window_.padding_for(input.w, input.h);
  const RowRing::Size size = RowRing::size_for(*variant_, width, height);
  const size_t ring_bytes = (RowRing::bytes(*variant_, width, size) + 15) / 16 * 16;
  const int band_pixels = size.band * width;
  const size_t tile_bytes = static_cast<size_t>(band_pixels) * kChannelGroup * sizeof(float);
  ncnn::Mat scratch;
  scratch.create(static_cast<int>(ring_bytes + tile_bytes), opt.num_threads, size_t{1}, opt.workspace_allocator);
  if (scratch.empty()) return kOutOfMemory;

#pragma omp parallel for num_threads(opt.num_threads)
  for (int group = 0; group < input.c; ++group) {
    int8_t* mine = scratch.row<int8_t>(ncnn::get_omp_thread_num());
    RowRing ring(*variant_, width, size, mine);
    ring.begin(input.channel(group), input.w, input.h, padding, window_.pad_code);
    OutputTile out(epilogue, layout_.channels, top_blob, reinterpret_cast<float*>(mine + ring_bytes), band_pixels);
    DepthwiseS8Params params{};
    params.weights = packed_weights_.row<const int8_t>(group);
    params.outputs = width;
    params.scale = epilogue.scale.data() + group * kChannelGroup;
    params.offset = epilogue.offset.data() + group * kChannelGroup;
    params.epilogue = epilogue.sums;
    params.start = epilogue.start.empty() ? nullptr : epilogue.start.data() + group * kChannelGroup;
    for (int y = 0; y < height; y += size.band) {
      const int count = std::min(size.band, height - y);
      const int inputs = (count - 1) * window_.stride_h + variant_->kernel;
      params.rows = ring.rows_from(y * window_.stride_h - padding.top, inputs);
      params.row_count = count;
      params.c = out.place(int64_t{y} * width, group);
      params.c_quad_stride_bytes = out.quad_stride_bytes();
      variant_->run(&params);
      out.store(int64_t{y} * width, int64_t{count} * width, group);
    }
  }
  return kOk;
}

}  // namespace edgedeploy
