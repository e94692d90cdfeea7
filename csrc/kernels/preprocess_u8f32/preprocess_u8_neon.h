// Image bytes to planes of values, eight destination pixels a step, whatever a value becomes in the end: the common
// part of the NEON variants of preprocess_u8f32 and preprocess_u8s8. Formula and layout: preprocess_u8f32.h.
//
// Shapes     any; a step of 8 pixels, the rest of a row one at a time.
// Alignment  none of src and dst; scratch 16 bytes.
// Over-read  none: the 8-byte load of two neighbouring pixels (6 bytes) is used only where 8 bytes of the row remain.
// Target     armv8.0 Advanced SIMD; the order of loads suits the Cortex-A72 (one load pipe, two ASIMD pipes).
//
// Horizontal: bytes [b g r b' g' r' - -] of one source pixel pair become S = [b g r -] of 4 x uint16, kept per source
// row in row_buffer (two rows, reused while y0 advances), so every source row is blended once even when enlarging.
// Vertical: LD4 splits 8 pixels into planes, UMULL + SHRN 16 makes the two terms, (a + b + 2) >> 2 fits a byte.
// Same size: S and the weights are exact there (value * 128, weight 2048), so bytes go straight to the writer.
//
// Registers are the compiler's; no more than 24 vectors live in the loops.
//
// A Writer has `using Value` and, for a plane, eight(dst, values, mean, scale) and one(dst, value, mean, scale).
#ifndef EDGEDEPLOY_KERNELS_PREPROCESS_U8_NEON_H_
#define EDGEDEPLOY_KERNELS_PREPROCESS_U8_NEON_H_

#include <arm_neon.h>

#include "kernels/preprocess_u8f32/preprocess_u8f32.h"

namespace edgedeploy {

inline constexpr int32_t kPreprocessStep = 8;

inline uint16x4_t preprocess_gray_half(uint16x4_t b, uint16x4_t g, uint16x4_t r) {
  uint32x4_t sum = vmull_n_u16(b, 3735);
  sum = vmlal_n_u16(sum, g, 19235);
  sum = vmlal_n_u16(sum, r, 9798);
  return vrshrn_n_u32(sum, 15);
}

template <typename Writer>
class PreprocessU8Neon {
 public:
  using Value = typename Writer::Value;

  // dst: Writer::Value planes; strides in bytes. The rest of `params`, its dst aside, is the image's.
  PreprocessU8Neon(const PreprocessU8F32Params& params, Value* dst, Writer writer)
      : p_(params), dst_(dst), writer_(writer) {}

  void run() const {
    if (p_.src_width == p_.dst_width && p_.src_height == p_.dst_height) {
      copy_rows();
    } else {
      resize_rows();
    }
  }

 private:
  struct Rows {
    Value* plane[3];
  };

  Rows rows_at(int32_t y) const {
    Rows rows;
    for (int32_t c = 0; c < 3; ++c) {
      const int64_t plane = c < preprocess_u8f32_channels(p_.color) ? c : 0;
      char* base = reinterpret_cast<char*>(dst_) + plane * p_.dst_channel_stride_bytes;
      rows.plane[c] = reinterpret_cast<Value*>(base + y * p_.dst_row_stride_bytes);
    }
    return rows;
  }

  void store_step(const Rows& rows, int32_t x, uint16x8_t b, uint16x8_t g, uint16x8_t r) const {
    if (p_.color == kColorGray) {
      const uint16x4_t low = preprocess_gray_half(vget_low_u16(b), vget_low_u16(g), vget_low_u16(r));
      const uint16x4_t high = preprocess_gray_half(vget_high_u16(b), vget_high_u16(g), vget_high_u16(r));
      writer_.eight(rows.plane[0] + x, vcombine_u16(low, high), p_.mean[0], p_.scale[0]);
      return;
    }
    const bool rgb = p_.color == kColorRgb;
    writer_.eight(rows.plane[0] + x, rgb ? r : b, p_.mean[0], p_.scale[0]);
    writer_.eight(rows.plane[1] + x, g, p_.mean[1], p_.scale[1]);
    writer_.eight(rows.plane[2] + x, rgb ? b : r, p_.mean[2], p_.scale[2]);
  }

  void store_pixel(const Rows& rows, int32_t x, uint32_t b, uint32_t g, uint32_t r) const {
    if (p_.color == kColorGray) {
      const uint32_t gray = (3735 * b + 19235 * g + 9798 * r + (1u << 14)) >> 15;
      writer_.one(rows.plane[0] + x, gray, p_.mean[0], p_.scale[0]);
      return;
    }
    const bool rgb = p_.color == kColorRgb;
    writer_.one(rows.plane[0] + x, rgb ? r : b, p_.mean[0], p_.scale[0]);
    writer_.one(rows.plane[1] + x, g, p_.mean[1], p_.scale[1]);
    writer_.one(rows.plane[2] + x, rgb ? b : r, p_.mean[2], p_.scale[2]);
  }

