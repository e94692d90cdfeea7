// From the sums of winograd_s8 to outputs (sums_epilogue.h): a row of up to four pixels of 8 channels at a time. Sums
// of folded results have their start in them already.
#ifndef EDGEDEPLOY_KERNELS_WINOGRAD_S8_EPILOGUE_H_
#define EDGEDEPLOY_KERNELS_WINOGRAD_S8_EPILOGUE_H_

#include <arm_neon.h>

#include <cstdint>

#include "kernels/winograd_s8/winograd_s8.h"

namespace edgedeploy {

class WinogradS8Epilogue {
 public:
  // Of channels n to n + 7.
  WinogradS8Epilogue(const WinogradS8Params& p, int64_t n)
      : output_(p.epilogue.output),
        scale_{vld1q_f32(p.scale + n), vld1q_f32(p.scale + n + 4)},
        offset_{vld1q_f32(p.offset + n), vld1q_f32(p.offset + n + 4)},
        low_code_(vdupq_n_s8(static_cast<int8_t>(p.epilogue.low_code))),
        high_code_(vdupq_n_s8(static_cast<int8_t>(p.epilogue.high_code))),
        low_value_(vdupq_n_f32(p.epilogue.low_value)),
        high_value_(vdupq_n_f32(p.epilogue.high_value)),
        stride_(p.c_stride_bytes) {
    const bool floats = output_ == kSumsToF32;
    c_ = static_cast<char*>(p.c) + (floats ? n / 4 : n / 8) * stride_;
    if (output_ != kSumsToS8Folded) return;
    start_[0] = vld1q_s32(p.start + n);
    start_[1] = vld1q_s32(p.start + n + 4);
  }

  // Of channels 4 * half to 4 * half + 3.
  int32x4_t start(int half) const { return start_[half]; }

  // sums: [2 halves of the channels][4 rows][4 pixels][4], of which `rows` and `count` are stored, from `pixel` on.
  void store(const int32_t* sums, int64_t pixel, int64_t width, int64_t rows, int64_t count) const {
    for (int64_t row = 0; row < rows; ++row, sums += kRow, pixel += width) {
      switch (output_) {
        case kSumsToF32:
          store_floats(sums, pixel, count);
          break;
        case kSumsToS8Folded:
          store_codes(sums, pixel, count, [this](const int32_t* low) {
            return vqmovn_s16(vmovn_high_s32(vmovn_s32(folded(low, 0)), folded(low + kHalf, 1)));
          });
          break;
        default:
          store_codes(sums, pixel, count, [this](const int32_t* low) {
            return vshrn_n_s16(vshrn_high_n_s32(vshrn_n_s32(fixed(low, 0), 16), fixed(low + kHalf, 1), 16), 8);
          });
      }
    }
  }

 private:
  static constexpr int64_t kRow = 4 * 4;
  static constexpr int64_t kHalf = 4 * kRow;

  // The code is the low half of the bits.
  [[gnu::always_inline]] int32x4_t folded(const int32_t* sums, int half) const {
    const float32x4_t value = vreinterpretq_f32_s32(vld1q_s32(sums));
    return vreinterpretq_s32_f32(vfmaq_f32(offset_[half], value, scale_[half]));
  }

  [[gnu::always_inline]] float32x4_t value(const int32_t* sums, int half) const {
    return vfmaq_f32(offset_[half], vcvtq_f32_s32(vld1q_s32(sums)), scale_[half]);
  }

  // The code is the top byte.
  [[gnu::always_inline]] int32x4_t fixed(const int32_t* sums, int half) const {
    return vcvtq_n_s32_f32(value(sums, half), 24);
  }

  template <typename Codes>
  [[gnu::always_inline]] void store_codes(const int32_t* sums, int64_t pixel, int64_t count, Codes codes_of) const {
    int8_t* into = reinterpret_cast<int8_t*>(c_) + pixel * 8;
    int64_t i = 0;
    for (; i + 2 <= count; i += 2, sums += 8, into += 16) {
      const int8x16_t codes = vcombine_s8(codes_of(sums), codes_of(sums + 4));
      vst1q_s8(into, vminq_s8(vmaxq_s8(codes, low_code_), high_code_));
    }
    if (i == count) return;
    vst1_s8(into, vmin_s8(vmax_s8(codes_of(sums), vget_low_s8(low_code_)), vget_low_s8(high_code_)));
  }

  [[gnu::always_inline]] void store_floats(const int32_t* sums, int64_t pixel, int64_t count) const {
    float* into = reinterpret_cast<float*>(c_) + pixel * 4;
    float* next = reinterpret_cast<float*>(c_ + stride_) + pixel * 4;
    for (int64_t i = 0; i < count; ++i, sums += 4, into += 4, next += 4) {
      vst1q_f32(into, vminq_f32(vmaxq_f32(value(sums, 0), low_value_), high_value_));
      vst1q_f32(next, vminq_f32(vmaxq_f32(value(sums + kHalf, 1), low_value_), high_value_));
    }
  }

  const int32_t output_;
  const float32x4_t scale_[2];
  const float32x4_t offset_[2];
  const int8x16_t low_code_;
  const int8x16_t high_code_;
  const float32x4_t low_value_;
  const float32x4_t high_value_;
  int32x4_t start_[2] = {vdupq_n_s32(0), vdupq_n_s32(0)};
  const int64_t stride_;
  char* c_;
};

}  // namespace edgedeploy

#endif  // EDGEDEPLOY_KERNELS_WINOGRAD_S8_EPILOGUE_H_
