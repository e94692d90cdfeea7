// Where a tile of output pixels finds its input: the pointers that conv_s8 follows.
#ifndef EDGEDEPLOY_LAYERS_PIXEL_TILES_H_
#define EDGEDEPLOY_LAYERS_PIXEL_TILES_H_

#include <mat.h>

#include <cstdint>

#if defined(__aarch64__)
#include <arm_neon.h>
#endif

#include "layers/window.h"

namespace edgedeploy {

inline constexpr int kPointersAtOnce = 8;

// How a blob lies in memory.
struct PixelLayout {
  const int8_t* data = nullptr;
  int width = 0;
  int height = 0;
  int64_t pixel_bytes = 0;  // from a pixel to the next
  int64_t row_bytes = 0;
  Padding padding;  // around the blob, found at `pad`
  const int8_t* pad = nullptr;
};

// Pointers `step` bytes apart; written by eights, so up to seven more than asked for.
inline void point_by_eights(const int8_t* first, int64_t step, int64_t count, const int8_t** pointers) {
#if defined(__aarch64__)
  const int64_t at = reinterpret_cast<int64_t>(first);
  const int64_t both[] = {at, at + step};
  const int64x2_t pair = vld1q_s64(both);
  const int64x2_t to_next = vdupq_n_s64(kPointersAtOnce * step);
  int64x2x4_t eight = {{pair, vaddq_s64(pair, vdupq_n_s64(2 * step)), vaddq_s64(pair, vdupq_n_s64(4 * step)),
                        vaddq_s64(pair, vdupq_n_s64(6 * step))}};
  for (int64_t i = 0; i < count; i += kPointersAtOnce) {
    vst1q_s64_x4(reinterpret_cast<int64_t*>(pointers + i), eight);
    for (int64x2_t& some : eight.val) some = vaddq_s64(some, to_next);
  }
#else
  for (int64_t i = 0; i < count; ++i) pointers[i] = first + i * step;
#endif
}

// Pointers are first laid out row by row of the blob, with the padding in its place, as far as windows reach; a tile's
// are copied from there, a tap eight at a time.
class PixelTiles {
 public:
  PixelTiles(const Window& window, const PixelLayout& layout, int output_width);

  // Bytes that point() needs to work in and around `pointers`, for at most that many output pixels.
  size_t row_bytes(int64_t pixels) const;
  static constexpr size_t kSlackBytes = 64;  // behind the pointers: a tap's eight are written at once

  // Pointers [tiles][taps][tile_m] for output pixels [first, first + pixels).
  void point(int64_t first, int64_t pixels, int32_t tile_m, const int8_t** pointers, const int8_t** rows) const;

 private:
  // A part of a tile that lies in one row of outputs.
  struct Run {
    int place;               // in the tile
    const int8_t** columns;  // of its first output and tap
  };

  int rows_for(int output_rows) const;
  void lay_out_row(int y, const int8_t** columns) const;
  void lay_out_columns(const int8_t* row, int first_x, int step, int count, const int8_t** columns) const;
  void copy_tile(const Run* runs, int count, int32_t tile_m, const int8_t** pointers) const;

  const Window window_;
  const PixelLayout layout_;
  const int output_width_;
  const bool is_one_run_;
  const int columns_;      // pointers of a row, and some more that are copied along
  const int tap_columns_;  // from a tap's columns to the next one's, in a row
};

// For inputs that no pointers serve (dilated windows over channels that are not whole eights): packs the window of
// output pixels [first, first + rows) into planes of 8 values, groups x tile_m x 8 bytes, in the order of the weights
// (channel, then tap), filled up with zeros.
void pack_tile(const Window& window, const ncnn::Mat& input, int channels, int output_width, int64_t first,
               int64_t rows, int32_t tile_m, int8_t* packed);

}  // namespace edgedeploy

#endif  // EDGEDEPLOY_LAYERS_PIXEL_TILES_H_
