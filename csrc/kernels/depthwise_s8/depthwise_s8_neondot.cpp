// depthwise_s8 with SDOT: how rows are prepared and weights packed. The kernels are depthwise_s8_KxKsS_neondot.S.
//
// A window is four neighbouring pixels, transposed: 4 bytes of channel 0, of channel 1, ... of channel 7, 32 bytes.
// SDOT multiplies a window's 4 channels by the 4 taps that meet its pixels, so that one window serves several outputs,
// each with its taps moved. Windows of a row lie one after the other:
//
//   3x3 stride 1   at every second pixel: outputs x and x + 1 need no other window, 1 SDOT a row and 4 channels
//   the others     at every fourth (quads): an output needs its window and the next, 2 SDOTs; 3x3 s2 1 and 2 in turn
//
// Packed weights: for each row, for channels 0-3 then 4-7, the vectors below, laid out as a window is.
//
// Bound of prepare on a Cortex-A76: 2 TBL and 2 stored vectors a window on two pipes, 2 cycles.
#include <arm_neon.h>

#include <algorithm>
#include <cstring>

#include "kernels/depthwise_s8/depthwise_s8.h"

namespace edgedeploy {
namespace {

constexpr int64_t kChannels = 8;
constexpr int64_t kWindow = 4;
constexpr int64_t kWindowBytes = kWindow * kChannels;
constexpr int64_t kVectorBytes = 16;

// The taps of one vector: lane l holds tap l - moved, or l + kWindow - moved where it meets the next window.
struct Taps {
  int64_t moved;
  bool next;
  int64_t first() const { return (next ? kWindow : 0) - moved; }
};

constexpr Taps kTapsK3S1[] = {{0, false}, {1, false}};
constexpr Taps kTapsK3S2[] = {{0, false}, {2, false}, {2, true}};
constexpr Taps kTapsK5S1[] = {{0, false}, {0, true}, {1, false}, {1, true},
                              {2, false}, {2, true}, {3, false}, {3, true}};
constexpr Taps kTapsK5S2[] = {{0, false}, {0, true}, {2, false}, {2, true}};

template <size_t count>
constexpr size_t packed_bytes(int64_t kernel, const Taps (&)[count]) {
  return static_cast<size_t>(kernel * 2 * kVectorBytes) * count;
}

template <int64_t kernel, size_t count>
void pack(const int8_t* weights, int64_t n, int8_t* packed, const Taps (&taps)[count]) {
  for (int64_t first = 0; first < n; first += kChannels) {
    for (int64_t r = 0; r < kernel; ++r) {
      for (int64_t half = 0; half < 2; ++half) {
        for (const Taps& vector : taps) {
          for (int64_t i = 0; i < kVectorBytes; ++i) {
            const int64_t channel = first + half * (kChannels / 2) + i / kWindow;
            const int64_t tap = vector.first() + i % kWindow;
            const bool inside = channel < n && tap >= 0 && tap < kernel;
            *packed++ = inside ? weights[(channel * kernel + r) * kernel + tap] : int8_t{0};
          }
        }
      }
    }
  }
}

// Lanes of channels 0-3 and 4-7 from four pixels.
constexpr uint8_t kLow[] = {0, 8, 16, 24, 1, 9, 17, 25, 2, 10, 18, 26, 3, 11, 19, 27};
constexpr uint8_t kHigh[] = {4, 12, 20, 28, 5, 13, 21, 29, 6, 14, 22, 30, 7, 15, 23, 31};

// The window whose first pixel would be src's `first`, where it reaches beyond src: the nearest four pixels of src,
// lanes beyond them keep the padding (TBX). width is at least kWindow.
inline void transpose_edge(const int8_t* src, int64_t width, int64_t first, int8_t* dst, uint8x16_t low,
                           uint8x16_t high, int8x16_t padding) {
  const int64_t from = std::clamp<int64_t>(first, 0, width - kWindow);
  const int64_t beyond = std::clamp<int64_t>(first - from, -kWindow, kWindow);
  const uint8x16_t moved = vdupq_n_u8(static_cast<uint8_t>(beyond * kChannels));
  const int8x16x2_t four = vld1q_s8_x2(src + from * kChannels);
  const int8x16x2_t window = {
      {vqtbx2q_s8(padding, four, vaddq_u8(low, moved)), vqtbx2q_s8(padding, four, vaddq_u8(high, moved))}};
  vst1q_s8_x2(dst, window);
}

// `count` windows at every step-th pixel, of each row.
template <int64_t step>
void prepare(const DepthwiseS8RowParams& p, int64_t count) {
  const int pad_code = static_cast<int>(p.pad_code);
  int8_t* dst = p.dst;
  if (p.src == nullptr) {
    std::memset(dst, pad_code, static_cast<size_t>(count * kWindowBytes));
    return;
  }
  const int64_t pad_left = p.pad_left;
  const int64_t width = std::max(p.width, kWindow);
  const uint8x16_t low = vld1q_u8(kLow);
  const uint8x16_t high = vld1q_u8(kHigh);
  const int8x16_t padding = vdupq_n_s8(static_cast<int8_t>(pad_code));
  // Windows before src's first pixel, and those up to its last.
  const int64_t before = std::min(count, (pad_left + step - 1) / step);
  const int64_t within = std::clamp((width - kWindow + pad_left) / step + 1, before, count);
  int8_t narrow[kWindowBytes];
  std::memset(narrow, pad_code, sizeof(narrow));
  for (int64_t row = 0; row < p.row_count; ++row) {
    const int8_t* src = p.src + row * p.width * kChannels;
    if (p.width < kWindow) {
      std::memcpy(narrow, src, static_cast<size_t>(p.width * kChannels));
      src = narrow;
    }
    for (int64_t i = 0; i < before; ++i, dst += kWindowBytes) {
      transpose_edge(src, width, i * step - pad_left, dst, low, high, padding);
    }
    const int8_t* at = src + (before * step - pad_left) * kChannels;
    for (int64_t i = before; i < within; ++i, dst += kWindowBytes, at += step * kChannels) {
      const int8x16x2_t four = vld1q_s8_x2(at);
      const int8x16x2_t window = {{vqtbl2q_s8(four, low), vqtbl2q_s8(four, high)}};
      vst1q_s8_x2(dst, window);
    }
    for (int64_t i = within; i < count; ++i, dst += kWindowBytes) {
      transpose_edge(src, width, i * step - pad_left, dst, low, high, padding);
    }
  }
}

template <int64_t windows(int64_t)>
size_t row_bytes(int64_t outputs) {
  return static_cast<size_t>(windows(outputs) * kWindowBytes);
}

int64_t windows_k3s1(int64_t outputs) { return (outputs + 1) / 2; }
int64_t windows_s1(int64_t outputs) { return (outputs + 3) / 4 + 1; }
int64_t windows_s2(int64_t outputs) { return (outputs + 3) / 4 * 2 + 1; }

template <int64_t step, int64_t windows(int64_t)>
void prepare_row(const DepthwiseS8RowParams* params) {
  prepare<step>(*params, windows(params->outputs));
}

void pack_k3s1(const int8_t* weights, int64_t n, int8_t* packed) { pack<3>(weights, n, packed, kTapsK3S1); }
void pack_k3s2(const int8_t* weights, int64_t n, int8_t* packed) { pack<3>(weights, n, packed, kTapsK3S2); }
void pack_k5s1(const int8_t* weights, int64_t n, int8_t* packed) { pack<5>(weights, n, packed, kTapsK5S1); }
void pack_k5s2(const int8_t* weights, int64_t n, int8_t* packed) { pack<5>(weights, n, packed, kTapsK5S2); }

}  // namespace

const DepthwiseS8Variant kDepthwiseS8K3S1Neondot = {3,
                                                    1,
                                                    row_bytes<windows_k3s1>,
                                                    prepare_row<2, windows_k3s1>,
                                                    packed_bytes(3, kTapsK3S1),
                                                    pack_k3s1,
                                                    depthwise_s8_3x3s1_neondot};
const DepthwiseS8Variant kDepthwiseS8K3S2Neondot = {3,
                                                    2,
                                                    row_bytes<windows_s2>,
                                                    prepare_row<4, windows_s2>,
                                                    packed_bytes(3, kTapsK3S2),
                                                    pack_k3s2,
                                                    depthwise_s8_3x3s2_neondot};
const DepthwiseS8Variant kDepthwiseS8K5S1Neondot = {5,
                                                    1,
                                                    row_bytes<windows_s1>,
                                                    prepare_row<4, windows_s1>,
                                                    packed_bytes(5, kTapsK5S1),
                                                    pack_k5s1,
                                                    depthwise_s8_5x5s1_neondot};
const DepthwiseS8Variant kDepthwiseS8K5S2Neondot = {5,
                                                    2,
                                                    row_bytes<windows_s2>,
                                                    prepare_row<4, windows_s2>,
                                                    packed_bytes(5, kTapsK5S2),
                                                    pack_k5s2,
                                                    depthwise_s8_5x5s2_neondot};

}  // namespace edgedeploy
