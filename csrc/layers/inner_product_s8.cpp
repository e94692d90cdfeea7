#include "layers/inner_product_s8.h"

#include <layer_type.h>

#include <algorithm>
#include <cstring>

#include "dispatch/dispatch.h"
#include "layers/output_tile.h"
#include "layers/whole_parts.h"

namespace edgedeploy {

namespace {

// InnerProduct's parameter ids, as ncnn's src/layer/innerproduct.cpp reads them.
constexpr int kParamNumOutput = 0;
constexpr int kParamBiasTerm = 1;
constexpr int kParamWeightCount = 2;
constexpr int kParamInt8ScaleTerm = 8;

}  // namespace

InnerProductS8::InnerProductS8() : OverStock(ncnn::LayerType::InnerProduct) {}

bool InnerProductS8::read_params(const ncnn::ParamDict& pd) {
  layout_ = {pd.get(kParamNumOutput, 0), pd.get(kParamBiasTerm, 0) != 0, false};
  if (pd.get(kParamInt8ScaleTerm, 0) == 0 || layout_.channels <= 0 || !read_activation(pd, &activation_)) return false;
  num_input_ = pd.get(kParamWeightCount, 0) / layout_.channels;
  return num_input_ > 0 && num_input_ <= kConvS8MaxK - kConvS8Group;
}

Int8Layout InnerProductS8::weights_layout() const { return layout_; }

bool InnerProductS8::covers(const Int8Weights& weights, const ncnn::Option& /*opt*/) const {
  Epilogue epilogue;
  return select_kernel(kOpConvS8) != nullptr && weights.fit_the_kernels() &&
         make_epilogue(weights, activation_, &epilogue);
}

int InnerProductS8::prepare(const Int8Weights& weights, const ncnn::Option& /*opt*/) {
  make_epilogue(weights, activation_, &epilogue_);
  input_scale_ = weights.input_scale;
  kernel_ = select_kernel(kOpConvS8);
  packed_weights_.create(static_cast<int>(conv_s8_packed_bytes(layout_.channels, num_input_, 1)), size_t{1});
  if (packed_weights_.empty()) return kOutOfMemory;
  kernel_->conv_pack(weights.weights, layout_.channels, num_input_, 1, static_cast<int8_t*>(packed_weights_.data));
  return kOk;
}

int InnerProductS8::rows_of(const ncnn::Mat& bottom_blob, const ncnn::Option& opt, ncnn::Mat* rows) const {
  ncnn::Option workspace = opt;
  workspace.blob_allocator = opt.workspace_allocator;
  ncnn::Mat packed = bottom_blob;
  if (packed.elembits() != 8) ncnn::quantize_to_int8(bottom_blob, packed, input_scale_, workspace);
  if (packed.empty()) return kOutOfMemory;
  ncnn::Mat codes;
  ncnn::convert_packing(packed, codes, 1, workspace);
  if (codes.empty()) return kOutOfMemory;
  // Rows of a matrix of that width are inputs of their own; any other shape is one input.
  const bool is_matrix = codes.dims == 2 && codes.w == num_input_;
  const int count = is_matrix ? codes.h : 1;
  if (!is_matrix && codes.w * codes.h * codes.d * codes.c != num_input_) return kFailed;
  rows->create(static_cast<int>(round_up(num_input_, kConvS8Group)), count, size_t{1}, opt.workspace_allocator);
  if (rows->empty()) return kOutOfMemory;
  rows->fill<signed char>(0);
  if (is_matrix) {
    for (int i = 0; i < count; ++i) {
      memcpy(rows->row<int8_t>(i), codes.row<const int8_t>(i), static_cast<size_t>(num_input_));
    }
    return kOk;
  }
  const size_t plane = static_cast<size_t>(codes.w) * static_cast<size_t>(codes.h) * static_cast<size_t>(codes.d);
  for (int channel = 0; channel < codes.c; ++channel) {
    memcpy(rows->row<int8_t>(0) + static_cast<size_t>(channel) * plane,
           static_cast<const int8_t*>(codes.data) + static_cast<size_t>(channel) * codes.cstep, plane);
  }
  return kOk;
}

void InnerProductS8::multiply(const ncnn::Mat& rows, int64_t first, int64_t count, int group, ncnn::Mat& output) const {
  const int8_t* pixels[kConvS8MaxTile];
  for (int64_t i = 0; i < count; ++i) pixels[i] = rows.row<const int8_t>(static_cast<int>(first + i));
  alignas(16) float tile[kConvS8MaxTile * kChannelGroup];
  ConvS8Params params{};
  params.a = pixels;
  params.taps = 1;
  params.groups = rows.w / kConvS8Group;
  params.a_group_stride_bytes = kConvS8Group;
  params.b = static_cast<const int8_t*>(packed_weights_.data) + int64_t{group} * rows.w * kChannelGroup;
  params.pixels = count;
  params.scale = epilogue_.scale.data() + group * kChannelGroup;
  params.offset = epilogue_.offset.data() + group * kChannelGroup;
  params.c = tile;
  params.c_quad_stride_bytes = sizeof(tile) / 2;
  params.epilogue = epilogue_.sums;
  kernel_->conv(&params);
  if (!epilogue_.in_registers) activate(epilogue_.activation, tile, kConvS8MaxTile * kChannelGroup);
  const int channel = group * kChannelGroup;
  for (int64_t i = 0; i < count; ++i) {
    float* into = output.dims == 1 ? static_cast<float*>(output.data) : output.row(static_cast<int>(first + i));
    for (int n = 0; n < std::min(kChannelGroup, layout_.channels - channel); ++n) {
      into[channel + n] = tile[n / kQuad * kQuad * kConvS8MaxTile + i * kQuad + n % kQuad];
    }
  }
}

int InnerProductS8::run(const ncnn::Mat& bottom_blob, ncnn::Mat& top_blob, const ncnn::Option& opt) const {
  ncnn::Mat rows;
  const int code = rows_of(bottom_blob, opt, &rows);
  if (code != kOk) return code;
  // A matrix keeps its rows, one too.
  const bool is_matrix = bottom_blob.dims == 2 && bottom_blob.w == num_input_;
  if (is_matrix) {
    top_blob.create(layout_.channels, rows.h, sizeof(float), opt.blob_allocator);
  } else {
    top_blob.create(layout_.channels, sizeof(float), opt.blob_allocator);
  }
  if (top_blob.empty()) return kOutOfMemory;
  const int groups = static_cast<int>(divide_up(layout_.channels, kChannelGroup));
  const int tile_m = kernel_->tile_m;

#pragma omp parallel for num_threads(opt.num_threads)
  for (int group = 0; group < groups; ++group) {
    for (int first = 0; first < rows.h; first += tile_m) {
      multiply(rows, first, std::min(tile_m, rows.h - first), group, top_blob);
    }
  }
  return kOk;
}

}  // namespace edgedeploy
