#include "runner/memory.h"

#include <algorithm>
#include <fstream>
#include <sstream>

namespace edgedeploy {

namespace {

// The figure of a line "KEY 123 kB" in bytes; 0 where the file or the line is not there.
size_t read_size(const char* path, const std::string& wanted) {
  std::ifstream file(path);
  std::string line;
  while (std::getline(file, line)) {
    std::istringstream words(line);
    std::string key;
    size_t kib = 0;
    if (words >> key >> kib && key == wanted) return kib * 1024;
  }
  return 0;
}

}  // namespace

MemoryUse memory_use() {
  MemoryUse use;
  // The kernel adds to VmRSS and VmHWM in batches: a young process shows one page. The roll-up counts the pages
  // themselves.
  use.rss_bytes = std::max(read_size("/proc/self/smaps_rollup", "Rss:"), read_size("/proc/self/status", "VmRSS:"));
  use.peak_rss_bytes = std::max(read_size("/proc/self/status", "VmHWM:"), use.rss_bytes);
  return use;
}

void reset_peak_memory() {
  // Without the permission the peak stays the one since the start, which is still an upper bound.
  std::ofstream("/proc/self/clear_refs") << "5";
}

}  // namespace edgedeploy
