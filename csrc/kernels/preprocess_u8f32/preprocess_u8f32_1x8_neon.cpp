// preprocess_u8f32, eight destination pixels a step. Formula and layout: preprocess_u8f32.h.
//
// Shapes     any; a step of 8 pixels, the rest of a row one at a time.
// Alignment  none of src and dst; scratch 16 bytes.
// Over-read  none: the 8-byte load of two neighbouring pixels (6 bytes) is used only where 8 bytes of the row remain.
// Target     armv8.0 Advanced SIMD; the order of loads suits the Cortex-A72 (one load pipe, two ASIMD pipes).
//
// Horizontal: bytes [b g r b' g' r' - -] of one source pixel pair become S = [b g r -] of 4 x uint16, kept per source
// row in row_buffer (two rows, reused while y0 advances), so every source row is blended once even when enlarging.
// Vertical: LD4 splits 8 pixels into planes, UMULL + SHRN 16 makes the two terms, (a + b + 2) >> 2 fits a byte.
// Epilogue: widen to float32, subtract, multiply (two roundings, as the reference).
// Same size: S and the weights are exact there (value * 128, weight 2048), so bytes go straight to the epilogue.
//
// Registers are the compiler's; no more than 24 vectors live in the loops.
#include <arm_neon.h>

#include "kernels/preprocess_u8f32/preprocess_u8f32.h"

