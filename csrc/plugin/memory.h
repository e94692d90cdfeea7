// The board's data caches, fed with every access.
#ifndef EDGEDEPLOY_PLUGIN_MEMORY_H_
#define EDGEDEPLOY_PLUGIN_MEMORY_H_

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <vector>

#include "plugin/cache.h"
#include "plugin/counters.h"

namespace edgedeploy::plugin {

// A second-level cache for all virtual CPUs. With more than one its content depends on how the emulator's threads
// happen to interleave, so the counts mean something for one thread only.
class SharedCache {
 public:
  explicit SharedCache(const CacheShape& shape) : cache_(shape) {}

  bool touch(uint64_t line) {
    const std::lock_guard<std::mutex> lock(mutex_);
    return cache_.touch(line);
  }

 private:
  std::mutex mutex_;
  Cache cache_;
};

struct Access {
  uint64_t address;
  uint64_t size_bytes;
  bool is_store;
};

// One virtual CPU's first-level data cache and its counts by slot.
class CpuMemory {
 public:
  CpuMemory(const CacheShape& l1d, SharedCache& l2) : l1d_(l1d), l2_(l2) {}

  // `slot` negative: the caches see the access, nothing is counted.
  void access(int64_t slot, const Access& access);

  const std::vector<MemoryCounts>& counts() const { return counts_; }

 private:
  void touch(uint64_t line, MemoryCounts& counts);

  Cache l1d_;
  Streams streams_;
  SharedCache& l2_;
  std::vector<MemoryCounts> counts_;
};

}  // namespace edgedeploy::plugin

#endif  // EDGEDEPLOY_PLUGIN_MEMORY_H_
