// Memory that one inference hands on to the next one's blobs.
#ifndef EDGEDEPLOY_RUNNER_BLOCK_POOL_H_
#define EDGEDEPLOY_RUNNER_BLOCK_POOL_H_

#include <allocator.h>

#include <map>
#include <mutex>
#include <unordered_map>

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
  std::mutex mutex_;
  std::multimap<size_t, void*> kept_;
  std::unordered_map<void*, size_t> used_;
};

}  // namespace edgedeploy

#endif  // EDGEDEPLOY_RUNNER_BLOCK_POOL_H_
