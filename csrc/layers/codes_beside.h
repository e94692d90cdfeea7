// Blobs of halves by eights that are read as halves and as codes: behind the pixels of each plane lie their codes. To
// who does not know of it, such a blob is one whose planes lie apart; a copy of it has no codes.
#ifndef EDGEDEPLOY_LAYERS_CODES_BESIDE_H_
#define EDGEDEPLOY_LAYERS_CODES_BESIDE_H_

#include <mat.h>

#include <cstdint>

namespace edgedeploy {

inline constexpr size_t kHalvesPixelBytes = 16;
inline constexpr int kHalvesOfPixel = 8;

// A plane's rows with those that its codes fill, which are half as long.
inline int rows_with_codes(int rows) { return rows + (rows + 1) / 2; }

// Empty where there is no memory.
inline ncnn::Mat create_with_codes(int width, int height, int planes, ncnn::Allocator* allocator) {
  ncnn::Mat blob;
  blob.create(width, rows_with_codes(height), planes, kHalvesPixelBytes, kHalvesOfPixel, allocator);
  blob.h = height;
  return blob;
}

inline bool has_codes_beside(const ncnn::Mat& blob) {
  return blob.dims == 3 && blob.elemsize == kHalvesPixelBytes && blob.elempack == kHalvesOfPixel &&
         blob.cstep == static_cast<size_t>(blob.w) * static_cast<size_t>(rows_with_codes(blob.h));
}

// Those of the first plane; the next one's are as far apart as planes are.
inline int8_t* codes_beside(const ncnn::Mat& blob) {
  return static_cast<int8_t*>(blob.data) +
         static_cast<size_t>(blob.w) * static_cast<size_t>(blob.h) * kHalvesPixelBytes;
}

}  // namespace edgedeploy

#endif  // EDGEDEPLOY_LAYERS_CODES_BESIDE_H_
