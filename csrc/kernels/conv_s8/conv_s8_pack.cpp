// Packing of conv_s8's weights. A block of 8 channels holds 64 bytes for each tap and each group of 8 k; its order is
// the variant's:
//
//   ref      [tap][group][channel 8][k 8]; that of neoni8mm, too
//   neondot  [tap][group][half of k 2][channel 8][k 4]
//   neon     [tap][group][quarter of k 4][channel 8][k 2]
#include <cstring>

#include "kernels/conv_s8/conv_s8.h"

namespace edgedeploy {
namespace {

int64_t eights(int64_t count) { return (count + 7) / 8; }

// place(tap, group, channel, k): where in its block a weight lies; channel and k are 0 to 7.
template <typename Place>
void pack(const int8_t* weights, int64_t n, int64_t k, int64_t taps, int8_t* packed, Place place) {
  std::memset(packed, 0, conv_s8_packed_bytes(n, k, taps));
  const int64_t block_bytes = taps * eights(k) * 64;
  for (int64_t channel = 0; channel < n; ++channel) {
    int8_t* block = packed + channel / 8 * block_bytes;
    for (int64_t input = 0; input < k; ++input) {
      const int8_t* src = weights + (channel * k + input) * taps;
      for (int64_t tap = 0; tap < taps; ++tap) block[place(tap, input / 8, channel % 8, input % 8)] = src[tap];
    }
  }
}

}  // namespace

size_t conv_s8_packed_bytes(int64_t n, int64_t k, int64_t taps) {
  return static_cast<size_t>(eights(n) * taps * eights(k) * 64);
}

void conv_s8_pack_ref(const int8_t* weights, int64_t n, int64_t k, int64_t taps, int8_t* packed) {
  const int64_t groups = eights(k);
  pack(weights, n, k, taps, packed, [groups](int64_t tap, int64_t group, int64_t channel, int64_t in) {
    return (tap * groups + group) * 64 + channel * 8 + in;
  });
}

void conv_s8_pack_neondot(const int8_t* weights, int64_t n, int64_t k, int64_t taps, int8_t* packed) {
  const int64_t groups = eights(k);
  pack(weights, n, k, taps, packed, [groups](int64_t tap, int64_t group, int64_t channel, int64_t in) {
    return (tap * groups + group) * 64 + in / 4 * 32 + channel * 4 + in % 4;
  });
}

void conv_s8_pack_neon(const int8_t* weights, int64_t n, int64_t k, int64_t taps, int8_t* packed) {
  const int64_t groups = eights(k);
  pack(weights, n, k, taps, packed, [groups](int64_t tap, int64_t group, int64_t channel, int64_t in) {
    return (tap * groups + group) * 64 + in / 2 * 16 + channel * 2 + in % 2;
  });
}

}  // namespace edgedeploy
