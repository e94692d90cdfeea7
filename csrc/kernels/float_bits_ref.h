// A float's bits, and the float of bits.
#ifndef EDGEDEPLOY_KERNELS_FLOAT_BITS_REF_H_
#define EDGEDEPLOY_KERNELS_FLOAT_BITS_REF_H_

#include <cstdint>
#include <cstring>

namespace edgedeploy {

inline uint32_t bits_of_float(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof(bits));
  return bits;
}

inline float float_of_bits(uint32_t bits) {
  float value;
  std::memcpy(&value, &bits, sizeof(value));
  return value;
}

}  // namespace edgedeploy

#endif  // EDGEDEPLOY_KERNELS_FLOAT_BITS_REF_H_
