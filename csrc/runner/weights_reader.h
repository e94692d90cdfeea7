// Feeds a .bin file to the engine and knows at the end whether it was exactly as long as the layers wanted.
#ifndef EDGEDEPLOY_RUNNER_WEIGHTS_READER_H_
#define EDGEDEPLOY_RUNNER_WEIGHTS_READER_H_

#include <datareader.h>

#include <cstdio>
#include <string>

namespace edgedeploy {

// Not every layer checks what it read, and some then follow null pointers. So a file that ends early goes on as zeros,
// which every layer survives, and `missing_bytes` tells.
class WeightsReader : public ncnn::DataReader {
 public:
  explicit WeightsReader(const std::string& path);
  ~WeightsReader() override;
  WeightsReader(const WeightsReader&) = delete;
  WeightsReader& operator=(const WeightsReader&) = delete;

  size_t read(void* buffer, size_t size_bytes) const override;

  // Bytes the layers asked for beyond the end.
  size_t missing_bytes() const { return missing_bytes_; }

  // Bytes the layers left unread.
  size_t unread_bytes() const { return size_bytes_ - position_; }

 private:
  FILE* file_;
  size_t size_bytes_;
  mutable size_t position_ = 0;
  mutable size_t missing_bytes_ = 0;
};

}  // namespace edgedeploy

#endif  // EDGEDEPLOY_RUNNER_WEIGHTS_READER_H_
