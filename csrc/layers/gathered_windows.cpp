#include "layers/gathered_windows.h"

#include <algorithm>
#include <cstring>

#if defined(__aarch64__)
#include <arm_neon.h>
#endif

#include "kernels/conv_s8/conv_s8.h"
#include "layers/whole_parts.h"

namespace edgedeploy {

namespace {

constexpr int64_t kChunk = 16;

inline void copy_chunks(int8_t* into, const int8_t* from, int64_t count) {
#if defined(__aarch64__)
  if (count == 2) return vst1q_s8_x2(into, vld1q_s8_x2(from));
#endif
  for (int64_t chunk = 0; chunk < count; ++chunk) std::memcpy(into + chunk * kChunk, from + chunk * kChunk, kChunk);
}

// Windows along a row of outputs. A row of a window is copied in whole chunks; what is too much of one is overwritten
// by the next.
template <int64_t fixed_chunks>
void gather_along_row(const int8_t* from, int64_t row_bytes, int64_t step, int64_t copied, int rows, int64_t chunks,
                      int64_t pixels, int64_t window_bytes, int8_t* into) {
  const int64_t count = fixed_chunks > 0 ? fixed_chunks : chunks;
  for (int64_t i = 0; i < pixels; ++i, from += step, into += window_bytes) {
    const int8_t* row = from;
    int8_t* at = into;
    for (int r = 0; r < rows; ++r, row += row_bytes, at += copied) {
      copy_chunks(at, row, count);
    }
  }
}

}  // namespace

bool gathering_pays(const Window& window, int channels_in, int channels_out) {
  const int64_t row = int64_t{window.kernel_w} * channels_in;
  const int64_t saved = window.kernel_h * divide_up(row, kConvS8Group) - divide_up(window.kernel_h * row, kConvS8Group);
  // In cycles a pixel: two for each group of eight k and eight channels; a load and a store for each chunk.
  const int64_t gained = 2 * saved * divide_up(channels_out, kConvS8Group);
  return gained > 2 * window.kernel_h * divide_up(row, kChunk);
}

void gather_windows(const Window& window, const PixelLayout& layout, int output_width, int64_t first, int64_t pixels,
                    int64_t window_bytes, int8_t* into) {
  const int64_t copied = window.kernel_w * layout.pixel_bytes;
  const int64_t chunks = divide_up(copied, kChunk);
  const int64_t row_bytes = window.dilation_h * layout.row_bytes;
  const int64_t step = window.stride_w * layout.pixel_bytes;
  int64_t oy = first / output_width;
  int64_t ox = first % output_width;
  while (pixels > 0) {
    const int64_t run = std::min(pixels, output_width - ox);
    const int8_t* from = layout.data + oy * window.stride_h * layout.row_bytes + ox * step;
    const auto gather = chunks == 1 ? gather_along_row<1> : chunks == 2 ? gather_along_row<2> : gather_along_row<0>;
    gather(from, row_bytes, step, copied, window.kernel_h, chunks, run, window_bytes, into);
    into += run * window_bytes;
    pixels -= run;
    ox = 0;
    ++oy;
  }
}

}  // namespace edgedeploy
