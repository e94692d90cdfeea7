#include "layers/window.h"

#include <algorithm>

namespace edgedeploy {

namespace {

// Convolution's and ConvolutionDepthWise's parameter ids, as ncnn's src/layer/ reads them.
constexpr WindowIds kIds = {1, 3, 4, 11, 13, 14, 15, 16};
constexpr int kParamDilationW = 2;
constexpr int kParamDilationH = 12;
constexpr int kParamPadValue = 18;
constexpr int kParamDynamicWeight = 19;

constexpr int kSameUpper = -233;
constexpr int kSameLower = -234;
constexpr int kMaxExtent = 1 << 14;

bool all_are(const Padding& padding, int value) {
  return padding.left == value && padding.right == value && padding.top == value && padding.bottom == value;
}

int extent(int kernel, int dilation) { return dilation * (kernel - 1) + 1; }

// Pixels of padding on both sides together that keep an axis at ceil(size / stride) outputs.
int same_total(int size, int kernel, int dilation, int stride) {
  return std::max(0, extent(kernel, dilation) + (size - 1) / stride * stride - size);
}

bool in_range(int value, int low) { return value >= low && value <= kMaxExtent; }

}  // namespace

Padding Window::padding_for(int width, int height) const {
  const bool upper = all_are(padding, kSameUpper);
  if (!upper && !all_are(padding, kSameLower)) return padding;
  const int across = same_total(width, kernel_w, dilation_w, stride_w);
  const int down = same_total(height, kernel_h, dilation_h, stride_h);
  // An odd pixel goes behind the image by the upper rule, before it by the lower.
  const int before_w = upper ? across / 2 : across - across / 2;
  const int before_h = upper ? down / 2 : down - down / 2;
  return {before_w, before_h, across - before_w, down - before_h};
}

int Window::output_width(int width) const {
  const Padding pad = padding_for(width, 1);
  const int room = width + pad.left + pad.right - extent(kernel_w, dilation_w);
  return room < 0 ? 0 : room / stride_w + 1;
}

int Window::output_height(int height) const {
  const Padding pad = padding_for(1, height);
  const int room = height + pad.top + pad.bottom - extent(kernel_h, dilation_h);
  return room < 0 ? 0 : room / stride_h + 1;
}

void read_extents(const ncnn::ParamDict& pd, const WindowIds& ids, Window* window) {
  Window& w = *window;
  w.kernel_w = pd.get(ids.kernel_w, 0);
  w.kernel_h = pd.get(ids.kernel_h, w.kernel_w);
  w.stride_w = pd.get(ids.stride_w, 1);
  w.stride_h = pd.get(ids.stride_h, w.stride_w);
  w.padding.left = pd.get(ids.pad_left, 0);
  w.padding.right = pd.get(ids.pad_right, w.padding.left);
  w.padding.top = pd.get(ids.pad_top, w.padding.left);
  w.padding.bottom = pd.get(ids.pad_bottom, w.padding.top);
}

bool read_window(const ncnn::ParamDict& pd, Window* window) {
  if (pd.get(kParamDynamicWeight, 0) != 0) return false;
  Window& w = *window;
  read_extents(pd, kIds, window);
  w.dilation_w = pd.get(kParamDilationW, 1);
  w.dilation_h = pd.get(kParamDilationH, w.dilation_w);
  const float pad_value = pd.get(kParamPadValue, 0.0f);
  if (!(pad_value >= -128.0f && pad_value <= 127.0f)) return false;
  w.pad_code = static_cast<int8_t>(pad_value);
  const bool by_rule = all_are(w.padding, kSameUpper) || all_are(w.padding, kSameLower);
  const Padding& pad = w.padding;
  const bool plain = in_range(pad.left, 0) && in_range(pad.right, 0) && in_range(pad.top, 0) && in_range(pad.bottom, 0);
  const bool positive = in_range(w.kernel_w, 1) && in_range(w.kernel_h, 1) && in_range(w.dilation_w, 1) &&
                        in_range(w.dilation_h, 1) && in_range(w.stride_w, 1) && in_range(w.stride_h, 1);
  return positive && (by_rule || plain) && extent(w.kernel_w, w.dilation_w) <= kMaxExtent &&
         extent(w.kernel_h, w.dilation_h) <= kMaxExtent;
}

}  // namespace edgedeploy
