// Half precision in plain C++, for the operators' references.
#ifndef EDGEDEPLOY_KERNELS_HALF_BITS_REF_H_
#define EDGEDEPLOY_KERNELS_HALF_BITS_REF_H_

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>

namespace edgedeploy {

// The bits of the nearest half, ties to even.
inline uint16_t half_bits(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof(bits));
  const uint32_t sign = bits >> 16 & 0x8000;
  if (std::isnan(value)) return static_cast<uint16_t>(sign | 0x7e00);
  if (std::fabs(value) >= 65520.0f) return static_cast<uint16_t>(sign | 0x7c00);
  // Halves below 2^-14 are steps of 2^-24, others have ten bits behind the first.
  const int exponent = std::max(std::ilogb(value), -14);
  const uint32_t steps = static_cast<uint32_t>(std::nearbyint(std::ldexp(std::fabs(value), 10 - exponent)));
  return static_cast<uint16_t>(sign | (steps + (static_cast<uint32_t>(exponent + 14) << 10)));
}

}  // namespace edgedeploy

#endif  // EDGEDEPLOY_KERNELS_HALF_BITS_REF_H_
