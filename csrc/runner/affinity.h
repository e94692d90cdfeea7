// Which CPUs the program may run on.
#ifndef EDGEDEPLOY_RUNNER_AFFINITY_H_
#define EDGEDEPLOY_RUNNER_AFFINITY_H_

#include <vector>

namespace edgedeploy {

// CPU numbers the calling thread may run on, ascending.
std::vector<int> applied_cpus();

// Binds the calling thread to `cpus`. To be called before any other thread starts: threads inherit the mask.
// Throws RunnerError(kUsage) when the kernel refuses (no such CPU on the board, or none of them online).
void bind_to_cpus(const std::vector<int>& cpus);

}  // namespace edgedeploy

#endif  // EDGEDEPLOY_RUNNER_AFFINITY_H_
