#include "plugin/cache.h"

namespace edgedeploy::plugin {

namespace {

// Moves the entries before `place` back by one and puts `value` first.
void put_first(uint64_t* entries, size_t place, uint64_t value) {
  for (size_t i = place; i > 0; --i) entries[i] = entries[i - 1];
  entries[0] = value;
}

}  // namespace

Cache::Cache(const CacheShape& shape) : sets_(shape.sets), ways_(shape.ways), lines_(shape.sets * shape.ways) {}

bool Cache::touch(uint64_t line) {
  const uint64_t tag = line + 1;
  uint64_t* set = &lines_[(line & (sets_ - 1)) * ways_];
  for (size_t way = 0; way < ways_; ++way) {
    if (set[way] == tag) {
      put_first(set, way, tag);
      return true;
    }
  }
  put_first(set, ways_ - 1, tag);
  return false;
}

bool Streams::continues(uint64_t line) {
  const uint64_t tag = line + 1;
  for (size_t i = 0; i < kCount; ++i) {
    // Unsigned: a line before the run's last wraps around to a large step.
    const uint64_t step = tag - last_[i];
    if (last_[i] != 0 && step >= 1 && step <= kMaxStep) {
      put_first(last_, i, tag);
      return true;
    }
  }
  put_first(last_, kCount - 1, tag);
  return false;
}

}  // namespace edgedeploy::plugin
