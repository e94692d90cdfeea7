#include "layers/convolution_1x1_s8.h"

#include <cpu.h>
#include <layer_type.h>

#include <algorithm>
#include <cstring>

#include "dispatch/dispatch.h"

namespace edgedeploy {

namespace {

// ncnn's return codes.
constexpr int kOk = 0;
constexpr int kFailed = -1;
constexpr int kOutOfMemory = -100;

// Convolution's parameter ids and values, as ncnn's src/layer/convolution.cpp reads them.
constexpr int kParamNumOutput = 0;
constexpr int kParamKernelW = 1;
constexpr int kParamStrideW = 3;
constexpr int kParamPadLeft = 4;
constexpr int kParamBiasTerm = 5;
constexpr int kParamWeightCount = 6;
constexpr int kParamInt8ScaleTerm = 8;
constexpr int kParamActivation = 9;
constexpr int kParamActivationParams = 10;
constexpr int kParamKernelH = 11;
constexpr int kParamStrideH = 13;
constexpr int kParamPadTop = 14;
constexpr int kParamPadRight = 15;
constexpr int kParamPadBottom = 16;
constexpr int kParamDynamicWeight = 19;
constexpr int kParamTypeIntArray = 5;
constexpr int kRequantizeAbove = 100;

constexpr int32_t kGroup = 8;  // Channels of a packed int8 blob lie in eights.

// Hands on what the built-in layer reads and keeps a reference to each array, in the order of reading.
class RecordingModelBin : public ncnn::ModelBin {
 public:
  explicit RecordingModelBin(const ncnn::ModelBin& source) : source_(source) {}

  ncnn::Mat load(int w, int type) const override {
    loaded_.push_back(source_.load(w, type));
    return loaded_.back();
  }

  const std::vector<ncnn::Mat>& loaded() const { return loaded_; }

