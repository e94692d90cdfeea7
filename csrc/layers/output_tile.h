// Where the kernels' tiles of 8 output channels go: straight into the blob where its layout is the kernel's own, else
// through a tile on the stack, which is activated and requantized there if the kernel could not.
#ifndef EDGEDEPLOY_LAYERS_OUTPUT_TILE_H_
#define EDGEDEPLOY_LAYERS_OUTPUT_TILE_H_

#include <mat.h>
#include <option.h>

#include <cstdint>

#include "layers/epilogue.h"

namespace edgedeploy {

inline constexpr int32_t kChannelGroup = 8;  // Channels of a kernel's tile, and of a packed int8 blob.
inline constexpr int32_t kQuad = 4;          // Channels of a packed float blob.

// How an output blob packs its channels, and the bytes of a value.
struct OutputForm {
  int elempack;
  size_t value_bytes;
};

// Int8 by eights where the channels allow, else float by fours (half precision by eights where the engine computes in
// it), as the engine's own layers do.
OutputForm output_form(int channels, bool requantizes, bool fp16_storage, const ncnn::Option& opt);

// Creates a layer's output blob in that form. Returns kOk or kOutOfMemory.
int create_output(int width, int height, int channels, const Epilogue& epilogue, bool fp16_storage,
                  const ncnn::Option& opt, ncnn::Mat* blob);

// A kernel's destination for `rows` pixels from `first_pixel` on, of the channels from 8 * group on.
class OutputTile {
 public:
  // tile: room for 8 floats of each of `max_rows` pixels, aligned to 16 bytes. to_f16: the kernel knows kSumsToF16.
  OutputTile(const Epilogue& epilogue, int channels, const ncnn::Mat& blob, float* tile, int64_t max_rows,
             bool to_f16 = false);

  // What the kernel is to write.
  SumsEpilogue sums() const {
    SumsEpilogue sums = epilogue_.sums;
    if (halves_by_eights_) sums.output = kSumsToF16;
    return sums;
  }

  void* place(int64_t first_pixel, int group) {
    if (!is_direct(group)) {
      quad_stride_bytes_ = quad_stride_ * static_cast<int64_t>(sizeof(float));
      return tile_;
    }
    quad_stride_bytes_ = plane_bytes_;
    return data_ + group * group_bytes_ + first_pixel * static_cast<int64_t>(blob_.elemsize);
  }
  int64_t quad_stride_bytes() const { return quad_stride_bytes_; }

  // After the kernel: a no-op where the tile was the blob itself.
  void store(int64_t first_pixel, int64_t rows, int group) {
    if (!is_direct(group)) store_tile(first_pixel, rows, group);
  }

 private:
  bool is_direct(int group) const {
    return codes_by_eights_ || halves_by_eights_ || (floats_by_fours_ && (group + 1) * kChannelGroup <= channels_);
  }

  void store_tile(int64_t first_pixel, int64_t rows, int group);
  void store_codes(const int8_t* codes, int64_t first_pixel, int64_t rows, int group);
  void store_floats(int64_t first_pixel, int64_t rows, int group);
  void requantize(int64_t rows);

  const Epilogue& epilogue_;
  const int channels_;
  const ncnn::Mat& blob_;
  int8_t* const data_;
  const int64_t plane_bytes_;
  const int64_t group_bytes_;  // from eight channels to the next, where the blob's packing divides eight
  const bool codes_by_eights_;
  const bool halves_by_eights_;
  const bool floats_by_fours_;
  int64_t quad_stride_bytes_ = 0;
  float* const tile_;          // Channels 0-3 of every pixel, then 4-7; or 8 codes a pixel.
  const int64_t quad_stride_;  // In floats, of the tile.
};

}  // namespace edgedeploy

#endif  // EDGEDEPLOY_LAYERS_OUTPUT_TILE_H_
