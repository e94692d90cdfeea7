// Where a tile of output pixels finds its input: the pointers that conv_s8 follows.
#ifndef EDGEDEPLOY_LAYERS_PIXEL_TILES_H_
#define EDGEDEPLOY_LAYERS_PIXEL_TILES_H_

#include <mat.h>

#include <cstdint>

#include "layers/window.h"

namespace edgedeploy {

class PixelTiles {
 public:
  // input: int8 by eights. pad: 8 pad bytes that repeat at the input's plane stride, or null where nothing is padded.
  PixelTiles(const Window& window, const ncnn::Mat& input, int output_width, const int8_t* pad);

  // Pointers [taps][tile_m] for output pixels [first, first + rows).
  void point(int64_t first, int64_t rows, int32_t tile_m, const int8_t** pointers) const;

 private:
  void point_along_row(int oy, int ox, int64_t rows, int32_t tile_m, const int8_t** pointers) const;

  const Window& window_;
  const int8_t* const data_;
  const int width_;
  const int height_;
  const int output_width_;
  const int8_t* const pad_;
  const Padding padding_;
};

// For inputs whose channels are not whole eights: packs the window of output pixels [first, first + rows) into planes
// of 8 values, groups x tile_m x 8 bytes, in the order of the weights (channel, then tap), filled up with zeros.
void pack_tile(const Window& window, const ncnn::Mat& input, int channels, int output_width, int64_t first,
               int64_t rows, int32_t tile_m, int8_t* packed);

}  // namespace edgedeploy

#endif  // EDGEDEPLOY_LAYERS_PIXEL_TILES_H_
