#include "runner/block_pool.h"

#include <algorithm>

namespace edgedeploy {

BlockPool::~BlockPool() {
  for (const Block& block : kept_) ncnn::fastFree(block.memory);
}

void* BlockPool::fastMalloc(size_t bytes) {
  const std::lock_guard<std::mutex> lock(mutex_);
  auto fitting = kept_.end();
  auto largest = kept_.begin();
  for (auto each = kept_.begin(); each != kept_.end(); ++each) {
    if (each->bytes >= bytes && (fitting == kept_.end() || each->bytes < fitting->bytes)) fitting = each;
    if (each->bytes > largest->bytes) largest = each;
  }
  Block block{bytes, nullptr};
  if (fitting != kept_.end()) {
    block = *fitting;
    kept_.erase(fitting);
  } else {
    if (largest != kept_.end()) {
      ncnn::fastFree(largest->memory);
      kept_.erase(largest);
    }
    block.memory = ncnn::fastMalloc(bytes);
  }
  if (block.memory != nullptr) used_.push_back(block);
  return block.memory;
}

void BlockPool::fastFree(void* memory) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto used = std::find_if(used_.begin(), used_.end(), [=](const Block& each) { return each.memory == memory; });
  kept_.push_back(*used);
  used_.erase(used);
}

}  // namespace edgedeploy
