// The numbers of sums_epilogue.h's curves, for C++ and, in bits, for assembly.
//
// 2^f on [-1/2, 1/2] as a polynomial of the fourth degree, off by 2.6e-6 of its value at the most. The reciprocal of a
// float starts at what its bits subtracted from a constant are the bits of, off by an eighth, and takes two steps of
// Newton's method, off by 0.9e-6 of it then: start, first and second step are balanced against one another.
#ifndef EDGEDEPLOY_KERNELS_SUMS_CURVES_H_
#define EDGEDEPLOY_KERNELS_SUMS_CURVES_H_

#define CURVE_C0_BITS 0x3f7ffff4
#define CURVE_C1_BITS 0x3f31706e
#define CURVE_C2_BITS 0x3e76036d
#define CURVE_C3_BITS 0x3d650a20
#define CURVE_C4_BITS 0x3c1ccbeb
#define CURVE_K1_BITS 0x400014ff
#define CURVE_K2_BITS 0x40000003
#define CURVE_MIDDLE_BITS 0x4b40007f
#define CURVE_RECIPROCAL_BITS 0x7ef3340b

// Offsets of SumsGate's fields.
#define SUMS_GATE_SLOPE 0
#define SUMS_GATE_OFFSET 16
#define SUMS_GATE_LOW 32
#define SUMS_GATE_HIGH 48

#ifndef __ASSEMBLER__

namespace edgedeploy {

inline constexpr float kCurveC0 = 0x1.ffffe8p-1f;
inline constexpr float kCurveC1 = 0x1.62e0dcp-1f;
inline constexpr float kCurveC2 = 0x1.ec06dap-3f;
inline constexpr float kCurveC3 = 0x1.ca1440p-5f;
inline constexpr float kCurveC4 = 0x1.3997d6p-7f;
inline constexpr float kCurveK1 = 0x1.0029fep+1f;
inline constexpr float kCurveK2 = 0x1.000006p+1f;
// 1.5 * 2^23 + 127: of a float near it the low bits are the exponent of a power of two.
inline constexpr float kCurveMiddle = 12583039.0f;

}  // namespace edgedeploy

#endif

#endif  // EDGEDEPLOY_KERNELS_SUMS_CURVES_H_
