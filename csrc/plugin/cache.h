// Caches as far as counting misses goes: which lines they hold, not what is in them or when they are written back.
#ifndef EDGEDEPLOY_PLUGIN_CACHE_H_
#define EDGEDEPLOY_PLUGIN_CACHE_H_

#include <cstddef>
#include <cstdint>
#include <vector>

namespace edgedeploy::plugin {

constexpr uint64_t kLineBytes = 64;

struct CacheShape {
  uint64_t sets;  // A power of two.
  uint64_t ways;
};

// Set-associative, least recently used line out first. Loads and stores alike bring a line in.
class Cache {
 public:
  explicit Cache(const CacheShape& shape);

  // True if it holds the line, which it does in any case afterwards. `line`: address / kLineBytes.
  bool touch(uint64_t line);

 private:
  uint64_t sets_;
  uint64_t ways_;
  // [sets][ways] line numbers plus 1, 0 for none; in each set the line used last comes first.
  std::vector<uint64_t> lines_;
};

// The ascending runs of lines among the misses, which a core's prefetcher would see coming.
class Streams {
 public:
  // True if the line is next to the last miss of one of the runs, or the next but one: the line between may have been
  // in the cache. Otherwise it begins a run, in place of the one not continued for longest.
  bool continues(uint64_t line);

 private:
  static constexpr size_t kCount = 16;
  static constexpr uint64_t kMaxStep = 2;
  // Line of the last miss of each run, plus 1, 0 for none; the run continued last comes first.
  uint64_t last_[kCount] = {};
};

}  // namespace edgedeploy::plugin

#endif  // EDGEDEPLOY_PLUGIN_CACHE_H_
