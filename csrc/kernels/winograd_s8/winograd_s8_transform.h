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

// Two points of a column.
struct PointPair {
  int16x8_t first, second;
};

// Pairs of points that share most of what they add, of a column of pixels of 8 channels, `row` bytes apart, for a tile
// of that many outputs: 0 and infinity; 1 and -1; 2 and, for four outputs, -2.
template <int outputs, int pair>
[[gnu::always_inline]] inline PointPair column_points(const int8_t* column, int64_t row) {
  const auto difference = [](int8x8_t a, int8x8_t b) __attribute__((always_inline)) { return vsubl_s8(a, b); };
  const int8x8_t d1 = vld1_s8(column + row);
  const int8x8_t d2 = vld1_s8(column + 2 * row);
  const int8x8_t d3 = vld1_s8(column + 3 * row);
  if constexpr (outputs == 2) {
    if constexpr (pair == 0) return {difference(d2, vld1_s8(column)), difference(d3, d1)};
    return {vaddl_s8(d1, d2), difference(d2, d1)};
  } else {
    const int8x8_t d4 = vld1_s8(column + 4 * row);
    if constexpr (outputs == 3) {
      if constexpr (pair == 0) {
        return {vaddq_s16(difference(d3, d1), twice(difference(vld1_s8(column), d2))),
                vsubq_s16(difference(d4, d2), twice(difference(d3, d1)))};
      }
      if constexpr (pair == 1) {
        return {vsubq_s16(difference(d3, d1), vaddl_s8(d1, d2)),
                vaddq_s16(difference(d3, d2), twice(difference(d1, d2)))};
      }
      return {difference(d3, d1), vdupq_n_s16(0)};
    } else {
      if constexpr (pair == 0) {
        return {vaddq_s16(difference(d4, d2), four_times(difference(vld1_s8(column), d2))),
                vsubq_s16(difference(vld1_s8(column + 5 * row), d3), four_times(difference(d3, d1)))};
      }
      if constexpr (pair == 1) {
        return {vsubq_s16(vaddl_s8(d3, d4), four_times(vaddl_s8(d1, d2))),
                vaddq_s16(difference(d4, d3), four_times(difference(d1, d2)))};
      }
      const int16x8_t even = difference(d4, d2);
      const int16x8_t odd = twice(difference(d3, d1));
      return {vaddq_s16(even, odd), vsubq_s16(even, odd)};
    }
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

// 24 times the outputs along a dimension, modulo 2^32, from the tile's points.
template <int outputs>
[[gnu::always_inline]] inline void outputs_of(const int32x4_t (&m)[outputs + 2], int32x4_t (&y)[outputs]) {
  if constexpr (outputs == 4) {
    const int32x4_t sum1 = vaddq_s32(m[1], m[2]);
    const int32x4_t sum2 = vaddq_s32(m[3], m[4]);
    const int32x4_t difference1 = vsubq_s32(m[1], m[2]);
    const int32x4_t difference2 = shifted<1>(vsubq_s32(m[3], m[4]));
    y[0] = vaddq_s32(m[0], vaddq_s32(sum1, sum2));
    y[1] = vaddq_s32(difference1, difference2);
    y[2] = vaddq_s32(sum1, shifted<2>(sum2));
    y[3] = vaddq_s32(difference1, shifted<2>(vaddq_s32(difference2, m[5])));
  } else if constexpr (outputs == 3) {
    const int32x4_t one = three_times(m[1]);
    const int32x4_t sum = vaddq_s32(one, m[2]);
    y[0] = vaddq_s32(sum, shifted<1>(vaddq_s32(m[0], shifted<1>(m[3]))));
    y[1] = vaddq_s32(vsubq_s32(one, m[2]), shifted<3>(m[3]));
    y[2] = vaddq_s32(sum, shifted<2>(vaddq_s32(m[4], shifted<2>(m[3]))));
  } else {
    y[0] = vnegq_s32(vaddq_s32(three_times(vaddq_s32(m[1], m[2])), shifted<2>(m[0])));
    y[1] = vsubq_s32(shifted<2>(m[3]), three_times(vsubq_s32(m[1], m[2])));
  }
}

// vst1q as functions: clang's are macros, which no parameter pack can be expanded in.
[[gnu::always_inline]] inline void store(int16_t* to, int16x8_t v) { vst1q_s16(to, v); }
[[gnu::always_inline]] inline void store(int32_t* to, int32x4_t v) { vst1q_s32(to, v); }

// The sum, added to `start`: nine times that is what is left of 576 times it without the 64, and 0x38e38e39 is nine's
// inverse modulo 2^32.
[[gnu::always_inline]] inline int32x4_t add_sum(int32x4_t start, int32x4_t y) {
  return vsraq_n_s32(start, vmulq_s32(y, vdupq_n_s32(0x38e38e39)), 6);
}

}  // namespace edgedeploy

#endif  // EDGEDEPLOY_KERNELS_WINOGRAD_S8_TRANSFORM_H_
