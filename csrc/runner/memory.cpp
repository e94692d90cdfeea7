#include "runner/memory.h"

#include <fstream>
#include <sstream>

namespace edgedeploy {

MemoryUse memory_use() {
  MemoryUse use;
  std::ifstream status("/proc/self/status");
  std::string line;
  while (std::getline(status, line)) {
    std::istringstream words(line);
    std::string key;
    size_t kib = 0;
    if (!(words >> key >> kib)) continue;
    if (key == "VmRSS:") use.rss_bytes = kib * 1024;
    if (key == "VmHWM:") use.peak_rss_bytes = kib * 1024;
  }
  return use;
}

void reset_peak_memory() {
  // Without the permission the peak stays the one since the start, which is still an upper bound.
  std::ofstream("/proc/self/clear_refs") << "5";
}

}  // namespace edgedeploy
