// The geometry of a convolution: parameters as ncnn's layers read them, and padding resolved for an input.
#ifndef EDGEDEPLOY_LAYERS_WINDOW_H_
#define EDGEDEPLOY_LAYERS_WINDOW_H_

#include <paramdict.h>

#include <cstdint>

namespace edgedeploy {

struct Padding {
  int left = 0;
  int top = 0;
  int right = 0;
  int bottom = 0;
};

struct Window {
  int kernel_w = 1;
  int kernel_h = 1;
  int dilation_w = 1;
  int dilation_h = 1;
  int stride_w = 1;
  int stride_h = 1;
  Padding padding;  // kSame... in `left` for TensorFlow's rules
  int8_t pad_code = 0;

  int taps() const { return kernel_w * kernel_h; }
  // Padding of an input of that size; by rule where the parameters name one.
  Padding padding_for(int width, int height) const;
  // Pixels of output; 0 or less where the window does not fit.
  int output_width(int width) const;
  int output_height(int height) const;
};

// A layer's parameter ids of a window's size, stride and padding.
struct WindowIds {
  int kernel_w, stride_w, pad_left;
  int kernel_h, stride_h, pad_top;
  int pad_right, pad_bottom;
};

// Those parameters. What is not given is that of the other axis or side.
void read_extents(const ncnn::ParamDict& pd, const WindowIds& ids, Window* window);

// False for geometries that are not a window's: dynamic weights, sizes that are not positive, a pad value that is no
// code.
bool read_window(const ncnn::ParamDict& pd, Window* window);

}  // namespace edgedeploy

#endif  // EDGEDEPLOY_LAYERS_WINDOW_H_
