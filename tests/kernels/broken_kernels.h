// Kernels with one defect each. They are in no table: the suite has to fail on every one of them.
#ifndef EDGEDEPLOY_TESTS_BROKEN_KERNELS_H_
#define EDGEDEPLOY_TESTS_BROKEN_KERNELS_H_

#include "kernels/table.h"

namespace edgedeploy_tests {

// "rounding" rounds halves to even; "over-read" reads a byte past A; "over-write" writes a byte past C; "registers"
// (aarch64) changes x19 and d8. "conv-fusion" rounds the product before it adds; "conv-floor" does not first cut t to
// 24 fraction bits; "conv-pointers" reads a pointer beyond the tile's pixels; "conv-gate" has gates without an upper
// limit; "conv-curve" sigmoids whose 1 is a bit more. "depthwise-padding" pads with 0 instead of pad_code;
// "depthwise-pairs" writes a byte past an odd count of outputs. Null for another name.
const edgedeploy::KernelRow* find_broken_kernel(const char* defect);

}  // namespace edgedeploy_tests

#endif  // EDGEDEPLOY_TESTS_BROKEN_KERNELS_H_
