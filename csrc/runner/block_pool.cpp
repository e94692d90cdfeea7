#include "runner/block_pool.h"

#include <iterator>

namespace edgedeploy {

BlockPool::~BlockPool() {
  for (const auto& [bytes, block] : kept_) ncnn::fastFree(block);
}

void* BlockPool::fastMalloc(size_t bytes) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto fitting = kept_.lower_bound(bytes);
  if (fitting != kept_.end()) {
    const auto [size, block] = *fitting;
    kept_.erase(fitting);
    used_.emplace(block, size);
    return block;
  }
  if (!kept_.empty()) {
    const auto largest = std::prev(kept_.end());
    ncnn::fastFree(largest->second);
    kept_.erase(largest);
  }
  void* const block = ncnn::fastMalloc(bytes);
  if (block != nullptr) used_.emplace(block, bytes);
  return block;
}

void BlockPool::fastFree(void* block) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto used = used_.find(block);
  kept_.emplace(used->second, block);
  used_.erase(used);
}

}  // namespace edgedeploy