namespace edgedeploy {
namespace {

constexpr int32_t kStep = 8;

// Eight values to float32, normalised, stored.
inline void store_plane(float* dst, uint16x8_t value, float mean, float scale) {
  const float32x4_t low = vcvtq_f32_u32(vmovl_u16(vget_low_u16(value)));
  const float32x4_t high = vcvtq_f32_u32(vmovl_u16(vget_high_u16(value)));
  const float32x4_t shift = vdupq_n_f32(mean);
  vst1q_f32(dst, vmulq_n_f32(vsubq_f32(low, shift), scale));
  vst1q_f32(dst + 4, vmulq_n_f32(vsubq_f32(high, shift), scale));
}

inline uint16x4_t gray_half(uint16x4_t b, uint16x4_t g, uint16x4_t r) {
  uint32x4_t sum = vmull_n_u16(b, 3735);
  sum = vmlal_n_u16(sum, g, 19235);
  sum = vmlal_n_u16(sum, r, 9798);
  return vrshrn_n_u32(sum, 15);
}

struct Rows {
  float* plane[3];
};

inline Rows rows_at(const PreprocessU8F32Params& p, int32_t y) {
  Rows rows;
  for (int32_t c = 0; c < 3; ++c) {
    const int64_t plane = c < preprocess_u8f32_channels(p.color) ? c : 0;
    char* base = reinterpret_cast<char*>(p.dst) + plane * p.dst_channel_stride_bytes;
    rows.plane[c] = reinterpret_cast<float*>(base + y * p.dst_row_stride_bytes);
  }
  return rows;
}

inline void store_step(const PreprocessU8F32Params& p, const Rows& rows, int32_t x, uint16x8_t b, uint16x8_t g,
                       uint16x8_t r) {
  if (p.color == kColorGray) {
    const uint16x4_t low = gray_half(vget_low_u16(b), vget_low_u16(g), vget_low_u16(r));
    const uint16x4_t high = gray_half(vget_high_u16(b), vget_high_u16(g), vget_high_u16(r));
    store_plane(rows.plane[0] + x, vcombine_u16(low, high), p.mean[0], p.scale[0]);
    return;
  }
  const bool rgb = p.color == kColorRgb;
  store_plane(rows.plane[0] + x, rgb ? r : b, p.mean[0], p.scale[0]);
  store_plane(rows.plane[1] + x, g, p.mean[1], p.scale[1]);
  store_plane(rows.plane[2] + x, rgb ? b : r, p.mean[2], p.scale[2]);
}

inline void store_pixel(const PreprocessU8F32Params& p, const Rows& rows, int32_t x, uint32_t b, uint32_t g,
                        uint32_t r) {
  if (p.color == kColorGray) {
    const uint32_t gray = (3735 * b + 19235 * g + 9798 * r + (1u << 14)) >> 15;
    rows.plane[0][x] = (static_cast<float>(gray) - p.mean[0]) * p.scale[0];
    return;
  }
  const bool rgb = p.color == kColorRgb;
  rows.plane[0][x] = (static_cast<float>(rgb ? r : b) - p.mean[0]) * p.scale[0];
  rows.plane[1][x] = (static_cast<float>(g) - p.mean[1]) * p.scale[1];
  rows.plane[2][x] = (static_cast<float>(rgb ? b : r) - p.mean[2]) * p.scale[2];
}

void copy_rows(const PreprocessU8F32Params& p) {
  for (int32_t y = 0; y < p.dst_height; ++y) {
    const uint8_t* src = p.src + y * p.src_stride_bytes;
    const Rows rows = rows_at(p, y);
    int32_t x = 0;
    for (; x + kStep <= p.dst_width; x += kStep) {
      const uint8x8x3_t pixels = vld3_u8(src + x * 3);
      store_step(p, rows, x, vmovl_u8(pixels.val[0]), vmovl_u8(pixels.val[1]), vmovl_u8(pixels.val[2]));
    }
    for (; x < p.dst_width; ++x) store_pixel(p, rows, x, src[x * 3], src[x * 3 + 1], src[x * 3 + 2]);
  }
}

// S of one source row at every destination column.
void blend_row(const PreprocessU8F32Params& p, int32_t y, uint16_t* out) {
  const int32_t clamped = y < 0 ? 0 : (y < p.src_height ? y : p.src_height - 1);
  const uint8_t* row = p.src + clamped * p.src_stride_bytes;
  int32_t x = 0;
  for (; x < p.dst_width && p.x_source[x] * 3 + 8 <= p.src_width * 3; ++x) {
    const uint8x8_t pair = vld1_u8(row + p.x_source[x] * 3);
    const uint16_t weight = static_cast<uint16_t>(p.x_weight[x]);
    const uint16x4_t left = vget_low_u16(vmovl_u8(pair));
    const uint16x4_t right = vget_low_u16(vmovl_u8(vext_u8(pair, pair, 3)));
    const uint32x4_t sum =
        vmlal_n_u16(vmull_n_u16(left, static_cast<uint16_t>(kResizeWeightOne - weight)), right, weight);
    vst1_u16(out + x * 4, vshrn_n_u32(sum, 4));
  }
  for (; x < p.dst_width; ++x) {
    const int32_t left = p.x_source[x];
    const int32_t right = left + 1 < p.src_width ? left + 1 : left;
    const uint32_t weight = static_cast<uint32_t>(p.x_weight[x]);
    for (int32_t c = 0; c < 3; ++c) {
      const uint32_t sum = row[left * 3 + c] * (kResizeWeightOne - weight) + row[right * 3 + c] * weight;
      out[x * 4 + c] = static_cast<uint16_t>(sum >> 4);
    }
    out[x * 4 + 3] = 0;
  }
}

inline uint16x8_t mix(uint16x8_t above, uint16x8_t below, uint16_t weight) {
  const uint16_t rest = static_cast<uint16_t>(kResizeWeightOne - weight);
  const uint16x4_t low = vadd_u16(vshrn_n_u32(vmull_n_u16(vget_low_u16(above), rest), 16),
                                  vshrn_n_u32(vmull_n_u16(vget_low_u16(below), weight), 16));
  const uint16x4_t high = vadd_u16(vshrn_n_u32(vmull_n_u16(vget_high_u16(above), rest), 16),
                                   vshrn_n_u32(vmull_n_u16(vget_high_u16(below), weight), 16));
  return vrshrq_n_u16(vcombine_u16(low, high), 2);
}

void mix_rows(const PreprocessU8F32Params& p, int32_t y, const uint16_t* above, const uint16_t* below) {
  const uint16_t weight = static_cast<uint16_t>(p.y_weight[y]);
  const Rows rows = rows_at(p, y);
  int32_t x = 0;
  for (; x + kStep <= p.dst_width; x += kStep) {
    const uint16x8x4_t a = vld4q_u16(above + x * 4);
    const uint16x8x4_t b = vld4q_u16(below + x * 4);
    store_step(p, rows, x, mix(a.val[0], b.val[0], weight), mix(a.val[1], b.val[1], weight),
               mix(a.val[2], b.val[2], weight));
  }
  const uint32_t down = weight;
  for (; x < p.dst_width; ++x) {
    uint32_t pixel[3];
    for (int32_t c = 0; c < 3; ++c) {
      pixel[c] = (((above[x * 4 + c] * (kResizeWeightOne - down)) >> 16) + ((below[x * 4 + c] * down) >> 16) + 2) >> 2;
    }
    store_pixel(p, rows, x, pixel[0], pixel[1], pixel[2]);
  }
}

void resize_rows(const PreprocessU8F32Params& p) {
  constexpr int32_t kNoRow = -2;
  uint16_t* buffer[2] = {p.row_buffer, p.row_buffer + p.dst_width * 4};
  int32_t held[2] = {kNoRow, kNoRow};
  for (int32_t y = 0; y < p.dst_height; ++y) {
    const int32_t top = p.y_source[y];
    if (held[0] != top && held[1] == top) {
      uint16_t* const other = buffer[0];
      buffer[0] = buffer[1];
      buffer[1] = other;
      held[0] = top;
      held[1] = kNoRow;
    }
    for (int32_t i = 0; i < 2; ++i) {
      if (held[i] == top + i) continue;
      blend_row(p, top + i, buffer[i]);
      held[i] = top + i;
    }
    mix_rows(p, y, buffer[0], buffer[1]);
  }
}

}  // namespace

extern "C" void preprocess_u8f32_1x8_neon(const PreprocessU8F32Params* params) {
  if (params->src_width == params->dst_width && params->src_height == params->dst_height) {
    copy_rows(*params);
  } else {
    resize_rows(*params);
  }
}

}  // namespace edgedeploy
