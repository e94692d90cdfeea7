// Where a tile of output pixels finds its input: the pointers that conv_s8 follows.
#ifndef EDGEDEPLOY_LAYERS_PIXEL_TILES_H_
#define EDGEDEPLOY_LAYERS_PIXEL_TILES_H_

#include <mat.h>

#include <cstdint>

#include "layers/window.h"

namespace edgedeploy {

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

class PixelTiles {
 public:
  PixelTiles(const Window& window, const PixelLayout& layout, int output_width);

  // Pointers [tiles][taps][tile_m] for output pixels [first, first + pixels).
  void point(int64_t first, int64_t pixels, int32_t tile_m, const int8_t** pointers) const;

 private:
  void point_along_row(int oy, int ox, int rows, int32_t tile_m, const int8_t** pointers) const;
  // Of eight pixels whose windows lie in the blob; false if they do not.
  bool point_whole_tile(int oy, int ox, const int8_t** pointers) const;
  void point_at_edge(const int8_t* row, int x, int rows, const int8_t** pointers) const;

  const Window window_;
  const PixelLayout layout_;
  const int output_width_;
  const bool is_one_run_;
};

// For inputs that no pointers serve (dilated windows over channels that are not whole eights): packs the window of
// output pixels [first, first + rows) into planes of 8 values, groups x tile_m x 8 bytes, in the order of the weights
// (channel, then tap), filled up with zeros.
void pack_tile(const Window& window, const ncnn::Mat& input, int channels, int output_width, int64_t first,
               int64_t rows, int32_t tile_m, int8_t* packed);

}  // namespace edgedeploy

#endif  // EDGEDEPLOY_LAYERS_PIXEL_TILES_H_
