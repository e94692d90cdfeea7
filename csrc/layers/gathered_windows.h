// Windows over few channels, such as an image's three, gathered: the rows of a window one after the other, so that they
// are filled up to eight bytes once and not each.
#ifndef EDGEDEPLOY_LAYERS_GATHERED_WINDOWS_H_
#define EDGEDEPLOY_LAYERS_GATHERED_WINDOWS_H_

#include <cstdint>

#include "layers/pixel_tiles.h"
#include "layers/window.h"

namespace edgedeploy {

inline constexpr int64_t kGatherSlack = 16;  // Bytes behind the input that are read, and behind the windows, written.

// Whether conv_s8 saves more products than gathering costs. Columns must not be dilated.
bool gathering_pays(const Window& window, int channels_in, int channels_out);

// layout: pixel after pixel, padded. into: window_bytes for each of output pixels [first, first + pixels), in the order
// [row][column][channel]; what is behind a window's values is anything.
void gather_windows(const Window& window, const PixelLayout& layout, int output_width, int64_t first, int64_t pixels,
                    int64_t window_bytes, int8_t* into);

}  // namespace edgedeploy

#endif  // EDGEDEPLOY_LAYERS_GATHERED_WINDOWS_H_
