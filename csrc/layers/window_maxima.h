// The largest pixels of windows, pixels being eight channels of codes or of halves that are not negative.
#ifndef EDGEDEPLOY_LAYERS_WINDOW_MAXIMA_H_
#define EDGEDEPLOY_LAYERS_WINDOW_MAXIMA_H_

#include <cstdint>
#include <cstring>

#if defined(__aarch64__)
#include <arm_neon.h>
#endif

namespace edgedeploy {

// Sixteen bytes, and the eight channels of a pixel.
struct Codes {
  using Vector = int8_t __attribute__((vector_size(16)));
  using Pixel = int8_t __attribute__((vector_size(8)));
};
// Halves none of which is negative compare as the integers of their bits.
struct Halves {
  using Vector = int16_t __attribute__((vector_size(16)));
  using Pixel = Vector;
};

template <typename Some>
Some larger(Some a, Some b) {
  return a > b ? a : b;
}

template <typename Some>
Some load(const char* at) {
  Some some;
  std::memcpy(&some, at, sizeof(some));
  return some;
}

template <typename Some>
void store(char* at, Some some) {
  std::memcpy(at, &some, sizeof(some));
}

// Of one column, or of several side by side.
template <typename Some>
Some largest_of_three(const char* const* rows, int64_t at) {
  return larger(larger(load<Some>(rows[0] + at), load<Some>(rows[1] + at)), load<Some>(rows[2] + at));
}

// Windows of 3x3 pixels, two columns apart, from the first bytes of three rows on. Reads no pixel beyond the last
// window's.
inline void maxima_3x3s2(const char* const* rows, int64_t outputs, char* into, Halves /*kind*/) {
  constexpr int64_t kBytes = sizeof(Halves::Pixel);
  const auto column = [rows](int64_t at) { return largest_of_three<Halves::Pixel>(rows, at); };
  Halves::Pixel left = column(0);
  int64_t at = kBytes;
  for (; outputs >= 2; outputs -= 2, at += 4 * kBytes, into += 2 * kBytes) {
    const Halves::Pixel middle = column(at + kBytes);
    const Halves::Pixel right = column(at + 3 * kBytes);
    store(into, larger(larger(left, column(at)), middle));
    store(into + kBytes, larger(larger(middle, column(at + 2 * kBytes)), right));
    left = right;
  }
  if (outputs > 0) store(into, larger(larger(left, column(at)), column(at + kBytes)));
}

inline void maxima_3x3s2(const char* const* rows, int64_t outputs, char* into, Codes /*kind*/) {
  constexpr int64_t kBytes = sizeof(Codes::Pixel);
  int64_t at = 0;
#if defined(__aarch64__)
  // Four at a time: columns 0 to 7 in pairs, parted into even and odd ones, and column 8.
  const auto bytes = [rows](int r, int64_t from) { return reinterpret_cast<const int8_t*>(rows[r] + from); };
  for (; outputs >= 4; outputs -= 4, at += 8 * kBytes, into += 4 * kBytes) {
    int64x2_t pairs[4];
    for (int64_t i = 0; i < 4; ++i) {
      const int64_t from = at + 2 * i * kBytes;
      const int8x16_t two = vmaxq_s8(vld1q_s8(bytes(0, from)), vld1q_s8(bytes(1, from)));
      pairs[i] = vreinterpretq_s64_s8(vmaxq_s8(two, vld1q_s8(bytes(2, from))));
    }
    const int64_t from = at + 8 * kBytes;
    const int8x8_t last = vmax_s8(vmax_s8(vld1_s8(bytes(0, from)), vld1_s8(bytes(1, from))), vld1_s8(bytes(2, from)));
    const int64x2_t even[] = {vuzp1q_s64(pairs[0], pairs[1]), vuzp1q_s64(pairs[2], pairs[3]),
                              vreinterpretq_s64_s8(vcombine_s8(last, last))};
    int8x16x2_t four;
    for (int i = 0; i < 2; ++i) {
      const int8x16_t odd = vreinterpretq_s8_s64(vuzp2q_s64(pairs[2 * i], pairs[2 * i + 1]));
      const int8x16_t next = vreinterpretq_s8_s64(vextq_s64(even[i], even[i + 1], 1));
      four.val[i] = vmaxq_s8(vmaxq_s8(vreinterpretq_s8_s64(even[i]), odd), next);
    }
    vst1q_s8_x2(reinterpret_cast<int8_t*>(into), four);
  }
#endif
  for (; outputs > 0; --outputs, at += 2 * kBytes, into += kBytes) {
    const Codes::Pixel left = largest_of_three<Codes::Pixel>(rows, at);
    const Codes::Pixel middle = largest_of_three<Codes::Pixel>(rows, at + kBytes);
    store(into, larger(larger(left, middle), largest_of_three<Codes::Pixel>(rows, at + 2 * kBytes)));
  }
}

}  // namespace edgedeploy

#endif  // EDGEDEPLOY_LAYERS_WINDOW_MAXIMA_H_
