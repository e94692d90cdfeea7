#include "layers/pixel_tiles.h"

#include <algorithm>
#include <cstring>

#include "kernels/conv_s8/conv_s8.h"
#include "layers/whole_parts.h"

namespace edgedeploy {

namespace {

constexpr int kWholeTile = 8;

// Pixels `step` bytes apart. The usual number of them has no loop.
inline void point_inside(const int8_t* at, int64_t step, int rows, const int8_t** pointers) {
  if (rows == kWholeTile) {
    const int8_t* const four = at + 4 * step;
    pointers[0] = at;
    pointers[1] = at + step;
    pointers[2] = at + 2 * step;
    pointers[3] = at + 3 * step;
    pointers[4] = four;
    pointers[5] = four + step;
    pointers[6] = four + 2 * step;
    pointers[7] = four + 3 * step;
    return;
  }
  for (int i = 0; i < rows; ++i, at += step) pointers[i] = at;
}

// The pointers of eight pixels of one tap, in pairs.
using Pair = int64_t __attribute__((vector_size(16)));

// One tap, and an output for each pixel in turn.
bool takes_each_pixel(const Window& window, const PixelLayout& layout, int output_width) {
  const Padding& padding = layout.padding;
  return window.taps() == 1 && window.stride_w == 1 && window.stride_h == 1 && output_width == layout.width &&
         layout.row_bytes == layout.width * layout.pixel_bytes &&
         (padding.left | padding.top | padding.right | padding.bottom) == 0;
}

}  // namespace

PixelTiles::PixelTiles(const Window& window, const PixelLayout& layout, int output_width)
    : window_(window),
      layout_(layout),
      output_width_(output_width),
      is_one_run_(takes_each_pixel(window, layout, output_width)) {}

void PixelTiles::point(int64_t first, int64_t pixels, int32_t tile_m, const int8_t** pointers) const {
  if (is_one_run_) {
    const int8_t* const at = layout_.data + first * layout_.pixel_bytes;
    for (int64_t i = 0; i < pixels; ++i) pointers[i] = at + i * layout_.pixel_bytes;
    return;
  }
  int oy = static_cast<int>(first / output_width_);
  int ox = static_cast<int>(first % output_width_);
  for (; pixels > 0; pixels -= tile_m, pointers += window_.taps() * tile_m) {
    // A tile may run over the end of a row of outputs, or over several short ones.
    const int rows = static_cast<int>(std::min<int64_t>(pixels, tile_m));
    for (int done = 0; done < rows;) {
      const int run = std::min(rows - done, output_width_ - ox);
      if (run != kWholeTile || tile_m != kWholeTile || !point_whole_tile(oy, ox, pointers)) {
        point_along_row(oy, ox, run, tile_m, pointers + done);
      }
      done += run;
      ox += run;
      if (ox < output_width_) continue;
      ox = 0;
      ++oy;
    }
  }
}

bool PixelTiles::point_whole_tile(int oy, int ox, const int8_t** pointers) const {
  const int x = ox * window_.stride_w - layout_.padding.left;
  const int y = oy * window_.stride_h - layout_.padding.top;
  const int last_x = x + (kWholeTile - 1) * window_.stride_w + (window_.kernel_w - 1) * window_.dilation_w;
  const int last_y = y + (window_.kernel_h - 1) * window_.dilation_h;
  if (x < 0 || y < 0 || last_x >= layout_.width || last_y >= layout_.height) return false;
  const int64_t step = window_.stride_w * layout_.pixel_bytes;
  const int64_t column_bytes = window_.dilation_w * layout_.pixel_bytes;
  int64_t row = reinterpret_cast<int64_t>(layout_.data) + y * layout_.row_bytes + x * layout_.pixel_bytes;
  for (int r = 0; r < window_.kernel_h; ++r, row += window_.dilation_h * layout_.row_bytes) {
    Pair first = {row, row + step};
    for (int s = 0; s < window_.kernel_w; ++s, first += column_bytes, pointers += kWholeTile) {
      const Pair pairs[] = {first, first + 2 * step, first + 4 * step, first + 6 * step};
      std::memcpy(pointers, pairs, sizeof(pairs));
    }
  }
  return true;
}

void PixelTiles::point_along_row(int oy, int ox, int rows, int32_t tile_m, const int8_t** pointers) const {
  const int x_begin = ox * window_.stride_w - layout_.padding.left;
  const int reach = (rows - 1) * window_.stride_w;
  const int64_t step = window_.stride_w * layout_.pixel_bytes;
  int y = oy * window_.stride_h - layout_.padding.top;
  for (int r = 0; r < window_.kernel_h; ++r, y += window_.dilation_h) {
    const bool row_inside = y >= 0 && y < layout_.height;
    const int8_t* const row = layout_.data + (row_inside ? y * layout_.row_bytes : 0);
    int x = x_begin;
    for (int s = 0; s < window_.kernel_w; ++s, x += window_.dilation_w, pointers += tile_m) {
      if (!row_inside) {
        for (int i = 0; i < rows; ++i) pointers[i] = layout_.pad;
      } else if (x >= 0 && x + reach < layout_.width) {
        point_inside(row + x * layout_.pixel_bytes, step, rows, pointers);
      } else {
        point_at_edge(row, x, rows, pointers);
      }
    }
  }
}

void PixelTiles::point_at_edge(const int8_t* row, int x, int rows, const int8_t** pointers) const {
  for (int i = 0; i < rows; ++i, x += window_.stride_w) {
    pointers[i] = x >= 0 && x < layout_.width ? row + x * layout_.pixel_bytes : layout_.pad;
  }
}

void pack_tile(const Window& window, const ncnn::Mat& input, int channels, int output_width, int64_t first,
               int64_t rows, int32_t tile_m, int8_t* packed) {
  const Padding padding = window.padding_for(input.w, input.h);
  const int64_t plane = static_cast<int64_t>(input.cstep);
  const int64_t k_count = int64_t{channels} * window.taps();
  const int64_t groups = divide_up(k_count, kConvS8Group);
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