 private:
  const ncnn::ModelBin& source_;
  mutable std::vector<ncnn::Mat> loaded_;
};

// The first variant that the CPU supports and whose tiles fill a group of eight channels exactly.
const KernelRow* choose_kernel() {
  const KernelRow* preferred = select_kernel(kOpGemmS8);
  if (preferred != nullptr && kGroup % preferred->tile_n == 0) return preferred;
  for (const KernelRow& row : kernel_table()) {
    if (strcmp(row.op, kOpGemmS8) == 0 && kernel_supported(row) && kGroup % row.tile_n == 0) return &row;
  }
  return nullptr;
}

int64_t round_up(int64_t value, int64_t unit) { return (value + unit - 1) / unit * unit; }

// How ncnn's own layer lays its output out on this CPU, so that the layers after it see no difference.
struct OutputLayout {
  int elempack;
  size_t elemsize;
};

OutputLayout output_layout(int num_output, bool requantizes, bool fp16_storage, const ncnn::Option& opt) {
  int elempack = 1;
  if (opt.use_packing_layout) {
    const bool eights =
        requantizes || (ncnn::cpu_support_arm_asimdhp() && opt.use_fp16_storage && opt.use_fp16_arithmetic);
    if (eights && num_output % 8 == 0) {
      elempack = 8;
    } else if (!requantizes && num_output % 4 == 0) {
      elempack = 4;
    }
  }
  const size_t bytes = requantizes ? 1 : (fp16_storage && opt.use_fp16_storage) ? 2 : 4;
  return {elempack, bytes * static_cast<size_t>(elempack)};
}

}  // namespace

Convolution1x1S8::Convolution1x1S8() : stock_(ncnn::create_layer_cpu(ncnn::LayerType::Convolution)) {
  take_stock_properties();
}

Convolution1x1S8::~Convolution1x1S8() = default;

void Convolution1x1S8::give_stock_my_place() {
  stock_->type = type;
  stock_->name = name;
  stock_->bottoms = bottoms;
  stock_->tops = tops;
  stock_->bottom_shapes = bottom_shapes;
  stock_->top_shapes = top_shapes;
  stock_->featmask = featmask;
}

void Convolution1x1S8::take_stock_properties() {
  one_blob_only = stock_->one_blob_only;
  support_inplace = stock_->support_inplace;
  support_packing = stock_->support_packing;
  support_any_packing = stock_->support_any_packing;
  support_bf16_storage = stock_->support_bf16_storage;
  support_fp16_storage = stock_->support_fp16_storage;
  support_int8_storage = stock_->support_int8_storage;
  support_batch = stock_->support_batch;
}

bool Convolution1x1S8::parameters_covered(const ncnn::ParamDict& pd) const {
  const int kernel_w = pd.get(kParamKernelW, 0);
  const int stride_w = pd.get(kParamStrideW, 1);
  const int pad_left = pd.get(kParamPadLeft, 0);
  const int pad_top = pd.get(kParamPadTop, pad_left);
  const bool is_pointwise = kernel_w == 1 && pd.get(kParamKernelH, kernel_w) == 1 && stride_w == 1 &&
                            pd.get(kParamStrideH, stride_w) == 1 && pad_left == 0 && pad_top == 0 &&
                            pd.get(kParamPadRight, pad_left) == 0 && pd.get(kParamPadBottom, pad_top) == 0;
  return is_pointwise && pd.get(kParamInt8ScaleTerm, 0) != 0 && pd.get(kParamDynamicWeight, 0) == 0 &&
         pd.get(kParamNumOutput, 0) > 0;
}

int Convolution1x1S8::load_param(const ncnn::ParamDict& pd) {
  give_stock_my_place();
  const int code = stock_->load_param(pd);
  take_stock_properties();
  if (code != kOk || !parameters_covered(pd)) return code;

  num_output_ = pd.get(kParamNumOutput, 0);
  num_input_ = pd.get(kParamWeightCount, 0) / num_output_;
  has_bias_ = pd.get(kParamBiasTerm, 0) != 0;
  requantizes_ = pd.get(kParamInt8ScaleTerm, 0) > kRequantizeAbove;
  const ncnn::Mat params = pd.get(kParamActivationParams, ncnn::Mat());
  // A text array of whole numbers keeps integers in the Mat.
  const auto value = [&](int i) {
    if (params.w <= i) return 0.0f;
    return pd.type(kParamActivationParams) == kParamTypeIntArray
               ? static_cast<float>(static_cast<const int*>(params.data)[i])
               : static_cast<const float*>(params.data)[i];
  };
  is_candidate_ = num_input_ >= 1 && num_input_ <= kGemmS8MaxK &&
                  gemm_s8_set_activation(&epilogue_, pd.get(kParamActivation, 0), value(0), value(1));
  return kOk;
}

int Convolution1x1S8::load_model(const ncnn::ModelBin& mb) {
  if (!is_candidate_) return stock_->load_model(mb);
  const RecordingModelBin recorder(mb);
  const int code = stock_->load_model(recorder);
  if (code != kOk) return code;

  const std::vector<ncnn::Mat>& loaded = recorder.loaded();
  const size_t wanted = 3 + (has_bias_ ? 1 : 0) + (requantizes_ ? 1 : 0);
  if (loaded.size() != wanted) {
    is_candidate_ = false;
    return kOk;
  }
  size_t next = 0;
  weights_ = loaded[next++];
  if (has_bias_) bias_ = loaded[next++];
  weight_scales_ = loaded[next++];
  input_scale_ = loaded[next++];
  if (requantizes_) output_scale_ = loaded[next++];
  return weight_scales_.empty() || input_scale_.empty() || (requantizes_ && output_scale_.empty()) ? kOutOfMemory : kOk;
}

bool Convolution1x1S8::weights_covered() const {
  // Float weights that the engine quantizes itself at load stay with the engine.
  if (weights_.elemsize != 1) return false;
  const signed char* weights = weights_;
  // The kernels add two products in 16 bits: -128 does not fit.
  return std::find(weights, weights + weights_.w, static_cast<signed char>(-128)) == weights + weights_.w;
}

int Convolution1x1S8::create_pipeline(const ncnn::Option& opt) {
  give_stock_my_place();
  if (is_candidate_ && opt.use_int8_inference && !opt.use_bf16_storage && weights_covered()) kernel_ = choose_kernel();
  if (kernel_ == nullptr) {
    weights_.release();
    const int code = stock_->create_pipeline(opt);
    take_stock_properties();
    return code;
  }
  // The kernel takes pixels of one image; the net splits a batch for layers that say so.
  support_batch = false;
  fill_epilogue_vectors();
  return pack_weights();
}

void Convolution1x1S8::fill_epilogue_vectors() {
  const size_t padded = static_cast<size_t>(round_up(num_output_, kGroup));
  scale_.assign(padded, 0.0f);
  bias_padded_.assign(padded, 0.0f);
  for (int i = 0; i < num_output_; ++i) {
    const size_t at = static_cast<size_t>(i);
    // A scale of zero marks a channel whose weights are all zero.
    scale_[at] = weight_scales_[at] == 0.0f ? 0.0f : 1.0f / (input_scale_[0] * weight_scales_[at]);
    if (has_bias_) bias_padded_[at] = bias_[at];
  }
  epilogue_.output = requantizes_ ? kGemmOutputS8 : kGemmOutputF32;
  epilogue_.out_scale = requantizes_ ? output_scale_[0] : 1.0f;
}

int Convolution1x1S8::pack_weights() {
  const size_t bytes = gemm_s8_packed_bytes(num_output_, num_input_, kernel_->tile_n, kernel_->k_unit);
  packed_weights_.create(static_cast<int>(bytes), size_t{1});
  if (packed_weights_.empty()) return kOutOfMemory;
  kernel_->pack(weights_, num_input_, num_output_, num_input_, kernel_->tile_n, kernel_->k_unit,
                static_cast<int8_t*>(packed_weights_.data));
  weights_.release();
  // The built-in layer is not needed any more, nor is its reference to the weights.
  stock_.reset();
  return kOk;
}

int Convolution1x1S8::destroy_pipeline(const ncnn::Option& opt) { return stock_ ? stock_->destroy_pipeline(opt) : kOk; }

int Convolution1x1S8::forward(const std::vector<ncnn::Mat>& bottom_blobs, std::vector<ncnn::Mat>& top_blobs,
                              const ncnn::Option& opt) const {
  return stock_ ? stock_->forward(bottom_blobs, top_blobs, opt) : kFailed;
}

int Convolution1x1S8::forward(const ncnn::Mat& bottom_blob, ncnn::Mat& top_blob, const ncnn::Option& opt) const {
  return stock_ ? stock_->forward(bottom_blob, top_blob, opt) : forward_covered(bottom_blob, top_blob, opt);
}

int Convolution1x1S8::forward_inplace(std::vector<ncnn::Mat>& bottom_top_blobs, const ncnn::Option& opt) const {
  return stock_ ? stock_->forward_inplace(bottom_top_blobs, opt) : kFailed;
}

int Convolution1x1S8::forward_inplace(ncnn::Mat& bottom_top_blob, const ncnn::Option& opt) const {
  return stock_ ? stock_->forward_inplace(bottom_top_blob, opt) : kFailed;
}

int Convolution1x1S8::forward_covered(const ncnn::Mat& bottom_blob, ncnn::Mat& top_blob,
                                      const ncnn::Option& opt) const {
  ncnn::Mat input = bottom_blob;
  if (bottom_blob.elembits() != 8) {
    ncnn::Option quantize_opt = opt;
    quantize_opt.blob_allocator = opt.workspace_allocator;
    ncnn::quantize_to_int8(bottom_blob, input, input_scale_, quantize_opt);
    if (input.empty()) return kOutOfMemory;
  }
  if (input.dims > 3 || input.c * input.elempack != num_input_) return kFailed;

  const OutputLayout layout = output_layout(num_output_, requantizes_, support_fp16_storage, opt);
  top_blob.create(input.w, input.h, num_output_ / layout.elempack, layout.elemsize, layout.elempack,
                  opt.blob_allocator);
  if (top_blob.empty()) return kOutOfMemory;
  return run(input, top_blob, opt);
}

}  // namespace edgedeploy
