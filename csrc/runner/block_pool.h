// Memory that one inference hands on to the next one's blobs.
#ifndef EDGEDEPLOY_RUNNER_BLOCK_POOL_H_
#define EDGEDEPLOY_RUNNER_BLOCK_POOL_H_

#include <allocator.h>

#include <mutex>
#include <vector>

namespace edgedeploy {

// Keeps what was freed and hands out the smallest block that is large enough. Where none is, the largest of those kept
// makes way for the new one: so there are never more blocks than were in use at once, which the engine's own pool, that
// takes the first that fits and keeps ten, does not promise. After an inference or two nothing is allocated any more.
class BlockPool : public ncnn::Allocator {
 public:
  BlockPool() = default;
  BlockPool(const BlockPool&) = delete;
  BlockPool& operator=(const BlockPool&) = delete;
  ~BlockPool() override;

  // Null when there is no memory.
  void* fastMalloc(size_t bytes) override;
  void fastFree(void* block) override;

 private:
  struct Block {
    size_t bytes = 0;
    void* memory = nullptr;
  };

  std::mutex mutex_;
  // A handful each: searched from end to end.
  std::vector<Block> kept_;
  std::vector<Block> used_;
};

}  // namespace edgedeploy

#endif  // EDGEDEPLOY_RUNNER_BLOCK_POOL_H_
