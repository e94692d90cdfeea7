// The transforms of winograd_s8 on armv8.0, along one dimension. B's rows and A's columns are those of Toom-Cook's
// algorithm for the points 0, 1, -1, 2, -2, infinity, for F(3, 3) without -2, for F(2, 3) without 2 as well. The
// weights are scaled as F(4, 3) wants it, by 24 / 4, 24 / -6, 24 / -6, 1, 1 and 24 / 4 (with a factor 4 left for the
// outputs); the factors of the others are in what their outputs take of each point.
#ifndef EDGEDEPLOY_KERNELS_WINOGRAD_S8_TRANSFORM_H_
#define EDGEDEPLOY_KERNELS_WINOGRAD_S8_TRANSFORM_H_

#include <arm_neon.h>

#include <cstdint>

namespace edgedeploy {

inline int16x8_t four_times(int16x8_t v) { return vshlq_n_s16(v, 2); }
inline int16x8_t twice(int16x8_t v) { return vshlq_n_s16(v, 1); }

struct PixelColumn {
  const int8_t* top;
  int64_t row;
  [[gnu::always_inline]] int8x8_t pixel(int r) const { return vld1_s8(top + r * row); }
  [[gnu::always_inline]] int16x8_t sum(int a, int b) const { return vaddl_s8(pixel(a), pixel(b)); }
  [[gnu::always_inline]] int16x8_t difference(int a, int b) const { return vsubl_s8(pixel(a), pixel(b)); }
};

// One point of a column of pixels of 8 channels, `row` bytes apart, for a tile of that many outputs.
template <int outputs, int point>
[[gnu::always_inline]] inline int16x8_t column_point(const int8_t* column, int64_t row) {
  const PixelColumn pixels{column, row};
  if constexpr (outputs == 4) {
    if constexpr (point == 0) return vaddq_s16(pixels.difference(4, 2), four_times(pixels.difference(0, 2)));
    if constexpr (point == 1) return vsubq_s16(pixels.sum(3, 4), four_times(pixels.sum(1, 2)));
    if constexpr (point == 2) return vaddq_s16(pixels.difference(4, 3), four_times(pixels.difference(1, 2)));
    if constexpr (point == 3) return vaddq_s16(pixels.difference(4, 2), twice(pixels.difference(3, 1)));
    if constexpr (point == 4) return vsubq_s16(pixels.difference(4, 2), twice(pixels.difference(3, 1)));
    return vsubq_s16(pixels.difference(5, 3), four_times(pixels.difference(3, 1)));
  } else if constexpr (outputs == 3) {
    if constexpr (point == 0) return vaddq_s16(pixels.difference(3, 1), twice(pixels.difference(0, 2)));
    if constexpr (point == 1) return vsubq_s16(pixels.difference(3, 1), pixels.sum(1, 2));
    if constexpr (point == 2) return vaddq_s16(pixels.difference(3, 2), twice(pixels.difference(1, 2)));
    if constexpr (point == 3) return pixels.difference(3, 1);
    return vsubq_s16(pixels.difference(4, 2), twice(pixels.difference(3, 1)));
  } else {
    if constexpr (point == 0) return pixels.difference(2, 0);
    if constexpr (point == 1) return pixels.sum(1, 2);
    if constexpr (point == 2) return pixels.difference(2, 1);
    return pixels.difference(3, 1);
  }
}

// All points of a row, in the tile's order.
template <int outputs>
[[gnu::always_inline]] inline void row_points(const int16x8_t (&d)[outputs + 2], int16x8_t (&v)[outputs + 2]) {
  const int16x8_t d31 = vsubq_s16(d[3], d[1]);
  if constexpr (outputs == 4) {
    const int16x8_t d42 = vsubq_s16(d[4], d[2]);
    const int16x8_t two = twice(d31);
    const int16x8_t even = vsubq_s16(d[4], four_times(d[2]));
    const int16x8_t odd = vsubq_s16(d[3], four_times(d[1]));
    v[0] = vaddq_s16(d42, four_times(vsubq_s16(d[0], d[2])));
    v[1] = vaddq_s16(even, odd);
    v[2] = vsubq_s16(even, odd);
    v[3] = vaddq_s16(d42, two);
    v[4] = vsubq_s16(d42, two);
    v[5] = vsubq_s16(vsubq_s16(d[5], d[3]), twice(two));
  } else if constexpr (outputs == 3) {
    v[0] = vaddq_s16(d31, twice(vsubq_s16(d[0], d[2])));
    v[1] = vsubq_s16(d31, vaddq_s16(d[1], d[2]));
    v[2] = vaddq_s16(vsubq_s16(d[3], d[2]), twice(vsubq_s16(d[1], d[2])));
    v[3] = d31;
    v[4] = vsubq_s16(vsubq_s16(d[4], d[2]), twice(d31));
  } else {
    v[0] = vsubq_s16(d[2], d[0]);
    v[1] = vaddq_s16(d[1], d[2]);
    v[2] = vsubq_s16(d[2], d[1]);
    v[3] = d31;
  }
}

template <int bits>
[[gnu::always_inline]] inline int32x4_t shifted(int32x4_t v) {
  return vshlq_n_s32(v, bits);
}

[[gnu::always_inline]] inline int32x4_t three_times(int32x4_t v) { return vaddq_s32(v, shifted<1>(v)); }

// 24 times the output of a row, modulo 2^32, from the tile's points of a column.
template <int outputs, int row>
[[gnu::always_inline]] inline int32x4_t column_output(const int32x4_t (&m)[outputs + 2]) {
  if constexpr (outputs == 4) {
    if constexpr (row == 0) return vaddq_s32(m[0], vaddq_s32(vaddq_s32(m[1], m[2]), vaddq_s32(m[3], m[4])));
    if constexpr (row == 1) return vaddq_s32(vsubq_s32(m[1], m[2]), shifted<1>(vsubq_s32(m[3], m[4])));
    if constexpr (row == 2) return vaddq_s32(vaddq_s32(m[1], m[2]), shifted<2>(vaddq_s32(m[3], m[4])));
    const int32x4_t far = vaddq_s32(shifted<1>(vsubq_s32(m[3], m[4])), m[5]);
    return vaddq_s32(vsubq_s32(m[1], m[2]), shifted<2>(far));
  } else if constexpr (outputs == 3) {
    const int32x4_t one = three_times(m[1]);
    if constexpr (row == 0) return vaddq_s32(vaddq_s32(one, m[2]), shifted<1>(vaddq_s32(m[0], shifted<1>(m[3]))));
    if constexpr (row == 1) return vaddq_s32(vsubq_s32(one, m[2]), shifted<3>(m[3]));
    return vaddq_s32(vaddq_s32(one, m[2]), shifted<2>(vaddq_s32(m[4], shifted<2>(m[3]))));
  } else {
    if constexpr (row == 0) return vnegq_s32(vaddq_s32(three_times(vaddq_s32(m[1], m[2])), shifted<2>(m[0])));
    return vsubq_s32(shifted<2>(m[3]), three_times(vsubq_s32(m[1], m[2])));
  }
}

// 24 times all outputs of a row.
template <int outputs>
[[gnu::always_inline]] inline void row_outputs(const int32x4_t (&m)[outputs + 2], int32x4_t (&y)[4]) {
  if constexpr (outputs == 4) {
    const int32x4_t sum1 = vaddq_s32(m[1], m[2]);
    const int32x4_t sum2 = vaddq_s32(m[3], m[4]);
    const int32x4_t difference1 = vsubq_s32(m[1], m[2]);
    const int32x4_t difference2 = shifted<1>(vsubq_s32(m[3], m[4]));
    y[0] = vaddq_s32(m[0], vaddq_s32(sum1, sum2));
    y[1] = vaddq_s32(difference1, difference2);
    y[2] = vaddq_s32(sum1, shifted<2>(sum2));
    y[3] = vaddq_s32(difference1, shifted<2>(vaddq_s32(difference2, m[5])));
  } else {
    y[0] = column_output<outputs, 0>(m);
    y[1] = column_output<outputs, 1>(m);
    if constexpr (outputs == 3) y[2] = column_output<outputs, 2>(m);
  }
}

// The sum: nine times that is what is left of 576 times it without the 64, and 0x38e38e39 is nine's inverse modulo
// 2^32.
[[gnu::always_inline]] inline int32x4_t sum_of(int32x4_t y) {
  return vshrq_n_s32(vmulq_s32(y, vdupq_n_s32(0x38e38e39)), 6);
}

}  // namespace edgedeploy

#endif  // EDGEDEPLOY_KERNELS_WINOGRAD_S8_TRANSFORM_H_
