#include "runner/weights_reader.h"

#include <errno.h>
#include <string.h>

#include "runner/error.h"
#include "runner/file.h"

namespace edgedeploy {

WeightsReader::WeightsReader(const std::string& path) : file_(nullptr), size_bytes_(file_size(path)) {
  file_ = fopen(path.c_str(), "rb");
  if (file_ == nullptr) throw RunnerError(ExitCode::kFile, path + ": " + strerror(errno));
}

WeightsReader::~WeightsReader() { fclose(file_); }

size_t WeightsReader::read(void* buffer, size_t size_bytes) const {
  const size_t got = fread(buffer, 1, size_bytes, file_);
  position_ += got;
  if (got < size_bytes) {
    memset(static_cast<char*>(buffer) + got, 0, size_bytes - got);
    missing_bytes_ += size_bytes - got;
  }
  return size_bytes;
}

}  // namespace edgedeploy
