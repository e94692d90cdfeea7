// Numbers in byte streams.
#ifndef EDGEDEPLOY_RUNNER_BYTES_H_
#define EDGEDEPLOY_RUNNER_BYTES_H_

#include <cstddef>
#include <cstdint>

namespace edgedeploy {

// The unsigned number in `count` bytes, at most eight, least significant first.
inline uint64_t little_endian(const unsigned char* bytes, size_t count) {
  uint64_t value = 0;
  for (size_t i = count; i > 0; --i) value = value << 8 | bytes[i - 1];
  return value;
}

}  // namespace edgedeploy

#endif  // EDGEDEPLOY_RUNNER_BYTES_H_
