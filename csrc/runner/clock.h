// Monotonic time in microseconds, for every duration the runner reports.
#ifndef EDGEDEPLOY_RUNNER_CLOCK_H_
#define EDGEDEPLOY_RUNNER_CLOCK_H_

#include <time.h>

namespace edgedeploy {

inline double now_us() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<double>(now.tv_sec) * 1e6 + static_cast<double>(now.tv_nsec) * 1e-3;
}

}  // namespace edgedeploy

#endif  // EDGEDEPLOY_RUNNER_CLOCK_H_
