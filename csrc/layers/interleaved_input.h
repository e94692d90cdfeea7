// Inputs whose channels are not whole eights, such as an image's three: pixel after pixel, a pixel's channels together,
// with the padding around. A row of a window then is one run of bytes, which conv_s8 takes eight at a time.
#ifndef EDGEDEPLOY_LAYERS_INTERLEAVED_INPUT_H_
#define EDGEDEPLOY_LAYERS_INTERLEAVED_INPUT_H_

#include <mat.h>
#include <option.h>

#include <cstdint>

#include "layers/window.h"

namespace edgedeploy {

inline constexpr int kImageChannels = 3;
inline constexpr int kInterleavedSlack = 16;  // Bytes behind the last row, so that windows may be read in chunks.

struct InterleavedInput {
  ncnn::Mat bytes;  // (height + padding) rows of (width + padding) * channels bytes, and the slack
  int64_t row_bytes = 0;
  int64_t pixel_bytes = 0;
};

// blob: int8, or float that is quantized with the scale on the way, as the engine does it. Returns kOk or kOutOfMemory.
int interleaved_input(const ncnn::Mat& blob, const ncnn::Mat& scale, const Window& window, const ncnn::Option& opt,
                      InterleavedInput* input);

}  // namespace edgedeploy

#endif  // EDGEDEPLOY_LAYERS_INTERLEAVED_INPUT_H_
