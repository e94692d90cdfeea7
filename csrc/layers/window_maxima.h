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
  Halves::Pixel left = largest_of_three<Halves::Pixel>(rows, 0);
  for (int64_t at = kBytes; outputs > 0; --outputs, at += 2 * kBytes, into += kBytes) {
    const Halves::Pixel middle = largest_of_three<Halves::Pixel>(rows, at);
    const Halves::Pixel right = largest_of_three<Halves::Pixel>(rows, at + kBytes);
    store(into, larger(larger(left, middle), right));
    left = right;
  }
}

inline void maxima_3x3s2(const char* const* rows, int64_t outputs, char* into, Codes /*kind*/) {
  constexpr int64_t kBytes = sizeof(Codes::Pixel);
  int64_t at = 0;
#if defined(__aarch64__)
  // Four at a time: columns 0 to 7 in pairs, parted into even and odd ones, and column 8.
  for (; outputs >= 4; outputs -= 4, at += 8 * kBytes, into += 4 * kBytes) {
    int64x2_t pairs[4];
    for (int64_t i = 0; i < 4; ++i) {
      pairs[i] = reinterpret_cast<int64x2_t>(largest_of_three<Codes::Vector>(rows, at + 2 * i * kBytes));
    }
    const Codes::Pixel last = largest_of_three<Codes::Pixel>(rows, at + 8 * kBytes);
    const int64x2_t even[] = {vuzp1q_s64(pairs[0], pairs[1]), vuzp1q_s64(pairs[2], pairs[3]),
                              vcombine_s64(reinterpret_cast<int64x1_t>(last), int64x1_t{})};
    int8x16x2_t four;
    for (int i = 0; i < 2; ++i) {
      const int64x2_t odd = vuzp2q_s64(pairs[2 * i], pairs[2 * i + 1]);
      const int64x2_t next = vextq_s64(even[i], even[i + 1], 1);
      four.val[i] =
          vmaxq_s8(vmaxq_s8(vreinterpretq_s8_s64(even[i]), vreinterpretq_s8_s64(odd)), vreinterpretq_s8_s64(next));
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
