// Resident memory of this process, by phase of the benchmark.
#ifndef EDGEDEPLOY_RUNNER_MEMORY_H_
#define EDGEDEPLOY_RUNNER_MEMORY_H_

#include <cstddef>
#include <string>

namespace edgedeploy {

struct MemoryUse {
  size_t rss_bytes = 0;
  size_t peak_rss_bytes = 0;
};

// Rss from /proc/self/smaps_rollup (VmRSS where the kernel lacks it) and VmHWM from /proc/self/status, never below Rss;
// zeros where the board shows none. Source: proc(5), the note on /proc/[pid]/status being inaccurate.
MemoryUse memory_use();

// Starts a new peak at the present size, where the kernel permits. Source: proc(5), /proc/[pid]/clear_refs, value 5.
void reset_peak_memory();

}  // namespace edgedeploy

#endif  // EDGEDEPLOY_RUNNER_MEMORY_H_
