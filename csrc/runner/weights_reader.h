// Feeds a .bin file to the engine and knows at the end whether it was exactly as long as the layers wanted.
#ifndef EDGEDEPLOY_RUNNER_WEIGHTS_READER_H_
#define EDGEDEPLOY_RUNNER_WEIGHTS_READER_H_

#include <datareader.h>

#include <cstdint>
#include <cstdio>
#include <string>

namespace edgedeploy {

// Not every layer of the engine checks what it read, and some then follow null pointers. So what the file does not have
// is a RunnerError, kModel, thrown through the engine.
class WeightsReader : public ncnn::DataReader {
 public:
  explicit WeightsReader(const std::string& path);
  ~WeightsReader() override;
  WeightsReader(const WeightsReader&) = delete;
  WeightsReader& operator=(const WeightsReader&) = delete;

  size_t read(void* buffer, size_t size_bytes) const override;

  // Steps over what would be read.
  void skip(uint64_t size_bytes) const;

  // Bytes the layers left unread.
  size_t unread_bytes() const { return size_bytes_ - position_; }

 private:
  void check(uint64_t wanted_bytes, uint64_t got_bytes) const;

  std::string path_;
  FILE* file_;
  size_t size_bytes_;
  mutable size_t position_ = 0;
};

}  // namespace edgedeploy

#endif  // EDGEDEPLOY_RUNNER_WEIGHTS_READER_H_
