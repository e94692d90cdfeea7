// conv_s8: int8 convolution by indirection: a stretch of output pixels x 8 output channels, without im2col.
//
//   sum[m][n] = sum over t < taps, k < 8 * groups of A[t][m][k] * B[n][t][k]     int32, exact
//   C[m][n]   = as sums_epilogue.h says
//
// A is where the feature map lies: planes of 8 channels, a pixel's 8 channels together (ncnn's elempack 8), planes
// a_group_stride_bytes apart. For each tap and each pixel `a` points at the pixel's first 8 channels;
// padding points at 8 pad bytes that repeat at the same stride. A 1x1 convolution has one tap, a matrix product too, a
// 3x3 nine; stride and dilation only change the pointers. What is not laid out in eights is packed to such planes
// first.
//
// A holds [-128, 127], B [-127, 127]: two products then fit into 16 bits, which cores without SDOT need. taps * 8 *
// groups is at most kConvS8MaxK, so that no sum overflows.
#ifndef EDGEDEPLOY_KERNELS_CONV_S8_H_
#define EDGEDEPLOY_KERNELS_CONV_S8_H_

#include <cstddef>
#include <cstdint>

#include "kernels/sums_epilogue.h"

namespace edgedeploy {

inline constexpr int64_t kConvS8MaxK = 131071;  // (2^31 - 1) / (128 * 128)
inline constexpr int32_t kConvS8Group = 8;      // channels that lie together, in A as in C
inline constexpr int32_t kConvS8MaxTile = 8;    // of tile_m

struct ConvS8Params {
  const int8_t* const* a;        // [tiles][taps][tile_m]; entries beyond the last pixel are neither read nor followed
  int64_t taps;                  // at least 1
  int64_t groups;                // at least 1
  int64_t a_group_stride_bytes;  // from a group's plane to the next
  const int8_t* b;               // packed weights of these 8 channels
  int64_t pixels;                // at least 1; in tiles of tile_m, the last one may be smaller
  const float* scale;            // [8]
  const float* offset;           // [8]
  void* c;                       // S8: pixels x 8 bytes. F32: pixels x 4 floats, and again c_quad_stride_bytes further
                                 // F16: pixels x 8 halves; variants whose row says so
  int64_t c_quad_stride_bytes;   // F32: from channels 0-3 to channels 4-7; else unused
  SumsEpilogue epilogue;
  const int32_t* start;  // [8] where the sums start, for the outputs Folded, Shifted and Rectified; else unused
  int32_t half_step;     // not 0: there is one tap, and the weights of k 4-7 of its last group are zero
};

using ConvS8Fn = void (*)(const ConvS8Params* params);

// Bytes of the packed weights of n channels; those of 8 channels lie together, one block after the other.
size_t conv_s8_packed_bytes(int64_t n, int64_t k, int64_t taps);

// From ncnn's order, weights[n][k][taps], to the variant's. Channels are filled up to eights, k likewise, with zeros.
using ConvS8PackFn = void (*)(const int8_t* weights, int64_t n, int64_t k, int64_t taps, int8_t* packed);
void conv_s8_pack_ref(const int8_t* weights, int64_t n, int64_t k, int64_t taps, int8_t* packed);
void conv_s8_pack_neondot(const int8_t* weights, int64_t n, int64_t k, int64_t taps, int8_t* packed);
void conv_s8_pack_neon(const int8_t* weights, int64_t n, int64_t k, int64_t taps, int8_t* packed);

extern "C" {
void conv_s8_ref(const ConvS8Params* params);
void conv_s8_4x8_neon(const ConvS8Params* params);
void conv_s8_8x8_neondot(const ConvS8Params* params);
void conv_s8_8x8_neoni8mm(const ConvS8Params* params);
}

}  // namespace edgedeploy

#endif  // EDGEDEPLOY_KERNELS_CONV_S8_H_
