// Where the emulated program is, by the marks it executes (csrc/runner/mark_aarch64.S).
#ifndef EDGEDEPLOY_PLUGIN_MARKS_H_
#define EDGEDEPLOY_PLUGIN_MARKS_H_

#include <atomic>
#include <cstdint>
#include <mutex>
#include <optional>
#include <vector>

namespace edgedeploy::plugin {

// MOVZ XZR, #0xed9e: the instruction before a mark's store.
constexpr uint32_t kMarkWord = 0xd29db3df;

class Marks {
 public:
  // Values of `place` that are no slot.
  static constexpr int64_t kAway = -1;       // Before the first boundary, or from boundary `to` on.
  static constexpr int64_t kUncounted = -2;  // From the first boundary to boundary `from`.

  Marks(uint64_t from, uint64_t to) : from_(from), to_(to) {}

  // A mark has stored to this address. Throws PluginError if that is no slot.
  void mark(uint64_t address);

  // The slot that what runs now counts for, or one of the above. The marking thread sets it for all: it wakes the
  // others after it has marked, and that orders their reads.
  int64_t place() const { return place_.load(std::memory_order_relaxed); }

  // To be asked when nothing runs any more.
  uint64_t boundaries() const { return boundaries_; }
  // The slots marked between the boundaries `from` and `from` + 1, in order.
  const std::vector<uint64_t>& sequence() const { return sequence_; }

 private:
  void pass_boundary();

  const uint64_t from_;
  const uint64_t to_;
  std::mutex mutex_;
  std::atomic<int64_t> place_{kAway};
  std::optional<uint64_t> base_;
  uint64_t boundaries_ = 0;
  std::vector<uint64_t> sequence_;
};

}  // namespace edgedeploy::plugin

#endif  // EDGEDEPLOY_PLUGIN_MARKS_H_
