#include "layers/pixel_tiles.h"

#include <algorithm>
#include <cstring>

#include "kernels/conv_s8/conv_s8.h"

namespace edgedeploy {

void PixelTiles::point(int64_t first, int64_t rows, int32_t tile_m, const int8_t** pointers) const {
  // A tile may run over the end of a row of outputs, or over several short ones.
  for (int64_t done = 0; done < rows;) {
    const int oy = static_cast<int>((first + done) / output_width_);
    const int ox = static_cast<int>((first + done) % output_width_);
    const int64_t run = std::min<int64_t>(rows - done, output_width_ - ox);
    point_along_row(oy, ox, run, tile_m, pointers + done);
    done += run;
  }
}

void PixelTiles::point_along_row(int oy, int ox, int64_t rows, int32_t tile_m, const int8_t** pointers) const {
  const int x_begin = ox * window_.stride_w - layout_.padding.left;
  const int64_t step = window_.stride_w * layout_.pixel_bytes;
  for (int r = 0; r < window_.kernel_h; ++r) {
    const int y = oy * window_.stride_h - layout_.padding.top + r * window_.dilation_h;
    const bool row_inside = y >= 0 && y < layout_.height;
    for (int s = 0; s < window_.kernel_w; ++s, pointers += tile_m) {
      const int x0 = x_begin + s * window_.dilation_w;
      const int64_t x_last = x0 + (rows - 1) * window_.stride_w;
      if (row_inside && x0 >= 0 && x_last < layout_.width) {
        const int8_t* at = layout_.data + y * layout_.row_bytes + x0 * layout_.pixel_bytes;
        for (int64_t i = 0; i < rows; ++i, at += step) pointers[i] = at;
        continue;
      }
      for (int64_t i = 0; i < rows; ++i) {
        const int64_t x = x0 + i * window_.stride_w;
        const bool inside = row_inside && x >= 0 && x < layout_.width;
        pointers[i] = inside ? layout_.data + y * layout_.row_bytes + x * layout_.pixel_bytes : layout_.pad;
      }
    }
  }
}

void pack_tile(const Window& window, const ncnn::Mat& input, int channels, int output_width, int64_t first,
               int64_t rows, int32_t tile_m, int8_t* packed) {
  const Padding padding = window.padding_for(input.w, input.h);
  const int64_t plane = static_cast<int64_t>(input.cstep);
  const int64_t k_count = int64_t{channels} * window.taps();
  const int64_t groups = (k_count + kConvS8Group - 1) / kConvS8Group;
  const int64_t group_bytes = int64_t{tile_m} * kConvS8Group;
  if (k_count % kConvS8Group != 0) {
    memset(packed + (groups - 1) * group_bytes, 0, static_cast<size_t>(group_bytes));
  }
  for (int64_t row = 0; row < rows; ++row) {
    const int oy = static_cast<int>((first + row) / output_width);
    const int ox = static_cast<int>((first + row) % output_width);
    const int8_t* data = static_cast<const int8_t*>(input.data);
    int8_t* into = packed + row * kConvS8Group;
    int64_t k = 0;
    for (int channel = 0; channel < channels; ++channel, data += plane) {
      for (int r = 0; r < window.kernel_h; ++r) {
        const int y = oy * window.stride_h - padding.top + r * window.dilation_h;
        const bool row_inside = y >= 0 && y < input.h;
        for (int s = 0; s < window.kernel_w; ++s, ++k) {
          const int x = ox * window.stride_w - padding.left + s * window.dilation_w;
          const bool inside = row_inside && x >= 0 && x < input.w;
          into[k / kConvS8Group * group_bytes + k % kConvS8Group] =
              inside ? data[int64_t{y} * input.w + x] : window.pad_code;
        }
      }
    }
  }
}

}  // namespace edgedeploy
