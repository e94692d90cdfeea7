// The translated blocks of the emulated program, each known by its address and its instructions.
#ifndef EDGEDEPLOY_PLUGIN_BLOCKS_H_
#define EDGEDEPLOY_PLUGIN_BLOCKS_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <utility>
#include <vector>

namespace edgedeploy::plugin {

using Words = std::vector<uint32_t>;
// Address and instructions: an emulator translates the same block more than once, and other code may come to lie at an
// address.
using BlockKey = std::pair<uint64_t, Words>;

class Blocks {
 public:
  // The number of the block, from 0 in the order of first sight.
  size_t number_of(BlockKey key);

  // By address. To be asked when nothing runs any more.
  const std::map<BlockKey, size_t>& all() const { return numbers_; }

 private:
  std::mutex mutex_;
  std::map<BlockKey, size_t> numbers_;
};

}  // namespace edgedeploy::plugin

#endif  // EDGEDEPLOY_PLUGIN_BLOCKS_H_
