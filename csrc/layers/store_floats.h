// From a block of row-major floats to ncnn's packed blob, in float32 or float16.
#ifndef EDGEDEPLOY_LAYERS_STORE_FLOATS_H_
#define EDGEDEPLOY_LAYERS_STORE_FLOATS_H_

#include <mat.h>

#include <cstdint>

namespace edgedeploy {

// Stores columns [0, columns) of `rows` rows of `src` (row stride src_stride floats) as channels first_channel... of
// the pixels first_pixel... of `blob`. first_channel is a multiple of the blob's elempack.
void store_floats(const float* src, int64_t src_stride, int64_t rows, int32_t columns, int64_t first_pixel,
                  int32_t first_channel, ncnn::Mat& blob);

}  // namespace edgedeploy

#endif  // EDGEDEPLOY_LAYERS_STORE_FLOATS_H_