  void copy_rows() const {
    for (int32_t y = 0; y < p_.dst_height; ++y) {
      const uint8_t* src = p_.src + y * p_.src_stride_bytes;
      const Rows rows = rows_at(y);
      int32_t x = 0;
      for (; x + kPreprocessStep <= p_.dst_width; x += kPreprocessStep) {
        const uint8x8x3_t pixels = vld3_u8(src + x * 3);
        store_step(rows, x, vmovl_u8(pixels.val[0]), vmovl_u8(pixels.val[1]), vmovl_u8(pixels.val[2]));
      }
      for (; x < p_.dst_width; ++x) store_pixel(rows, x, src[x * 3], src[x * 3 + 1], src[x * 3 + 2]);
    }
  }

  // S of one source row at every destination column.
  void blend_row(int32_t y, uint16_t* out) const {
    const int32_t clamped = y < 0 ? 0 : (y < p_.src_height ? y : p_.src_height - 1);
    const uint8_t* row = p_.src + clamped * p_.src_stride_bytes;
    int32_t x = 0;
    for (; x < p_.dst_width && p_.x_source[x] * 3 + 8 <= p_.src_width * 3; ++x) {
      const uint8x8_t pair = vld1_u8(row + p_.x_source[x] * 3);
      const uint16_t weight = static_cast<uint16_t>(p_.x_weight[x]);
      const uint16x4_t left = vget_low_u16(vmovl_u8(pair));
      const uint16x4_t right = vget_low_u16(vmovl_u8(vext_u8(pair, pair, 3)));
      const uint32x4_t sum =
          vmlal_n_u16(vmull_n_u16(left, static_cast<uint16_t>(kResizeWeightOne - weight)), right, weight);
      vst1_u16(out + x * 4, vshrn_n_u32(sum, 4));
    }
    for (; x < p_.dst_width; ++x) {
      const int32_t left = p_.x_source[x];
      const int32_t right = left + 1 < p_.src_width ? left + 1 : left;
      const uint32_t weight = static_cast<uint32_t>(p_.x_weight[x]);
      for (int32_t c = 0; c < 3; ++c) {
        const uint32_t sum = row[left * 3 + c] * (kResizeWeightOne - weight) + row[right * 3 + c] * weight;
        out[x * 4 + c] = static_cast<uint16_t>(sum >> 4);
      }
      out[x * 4 + 3] = 0;
    }
  }

  static uint16x8_t mix(uint16x8_t above, uint16x8_t below, uint16_t weight) {
    const uint16_t rest = static_cast<uint16_t>(kResizeWeightOne - weight);
    const uint16x4_t low = vadd_u16(vshrn_n_u32(vmull_n_u16(vget_low_u16(above), rest), 16),
                                    vshrn_n_u32(vmull_n_u16(vget_low_u16(below), weight), 16));
    const uint16x4_t high = vadd_u16(vshrn_n_u32(vmull_n_u16(vget_high_u16(above), rest), 16),
                                     vshrn_n_u32(vmull_n_u16(vget_high_u16(below), weight), 16));
    return vrshrq_n_u16(vcombine_u16(low, high), 2);
  }

  void mix_rows(int32_t y, const uint16_t* above, const uint16_t* below) const {
    const uint16_t weight = static_cast<uint16_t>(p_.y_weight[y]);
    const Rows rows = rows_at(y);
    int32_t x = 0;
    for (; x + kPreprocessStep <= p_.dst_width; x += kPreprocessStep) {
      const uint16x8x4_t a = vld4q_u16(above + x * 4);
      const uint16x8x4_t b = vld4q_u16(below + x * 4);
      store_step(rows, x, mix(a.val[0], b.val[0], weight), mix(a.val[1], b.val[1], weight),
                 mix(a.val[2], b.val[2], weight));
    }
    const uint32_t down = weight;
    for (; x < p_.dst_width; ++x) {
      uint32_t pixel[3];
      for (int32_t c = 0; c < 3; ++c) {
        pixel[c] =
            (((above[x * 4 + c] * (kResizeWeightOne - down)) >> 16) + ((below[x * 4 + c] * down) >> 16) + 2) >> 2;
      }
      store_pixel(rows, x, pixel[0], pixel[1], pixel[2]);
    }
  }

  void resize_rows() const {
    constexpr int32_t kNoRow = -2;
    uint16_t* buffer[2] = {p_.row_buffer, p_.row_buffer + p_.dst_width * 4};
    int32_t held[2] = {kNoRow, kNoRow};
    for (int32_t y = 0; y < p_.dst_height; ++y) {
      const int32_t top = p_.y_source[y];
      if (held[0] != top && held[1] == top) {
        uint16_t* const other = buffer[0];
        buffer[0] = buffer[1];
        buffer[1] = other;
        held[0] = top;
        held[1] = kNoRow;
      }
      for (int32_t i = 0; i < 2; ++i) {
        if (held[i] == top + i) continue;
        blend_row(top + i, buffer[i]);
        held[i] = top + i;
      }
      mix_rows(y, buffer[0], buffer[1]);
    }
  }

  const PreprocessU8F32Params& p_;
  Value* const dst_;
  const Writer writer_;
};

}  // namespace edgedeploy

#endif  // EDGEDEPLOY_KERNELS_PREPROCESS_U8_NEON_H_
