// From the sums of winograd_s8 to outputs (sums_epilogue.h): a row of up to four pixels of 8 channels at a time. Sums
// of folded results have their start in them already.
#ifndef EDGEDEPLOY_KERNELS_WINOGRAD_S8_EPILOGUE_H_
#define EDGEDEPLOY_KERNELS_WINOGRAD_S8_EPILOGUE_H_

#include <arm_neon.h>

#include <cstdint>

#include "kernels/sums_curves_neon.h"
#include "kernels/winograd_s8/winograd_s8.h"

namespace edgedeploy {

// What runs often lies within a page, at whose end the blocks end that cycles are estimated by (docs/cycles.md).
inline constexpr int kQuarterOfAPage = 1024;
inline constexpr int kHalfAPage = 2048;
inline constexpr int kPage = 4096;

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
        gated_(p.epilogue.gated),
        gate_(p.epilogue.gate),
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
  [[gnu::noinline, gnu::aligned(kHalfAPage)]] void store(const int32_t* sums, int64_t pixel, int64_t width,
                                                         int64_t rows, int64_t count) const {
    for (int64_t row = 0; row < rows; ++row, sums += kRow, pixel += width) {
      if (gated_ != kNotGated) {
        store_gated(sums, pixel, count);
      } else if (output_ == kSumsToF32) {
        store_floats(sums, pixel, count, [this](const int32_t* from, int half) {
          return vminq_f32(vmaxq_f32(value(from, half), low_value_), high_value_);
        });
      } else if (output_ == kSumsToS8Folded) {
        store_codes(sums, pixel, count,
                    [this](const int32_t* low) { return low_halves(folded(low, 0), folded(low + kHalf, 1)); });
      } else {
        store_codes(sums, pixel, count,
                    [this](const int32_t* low) { return top_bytes(value(low, 0), value(low + kHalf, 1)); });
      }
    }
  }

 private:
  static constexpr int64_t kRow = 4 * 4;
  static constexpr int64_t kHalf = 4 * kRow;

  // fma(float(sum), scale, offset), or of a float that the sum's bits are.
  [[gnu::always_inline]] float32x4_t value(const int32_t* sums, int half) const {
    return vfmaq_f32(offset_[half], vcvtq_f32_s32(vld1q_s32(sums)), scale_[half]);
  }
  [[gnu::always_inline]] float32x4_t folded(const int32_t* sums, int half) const {
    return vfmaq_f32(offset_[half], vreinterpretq_f32_s32(vld1q_s32(sums)), scale_[half]);
  }

  // The codes are the low halves of the bits, saturated.
  [[gnu::always_inline]] static int8x8_t low_halves(float32x4_t low, float32x4_t high) {
    return vqmovn_s16(vmovn_high_s32(vmovn_s32(vreinterpretq_s32_f32(low)), vreinterpretq_s32_f32(high)));
  }
  // They are the top bytes in fixed point.
  [[gnu::always_inline]] static int8x8_t top_bytes(float32x4_t low, float32x4_t high) {
    const int16x4_t narrow = vshrn_n_s32(vcvtq_n_s32_f32(low, 24), 16);
    return vshrn_n_s16(vshrn_high_n_s32(narrow, vcvtq_n_s32_f32(high, 24), 16), 8);
  }

  // The gate's limits are not below zero: bits compare as integers do, which takes half the turns on a Cortex-A72.
  [[gnu::always_inline]] SumsCurveFactors linear(float32x4_t t) const {
    const int32x4_t linear = vreinterpretq_s32_f32(vfmaq_f32(gate_.offset, t, gate_.slope));
    const int32x4_t above = vmaxq_s32(linear, vreinterpretq_s32_f32(gate_.low));
    return {t, vreinterpretq_f32_s32(vminq_s32(above, vreinterpretq_s32_f32(gate_.high)))};
  }
  [[gnu::always_inline]] static float32x4_t added(float addend, SumsCurveFactors factors) {
    return vfmaq_f32(vdupq_n_f32(addend), factors.first, factors.second);
  }

  void store_gated(const int32_t* sums, int64_t pixel, int64_t count) const {
    if (gated_ == kGatedSigmoid) {
      store_products(sums, pixel, count, [this](float32x4_t t) { return sums_curve_sigmoid(t, gate_); });
    } else if (gated_ == kGatedMish) {
      store_products(sums, pixel, count, [this](float32x4_t t) { return sums_curve_mish(t, gate_); });
    } else {
      store_products(sums, pixel, count, [this](float32x4_t t) { return linear(t); });
    }
  }

  template <typename Factors>
  [[gnu::always_inline]] void store_products(const int32_t* sums, int64_t pixel, int64_t count, Factors of) const {
    constexpr float kMiddle = 12582912.0f;  // 1.5 * 2^23
    if (output_ == kSumsToF32) {
      store_floats(sums, pixel, count, [&](const int32_t* from, int half) {
        const SumsCurveFactors factors = of(value(from, half));
        return vmulq_f32(factors.first, factors.second);
      });
    } else if (output_ == kSumsToS8Folded) {
      store_codes(sums, pixel, count, [&](const int32_t* low) {
        return low_halves(added(kMiddle, of(folded(low, 0))), added(kMiddle, of(folded(low + kHalf, 1))));
      });
    } else {
      store_codes(sums, pixel, count, [&](const int32_t* low) {
        return top_bytes(added(0.5f, of(value(low, 0))), added(0.5f, of(value(low + kHalf, 1))));
      });
    }
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

  template <typename Values>
  [[gnu::always_inline]] void store_floats(const int32_t* sums, int64_t pixel, int64_t count, Values values) const {
    float* into = reinterpret_cast<float*>(c_) + pixel * 4;
    float* next = reinterpret_cast<float*>(c_ + stride_) + pixel * 4;
    for (int64_t i = 0; i < count; ++i, sums += 4, into += 4, next += 4) {
      vst1q_f32(into, values(sums, 0));
      vst1q_f32(next, values(sums + kHalf, 1));
    }
  }

  const int32_t output_;
  const float32x4_t scale_[2];
  const float32x4_t offset_[2];
  const int8x16_t low_code_;
  const int8x16_t high_code_;
  const float32x4_t low_value_;
  const float32x4_t high_value_;
  const int32_t gated_;
  const SumsCurve gate_;
  int32x4_t start_[2] = {vdupq_n_s32(0), vdupq_n_s32(0)};
  const int64_t stride_;
  char* c_;
};

}  // namespace edgedeploy

#endif  // EDGEDEPLOY_KERNELS_WINOGRAD_S8_EPILOGUE_H_
