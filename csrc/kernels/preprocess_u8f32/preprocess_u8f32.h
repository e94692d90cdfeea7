// preprocess_u8f32: image bytes to network input in one pass.
//
//   resized = bilinear(src, dst_width x dst_height)            uint8, 3 channels
//   value   = resized, its channels in the order of `color`; one gray channel for kColorGray
//   dst[c][y][x] = (float(value[c]) - mean[c]) * scale[c]      two float32 roundings, never fused
//
// Resize has the meaning of OpenCV's INTER_LINEAR for uint8: half-pixel centres, clamped edges, weights of 11 bits,
//
//   S(y, x) = (src[y][x0] * (2048 - wx) + src[y][x0 + 1] * wx) >> 4
//   resized = (((S(y0, x) * (2048 - wy)) >> 16) + ((S(y0 + 1, x) * wy) >> 16) + 2) >> 2
//
// and gray is OpenCV's fixed-point BGR2GRAY: (3735 B + 19235 G + 9798 R + 2^14) >> 15.
//
// Source: OpenCV, modules/imgproc/src/resize.cpp (fixed-point linear) and color_rgb.simd.hpp (RGB2Gray).
#ifndef EDGEDEPLOY_KERNELS_PREPROCESS_U8F32_H_
#define EDGEDEPLOY_KERNELS_PREPROCESS_U8F32_H_

#include <cstddef>
#include <cstdint>

namespace edgedeploy {

enum ColorOrder : int32_t { kColorBgr = 0, kColorRgb = 1, kColorGray = 2 };

// Sides of source and destination lie in [1, kPreprocessMaxSide].
inline constexpr int32_t kPreprocessMaxSide = 65535;
inline constexpr int32_t kResizeWeightOne = 2048;

// What a kernel needs. Fill src..scratch, call preprocess_u8f32_prepare once, then any variant as often as wanted;
// src and dst may change between calls while sizes and scratch stay. One scratch serves one thread.
struct PreprocessU8F32Params {
  const uint8_t* src;        // HWC, 3 channels, BGR; exactly src_width * 3 bytes of a row are read
  int64_t src_stride_bytes;  // from a row to the next, any value
  int32_t src_width;
  int32_t src_height;
  float* dst;                        // CHW
  int64_t dst_row_stride_bytes;      // at least dst_width * 4
  int64_t dst_channel_stride_bytes;  // from a plane to the next
  int32_t dst_width;
  int32_t dst_height;
  int32_t color;   // ColorOrder of the output
  float mean[3];   // by output channel: with kColorRgb mean[0] is red's, with kColorGray only [0] counts
  float scale[3];  // likewise
  void* scratch;   // preprocess_u8f32_scratch_bytes() bytes, aligned to 16
  // Set by preprocess_u8f32_prepare; they point into scratch.
  const int32_t* x_source;  // [dst_width] x0, in [0, src_width)
  const int16_t* x_weight;  // [dst_width] wx, in [0, 2048]
  const int32_t* y_source;  // [dst_height] y0, in [-1, src_height): rows y0 and y0 + 1 are clamped into the image
  const int16_t* y_weight;  // [dst_height] wy
  uint16_t* row_buffer;     // 2 rows of dst_width pixels x 4 values, for variants that keep S
};

using PreprocessU8F32Fn = void (*)(const PreprocessU8F32Params* params);

// Number of planes written: 1 for gray, else 3.
inline int32_t preprocess_u8f32_channels(int32_t color) { return color == kColorGray ? 1 : 3; }

// Bytes of scratch for one destination size.
size_t preprocess_u8f32_scratch_bytes(int32_t dst_width, int32_t dst_height);

// Compute positions and weights into scratch and set the pointers. Allocates nothing.
void preprocess_u8f32_prepare(PreprocessU8F32Params* params);

// One value of the resized image, in output channel `channel`: what the references share.
uint32_t preprocess_u8_value_ref(const PreprocessU8F32Params& params, int32_t y, int32_t x, int32_t channel);

extern "C" {
void preprocess_u8f32_ref(const PreprocessU8F32Params* params);
void preprocess_u8f32_1x8_neon(const PreprocessU8F32Params* params);
}

}  // namespace edgedeploy

#endif  // EDGEDEPLOY_KERNELS_PREPROCESS_U8F32_H_
