#include "layers/pixel_tiles.h"

#include <algorithm>
#include <cstring>

#if defined(__aarch64__)
#include <arm_neon.h>
#endif

#include "kernels/conv_s8/conv_s8.h"
#include "layers/whole_parts.h"

namespace edgedeploy {

namespace {

// Eight pointers from one place to another.
inline void copy_eight(const int8_t* const* from, const int8_t** into) {
#if defined(__aarch64__)
  vst1q_s64_x4(reinterpret_cast<int64_t*>(into), vld1q_s64_x4(reinterpret_cast<const int64_t*>(from)));
#else
  std::memcpy(into, from, kPointersAtOnce * sizeof(*from));
#endif
}

// One tap, and an output for each pixel in turn.
bool takes_each_pixel(const Window& window, const PixelLayout& layout, int output_width) {
  const Padding& padding = layout.padding;
  return window.taps() == 1 && window.stride_w == 1 && window.stride_h == 1 && output_width == layout.width &&
         layout.row_bytes == layout.width * layout.pixel_bytes &&
         (padding.left | padding.top | padding.right | padding.bottom) == 0;
}

}  // namespace

// Of a stride of one, all taps of a row share its columns.
PixelTiles::PixelTiles(const Window& window, const PixelLayout& layout, int output_width)
    : window_(window),
      layout_(layout),
      output_width_(output_width),
      is_one_run_(takes_each_pixel(window, layout, output_width)),
      columns_((window.stride_w == 1 ? output_width + (window.kernel_w - 1) * window.dilation_w
                                     : output_width * window.kernel_w) +
               2 * kPointersAtOnce),
      tap_columns_(window.stride_w == 1 ? window.dilation_w : output_width) {}

int PixelTiles::rows_for(int output_rows) const {
  return (output_rows - 1) * window_.stride_h + (window_.kernel_h - 1) * window_.dilation_h + 1;
}

size_t PixelTiles::row_bytes(int64_t pixels) const {
  if (is_one_run_) return 0;
  const int most_rows = static_cast<int>(divide_up(pixels - 1, output_width_)) + 1;
  return sizeof(const int8_t*) * static_cast<size_t>(columns_) * static_cast<size_t>(rows_for(most_rows));
}

void PixelTiles::point(int64_t first, int64_t pixels, int32_t tile_m, const int8_t** pointers,
                       const int8_t** rows) const {
  if (is_one_run_) {
    point_by_eights(layout_.data + first * layout_.pixel_bytes, layout_.pixel_bytes, pixels, pointers);
    return;
  }
  const int first_oy = static_cast<int>(first / output_width_);
  const int end_oy = static_cast<int>((first + pixels - 1) / output_width_) + 1;
  const int first_y = first_oy * window_.stride_h - layout_.padding.top;
  const int row_count = rows_for(end_oy - first_oy);
  for (int i = 0; i < row_count; ++i) lay_out_row(first_y + i, rows + i * columns_);

  const int8_t** row = rows;  // of the window's first row
  int ox = static_cast<int>(first % output_width_);
  for (; pixels > 0; pixels -= tile_m, pointers += window_.taps() * tile_m) {
    // A tile may run over the end of a row of outputs, or over several short ones.
    const int size = static_cast<int>(std::min<int64_t>(pixels, tile_m));
    Run runs[kConvS8MaxTile];
    int count = 0;
    for (int done = 0; done < size;) {
      const int run = std::min(size - done, output_width_ - ox);
      runs[count++] = {done, row + ox};
      done += run;
      ox += run;
      if (ox < output_width_) continue;
      ox = 0;
      row += window_.stride_h * columns_;
    }
    copy_tile(runs, count, tile_m, pointers);
  }
}

// What is written behind a run is written over by the next one or by the next tap.
void PixelTiles::copy_tile(const Run* runs, int count, int32_t tile_m, const int8_t** pointers) const {
  const int64_t to_next_row = int64_t{window_.dilation_h} * columns_;
  const int64_t to_next_tap = tap_columns_;
  const Run& first = runs[0];
  const int8_t* const* row = first.columns;
  for (int r = 0; r < window_.kernel_h; ++r, row += to_next_row) {
    const int8_t* const* at = row;
    for (int s = 0; s < window_.kernel_w; ++s, at += to_next_tap, pointers += tile_m) {
      copy_eight(at, pointers);
      for (int i = 1; i < count; ++i) copy_eight(at + (runs[i].columns - first.columns), pointers + runs[i].place);
    }
  }
}

void PixelTiles::lay_out_row(int y, const int8_t** columns) const {
  if (y < 0 || y >= layout_.height) {
    point_by_eights(layout_.pad, 0, columns_ - kPointersAtOnce, columns);
    return;
  }
  const int8_t* const row = layout_.data + y * layout_.row_bytes;
  const int left = -layout_.padding.left;
  if (window_.stride_w == 1) return lay_out_columns(row, left, 1, columns_ - 2 * kPointersAtOnce, columns);
  for (int s = 0; s < window_.kernel_w; ++s) {
    lay_out_columns(row, left + s * window_.dilation_w, window_.stride_w, output_width_, columns + s * output_width_);
  }
}

// Columns first_x, first_x + step and so on of a row; those left and right of it are padding.
void PixelTiles::lay_out_columns(const int8_t* row, int first_x, int step, int count, const int8_t** columns) const {
  // A step of one is the usual one, and takes no division.
  const auto steps_over = [step](int pixels) { return step == 1 ? pixels : (pixels + step - 1) / step; };
  const int before = std::min(count, steps_over(std::max(0, -first_x)));
  const int inside_x = first_x + before * step;
  const int inside = std::min(count - before, steps_over(std::max(0, layout_.width - inside_x)));
  point_by_eights(layout_.pad, 0, before, columns);
  point_by_eights(row + inside_x * layout_.pixel_bytes, step * layout_.pixel_bytes, inside, columns + before);
  point_by_eights(layout_.pad, 0, count - before - inside, columns + before + inside);
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
