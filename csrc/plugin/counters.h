// What one virtual CPU has executed. Only its own thread touches it while the program runs, so nothing is locked.
#ifndef EDGEDEPLOY_PLUGIN_COUNTERS_H_
#define EDGEDEPLOY_PLUGIN_COUNTERS_H_

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

namespace edgedeploy::plugin {

// Executions by slot and block. In parts: a slot sees few of the blocks, and those translated at about the same time.
class BlockCounters {
 public:
  void add(size_t slot, size_t block) {
    if (slot >= rows_.size()) rows_.resize(slot + 1);
    Row& row = rows_[slot];
    const size_t part = block / kPartSize;
    if (part >= row.size()) row.resize(part + 1);
    if (!row[part]) row[part] = std::make_unique<Part>();
    ++(*row[part])[block % kPartSize];
  }

  uint64_t get(size_t slot, size_t block) const {
    if (slot >= rows_.size()) return 0;
    const Row& row = rows_[slot];
    const size_t part = block / kPartSize;
    return part < row.size() && row[part] ? (*row[part])[block % kPartSize] : 0;
  }

  // Above all slots counted for.
  size_t slots() const { return rows_.size(); }

 private:
  static constexpr size_t kPartSize = 256;
  using Part = std::array<uint64_t, kPartSize>;
  using Row = std::vector<std::unique_ptr<Part>>;
  std::vector<Row> rows_;
};

struct MemoryCounts {
  uint64_t loads = 0;
  uint64_t stores = 0;
  uint64_t l1_misses = 0;
  uint64_t l1_stream_misses = 0;  // Of those above.
  uint64_t l2_misses = 0;
  uint64_t l2_stream_misses = 0;

  MemoryCounts& operator+=(const MemoryCounts& other);
  bool any() const { return loads != 0 || stores != 0; }
};

}  // namespace edgedeploy::plugin

#endif  // EDGEDEPLOY_PLUGIN_COUNTERS_H_
