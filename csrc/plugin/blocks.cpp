#include "plugin/blocks.h"

namespace edgedeploy::plugin {

size_t Blocks::number_of(BlockKey key) {
  const std::lock_guard<std::mutex> lock(mutex_);
  return numbers_.emplace(std::move(key), numbers_.size()).first->second;
}

}  // namespace edgedeploy::plugin
