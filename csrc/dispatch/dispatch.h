// Which kernel runs on this CPU.
//
//   const KernelRow* row = select_kernel(kOpGemmS8);      // first row that the CPU supports, never null for a known op
#ifndef EDGEDEPLOY_DISPATCH_DISPATCH_H_
#define EDGEDEPLOY_DISPATCH_DISPATCH_H_

#include <cstdint>

#include "kernels/table.h"

namespace edgedeploy {

// IsaBits of the CPU, asked from the operating system once. 0 on other architectures than aarch64.
uint64_t cpu_features();

// True if a CPU with these features can run the row.
bool kernel_supported(const KernelRow& row, uint64_t features = cpu_features());

// First row of the op that a CPU with these features can run; null only for an unknown op.
const KernelRow* select_kernel(const char* op, uint64_t features = cpu_features());

// The row of that name, or null.
const KernelRow* find_kernel(const char* name);

}  // namespace edgedeploy

#endif  // EDGEDEPLOY_DISPATCH_DISPATCH_H_
