// winograd_s8: int8 convolution with a 3x3 window of stride 1, tiles of 4 x 4 output pixels, with a quarter of the
// products of the plain algorithm.
//
//   sum[y][x][n] = sum over r, s < 3, k < 8 * groups of A[y - pad_top + r][x - pad_left + s][k] * B[n][k][r][s]
//   C[y][x][n]   = as sums_epilogue.h says
//
// The sums are exact to the last bit. Toom-Cook's points 0, 1, -1, 2, -2 and infinity make F(4, 3); transformed inputs
// and weights are integers of 16 bits, the latter times 24 a dimension, so that 576 * sum comes out, modulo 2^32.
// Nine has an inverse there, and what is left, 64 * sum, is a whole number of 32 bits as long as
// |sum| < kWinogradS8MaxSum. Where sums may be larger, the planes are taken in two parts whose sums are added up.
//
// A tile at the right or lower edge with three or two outputs left takes fewer points, a subset of the same, so
// that the same transformed weights serve it.
//
// A holds [-128, 127], B [-127, 127]. A is a feature map in planes of 8 channels (ncnn's elempack 8), what lies outside
// it is pad_code. C is such a feature map too, or of floats, in planes of 4 channels.
#ifndef EDGEDEPLOY_KERNELS_WINOGRAD_S8_H_
#define EDGEDEPLOY_KERNELS_WINOGRAD_S8_H_

#include <cstddef>
#include <cstdint>

#include "kernels/sums_epilogue.h"

namespace edgedeploy {

inline constexpr int64_t kWinogradS8MaxSum = int64_t{1} << 25;
inline constexpr int64_t kWinogradS8Tile = 4;       // outputs of a tile, across and down
inline constexpr int64_t kWinogradS8Block = 16;     // channels of output that are computed together
inline constexpr int64_t kWinogradS8MaxTiles = 16;  // of a call
inline constexpr int64_t kWinogradS8MaxParts = 2;

// The first plane of a part; that of the part after the last is `groups`.
inline int64_t winograd_s8_part(int64_t groups, int64_t parts, int64_t part) { return groups * part / parts; }

struct WinogradS8Params {
  const int8_t* a;
  int64_t a_width;         // pixels
  int64_t a_height;        // pixels
  int64_t a_stride_bytes;  // from a plane to the next
  int64_t groups;          // planes
  int64_t parts;           // 1 to kWinogradS8MaxParts
  int64_t pad_left;
  int64_t pad_top;
  int64_t pad_code;
  const void* b;        // packed weights
  int64_t channels;     // of output, a multiple of 8
  int64_t first_block;  // of 16 channels
  int64_t blocks;       // at least 1
  int64_t c_width;      // pixels
  int64_t c_height;     // pixels
  int64_t first_tile;   // row by row
  int64_t tiles;        // 1 to kWinogradS8MaxTiles
  const float* scale;   // [channels]
  const float* offset;  // [channels]
  SumsEpilogue epilogue;
  const int32_t* start;    // [channels] where the sums start, for kSumsToS8Folded; else unused
  void* c;                 // of channel 0, aligned to 16
  int64_t c_stride_bytes;  // from a plane of 8 codes, or of 4 floats, a pixel to the next
  void* scratch;           // scratch_bytes, aligned to 16
};

// A variant: how weights are packed, what room it needs, and the convolution.
struct WinogradS8Variant {
  size_t (*packed_bytes)(int64_t channels, int64_t groups);  // aligned to 16
  // From weights[channels][8 * groups][3][3].
  void (*pack)(const int8_t* weights, int64_t channels, int64_t groups, void* packed);
  size_t (*scratch_bytes)(int64_t groups);
  void (*run)(const WinogradS8Params* params);
};

extern const WinogradS8Variant kWinogradS8Ref;
extern const WinogradS8Variant kWinogradS8Neon;

// One product of winograd_s8_4x16_neon: up to four tiles at one point.
struct WinogradS8Product {
  const int16_t* v;  // [groups][4 tiles][8 k]
  int32_t* m;        // [4 tiles][16 channels]
  int64_t u_bytes;   // from u to the point's weights: [8 * groups k][16 channels] of 16 bits
  int64_t tiles;     // 1 to 4
};

struct WinogradS8Products {
  const WinogradS8Product* products;
  int64_t count;  // at least 1
  const int16_t* u;
  int64_t groups;  // at least 1
  int32_t* spare;  // [4][16], written
};

extern "C" {
void winograd_s8_4x16_neon(const WinogradS8Products* products);
}

}  // namespace edgedeploy

#endif  // EDGEDEPLOY_KERNELS_WINOGRAD_S8_H_
