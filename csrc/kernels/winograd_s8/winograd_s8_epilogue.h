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

  // low, high: [4 pixels][4] sums of channels 0-3 and 4-7. Only `count` pixels from `pixel` on are stored.
  void store(const int32_t* low_sums, const int32_t* high_sums, int64_t pixel, int count) const {
    int32x4_t low[4];
    int32x4_t high[4];
    for (int i = 0; i < 4; ++i) {
      low[i] = vld1q_s32(low_sums + 4 * i);
      high[i] = vld1q_s32(high_sums + 4 * i);
    }
    if (output_ == kSumsToF32) return store_floats(low, high, pixel, count);
    int8x16_t codes[2];
    if (output_ == kSumsToS8Folded) {
      for (int i = 0; i < 2; ++i) {
        codes[i] =
            vqmovn_high_s16(vqmovn_s16(folded(low[2 * i], high[2 * i])), folded(low[2 * i + 1], high[2 * i + 1]));
      }
    } else {
      for (int i = 0; i < 2; ++i) {
        codes[i] =
            vshrn_high_n_s16(vshrn_n_s16(fixed(low[2 * i], high[2 * i]), 8), fixed(low[2 * i + 1], high[2 * i + 1]), 8);
      }
    }
    int8_t* into = reinterpret_cast<int8_t*>(c_) + pixel * 8;
    for (int i = 0; i < 2; ++i) codes[i] = vminq_s8(vmaxq_s8(codes[i], low_code_), high_code_);
    if (count == 4) {
      vst1q_s8(into, codes[0]);
      vst1q_s8(into + 16, codes[1]);
      return;
    }
    vst1_s8(into, vget_low_s8(codes[0]));
    if (count > 1) vst1_s8(into + 8, vget_high_s8(codes[0]));
    if (count > 2) vst1_s8(into + 16, vget_low_s8(codes[1]));
  }

 private:
  int32x4_t folded_bits(int32x4_t sum, int half) const {
    const float32x4_t value = vreinterpretq_f32_s32(sum);
    return vreinterpretq_s32_f32(vfmaq_f32(offset_[half], value, scale_[half]));
  }

  int16x8_t folded(int32x4_t low, int32x4_t high) const {
    return vmovn_high_s32(vmovn_s32(folded_bits(low, 0)), folded_bits(high, 1));
  }

  float32x4_t value(int32x4_t sum, int half) const {
    return vfmaq_f32(offset_[half], vcvtq_f32_s32(sum), scale_[half]);
  }

  int16x8_t fixed(int32x4_t low, int32x4_t high) const {
    const int32x4_t first = vcvtq_n_s32_f32(value(low, 0), 24);
    return vshrn_high_n_s32(vshrn_n_s32(first, 16), vcvtq_n_s32_f32(value(high, 1), 24), 16);
  }

  void store_floats(const int32x4_t (&low)[4], const int32x4_t (&high)[4], int64_t pixel, int count) const {
    float* into = reinterpret_cast<float*>(c_) + pixel * 4;
    float* next = reinterpret_cast<float*>(c_ + stride_) + pixel * 4;
    for (int i = 0; i < count; ++i) {
      vst1q_f32(into + i * 4, vminq_f32(vmaxq_f32(value(low[i], 0), low_value_), high_value_));
      vst1q_f32(next + i * 4, vminq_f32(vmaxq_f32(value(high[i], 1), low_value_), high_value_));
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
