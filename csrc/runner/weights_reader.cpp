#include "runner/weights_reader.h"

#include <errno.h>
#include <string.h>

#include "runner/error.h"
#include "runner/file.h"

namespace edgedeploy {

WeightsReader::WeightsReader(const std::string& path) : path_(path), file_(nullptr), size_bytes_(file_size(path)) {
  file_ = fopen(path.c_str(), "rb");
  if (file_ == nullptr) throw RunnerError(ExitCode::kFile, path + ": " + strerror(errno));
}

WeightsReader::~WeightsReader() { fclose(file_); }

void WeightsReader::check(uint64_t wanted_bytes, uint64_t got_bytes) const {
  if (got_bytes >= wanted_bytes) return;
  throw RunnerError(ExitCode::kModel, path_ + ": ends " + std::to_string(wanted_bytes - got_bytes) +
                                          " bytes or more before the layers have read their weights");
}

size_t WeightsReader::read(void* buffer, size_t size_bytes) const {
  const size_t got = fread(buffer, 1, size_bytes, file_);
  check(size_bytes, got);
  position_ += got;
  return got;
}

void WeightsReader::skip(uint64_t size_bytes) const {
  check(size_bytes, unread_bytes());
  if (fseeko(file_, static_cast<off_t>(size_bytes), SEEK_CUR) != 0) {
    throw RunnerError(ExitCode::kFile, path_ + ": " + strerror(errno));
  }
  position_ += static_cast<size_t>(size_bytes);
}

}  // namespace edgedeploy
