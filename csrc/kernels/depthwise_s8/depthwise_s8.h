// depthwise_s8: int8 depthwise convolution, 8 channels of one row of outputs or several a call, 3x3 and 5x5, stride 1
// and 2.
//
//   sum[x][n] = sum over r, s < kernel of row[r][x * stride + s][n] * w[n][r][s]        int32, exact
//   C[x][n]   = as sums_epilogue.h says
//
// Input rows are prepared first, each once, however many rows of outputs use it: padded left and right, and in the
// order that the variant wants (for SDOT four neighbouring pixels of a channel in one lane). Prepared rows of a few
// lines stay in the L1 data cache; a padded copy of the feature map is never made.
//
// A holds [-128, 127], w [-127, 127].
#ifndef EDGEDEPLOY_KERNELS_DEPTHWISE_S8_H_
#define EDGEDEPLOY_KERNELS_DEPTHWISE_S8_H_

#include <cstddef>
#include <cstdint>

#include "kernels/sums_epilogue.h"

namespace edgedeploy {

inline constexpr int32_t kDepthwiseS8MaxKernel = 5;

// An input row to its prepared form, or several that lie one after the other.
struct DepthwiseS8RowParams {
  const int8_t* src;  // width pixels x 8 channels; null for a row of padding
  int64_t width;      // pixels of src, at least 1
  int64_t pad_left;   // pixels of padding before src, 0 to kernel - 1
  int64_t outputs;    // pixels of output that will be made of it, at least 1; what lies beyond src is padding
  int64_t pad_code;   // the padding's value
  int8_t* dst;        // row_bytes(outputs) bytes a row, aligned to 16
  int64_t row_count;  // at least 1; 1 where src is null
};

// Rows of outputs, which lie one after the other.
struct DepthwiseS8Params {
  const int8_t* const* rows;    // [kernel + (row_count - 1) * stride] prepared rows
  const int8_t* weights;        // packed weights of these 8 channels
  int64_t outputs;              // at least 1
  const float* scale;           // [8]
  const float* offset;          // [8]
  void* c;                      // S8: outputs x 8 bytes. F32: outputs x 4 floats, and again c_quad_stride_bytes further
  int64_t c_quad_stride_bytes;  // F32: from channels 0-3 to channels 4-7; S8: unused
  SumsEpilogue epilogue;
  const int32_t* start;  // [8] where the sums start, for kSumsToS8Folded; else unused
  int64_t row_count;     // at least 1
};

// A variant: how rows are prepared, weights packed, and outputs computed. Nothing reads or writes beyond what it is
// given.
struct DepthwiseS8Variant {
  int32_t kernel;                        // 3 or 5
  int32_t stride;                        // 1 or 2
  size_t (*row_bytes)(int64_t outputs);  // of a prepared row; a multiple of 16
  void (*prepare)(const DepthwiseS8RowParams* params);
  size_t packed_bytes;  // of 8 channels' weights; a multiple of 16
  void (*pack)(const int8_t* weights, int64_t n,
               int8_t* packed);  // from weights[n][kernel][kernel]; n filled up to eights
  void (*run)(const DepthwiseS8Params* params);
};

extern const DepthwiseS8Variant kDepthwiseS8K3S1Ref;
extern const DepthwiseS8Variant kDepthwiseS8K3S2Ref;
extern const DepthwiseS8Variant kDepthwiseS8K5S1Ref;
extern const DepthwiseS8Variant kDepthwiseS8K5S2Ref;

extern const DepthwiseS8Variant kDepthwiseS8K3S1Neondot;
extern const DepthwiseS8Variant kDepthwiseS8K3S2Neondot;
extern const DepthwiseS8Variant kDepthwiseS8K5S1Neondot;
extern const DepthwiseS8Variant kDepthwiseS8K5S2Neondot;

extern const DepthwiseS8Variant kDepthwiseS8K3S1Neon;
extern const DepthwiseS8Variant kDepthwiseS8K3S2Neon;
extern const DepthwiseS8Variant kDepthwiseS8K5S1Neon;
extern const DepthwiseS8Variant kDepthwiseS8K5S2Neon;

extern "C" {
void depthwise_s8_3x3s1_neondot(const DepthwiseS8Params* params);
void depthwise_s8_3x3s2_neondot(const DepthwiseS8Params* params);
void depthwise_s8_5x5s1_neondot(const DepthwiseS8Params* params);
void depthwise_s8_5x5s2_neondot(const DepthwiseS8Params* params);
void depthwise_s8_3x3s1_neon(const DepthwiseS8Params* params);
void depthwise_s8_3x3s2_neon(const DepthwiseS8Params* params);
void depthwise_s8_5x5s1_neon(const DepthwiseS8Params* params);
void depthwise_s8_5x5s2_neon(const DepthwiseS8Params* params);
}

}  // namespace edgedeploy

#endif  // EDGEDEPLOY_KERNELS_DEPTHWISE_S8_H_
