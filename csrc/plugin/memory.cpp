#include "plugin/memory.h"

namespace edgedeploy::plugin {

MemoryCounts& MemoryCounts::operator+=(const MemoryCounts& other) {
  loads += other.loads;
  stores += other.stores;
  l1_misses += other.l1_misses;
  l1_stream_misses += other.l1_stream_misses;
  l2_misses += other.l2_misses;
  l2_stream_misses += other.l2_stream_misses;
  return *this;
}

void CpuMemory::access(int64_t slot, const Access& access) {
  MemoryCounts uncounted;
  MemoryCounts* counts = &uncounted;
  if (slot >= 0) {
    const size_t index = static_cast<size_t>(slot);
    if (index >= counts_.size()) counts_.resize(index + 1);
    counts = &counts_[index];
  }
  ++(access.is_store ? counts->stores : counts->loads);
  const uint64_t last_line = (access.address + access.size_bytes - 1) / kLineBytes;
  for (uint64_t line = access.address / kLineBytes; line <= last_line; ++line) touch(line, *counts);
}

void CpuMemory::touch(uint64_t line, MemoryCounts& counts) {
  if (l1d_.touch(line)) return;
  const bool in_stream = streams_.continues(line);
  ++counts.l1_misses;
  if (in_stream) ++counts.l1_stream_misses;
  if (l2_.touch(line)) return;
  ++counts.l2_misses;
  if (in_stream) ++counts.l2_stream_misses;
}

}  // namespace edgedeploy::plugin
