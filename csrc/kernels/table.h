// The table of kernels: one row a variant. Dispatch, bindings, runner and tests read it; nothing else lists kernels.
// Rows of an op stand in order of preference: dispatch takes the first that the CPU supports. The reference is the
// last.
#ifndef EDGEDEPLOY_KERNELS_TABLE_H_
#define EDGEDEPLOY_KERNELS_TABLE_H_

#include <cstddef>
#include <cstdint>

#include "kernels/conv_s8/conv_s8.h"
#include "kernels/depthwise_s8/depthwise_s8.h"
#include "kernels/gemm_s8/gemm_s8.h"
#include "kernels/isa.h"
#include "kernels/preprocess_u8f32/preprocess_u8f32.h"
#include "kernels/preprocess_u8s8/preprocess_u8s8.h"
#include "kernels/winograd_s8/winograd_s8.h"

namespace edgedeploy {

inline constexpr char kOpPreprocessU8F32[] = "preprocess_u8f32";
inline constexpr char kOpPreprocessU8S8[] = "preprocess_u8s8";
inline constexpr char kOpGemmS8[] = "gemm_s8";
inline constexpr char kOpConvS8[] = "conv_s8";
inline constexpr char kOpDepthwiseS8K3S1[] = "depthwise_s8_3x3s1";
inline constexpr char kOpDepthwiseS8K3S2[] = "depthwise_s8_3x3s2";
inline constexpr char kOpDepthwiseS8K5S1[] = "depthwise_s8_5x5s1";
inline constexpr char kOpDepthwiseS8K5S2[] = "depthwise_s8_5x5s2";
inline constexpr char kOpWinogradS8[] = "winograd_s8";

struct KernelRow {
  const char* name;                               // stem of the file = symbol = id in tests and benchmarks
  const char* op;                                 // kOp...
  uint64_t isa;                                   // IsaBits that the CPU must have, all of them
  int32_t tile_m;                                 // rows of output a call (gemm), rows a step (preprocess)
  int32_t tile_n;                                 // columns of output a call, pixels a step
  int32_t k_unit;                                 // gemm: bytes of k that are packed together; else 1
  float tolerance;                                // largest difference to the reference; 0 is bit-exact
  const char* reference;                          // name of the row that defines the meaning
  PreprocessU8F32Fn preprocess;                   // entry point of op kOpPreprocessU8F32, else null
  GemmS8TileFn gemm;                              // entry point of op kOpGemmS8, else null
  GemmS8PackFn pack;                              // packer of A and B for gemm, else null
  ConvS8Fn conv = nullptr;                        // entry point of op kOpConvS8
  ConvS8PackFn conv_pack = nullptr;               // packer of its weights
  bool conv_to_f16 = false;                       // it knows kSumsToF16 and kSumsToF16Folded
  bool conv_all_f16 = false;                      // and kSumsToF16Shifted and kSumsToF16Rectified
  const DepthwiseS8Variant* depthwise = nullptr;  // of the ops kOpDepthwiseS8...
  PreprocessU8S8Fn preprocess_codes = nullptr;    // entry point of op kOpPreprocessU8S8
  const WinogradS8Variant* winograd = nullptr;    // of the op kOpWinogradS8
};

struct KernelTable {
  const KernelRow* rows;
  size_t size;
  const KernelRow* begin() const { return rows; }
  const KernelRow* end() const { return rows + size; }
};

// Every kernel built for this architecture.
KernelTable kernel_table();

}  // namespace edgedeploy

#endif  // EDGEDEPLOY_KERNELS_TABLE_H_
