#include "plugin/marks.h"

#include "plugin/error.h"

namespace edgedeploy::plugin {

namespace {

constexpr uint64_t kBoundarySlot = 0;
// Counters are kept by slot, and no network has half as many layers.
constexpr uint64_t kMaxSlots = uint64_t{1} << 18;

}  // namespace

void Marks::mark(uint64_t address) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (!base_) base_ = address;
  const uint64_t slot = address - *base_;
  if (slot >= kMaxSlots) throw PluginError("a mark outside the array of slots: the first one must be for slot 0");
  if (slot == kBoundarySlot) {
    pass_boundary();
    return;
  }
  if (boundaries_ == from_ + 1) sequence_.push_back(slot);
  if (place() >= 0) place_.store(static_cast<int64_t>(slot), std::memory_order_relaxed);
}

void Marks::pass_boundary() {
  const uint64_t number = boundaries_++;
  int64_t place = static_cast<int64_t>(kBoundarySlot);
  if (number < from_) place = kUncounted;
  if (number >= to_) place = kAway;
  place_.store(place, std::memory_order_relaxed);
}

}  // namespace edgedeploy::plugin
