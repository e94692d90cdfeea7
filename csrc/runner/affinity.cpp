#include "runner/affinity.h"

#include <errno.h>
#include <sched.h>
#include <string.h>

#include <string>

#include "runner/error.h"

namespace edgedeploy {

std::vector<int> applied_cpus() {
  cpu_set_t mask;
  CPU_ZERO(&mask);
  std::vector<int> cpus;
  if (sched_getaffinity(0, sizeof(mask), &mask) != 0) return cpus;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (CPU_ISSET(cpu, &mask)) cpus.push_back(cpu);
  }
  return cpus;
}

void bind_to_cpus(const std::vector<int>& cpus) {
  cpu_set_t mask;
  CPU_ZERO(&mask);
  for (const int cpu : cpus) {
    if (cpu < 0 || cpu >= CPU_SETSIZE) throw RunnerError(ExitCode::kUsage, "--cpus: no CPU " + std::to_string(cpu));
    CPU_SET(cpu, &mask);
  }
  if (sched_setaffinity(0, sizeof(mask), &mask) != 0) {
    throw RunnerError(ExitCode::kUsage, std::string("--cpus: the kernel refuses this set: ") + strerror(errno));
  }
}

}  // namespace edgedeploy
