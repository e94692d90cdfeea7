// Offsets of ConvS8Params for kernels in assembly. conv_s8_offsets.cpp asserts each of them.
#ifndef EDGEDEPLOY_KERNELS_CONV_S8_OFFSETS_H_
#define EDGEDEPLOY_KERNELS_CONV_S8_OFFSETS_H_

#define CONV_S8_A 0
#define CONV_S8_TAPS 8
#define CONV_S8_GROUPS 16
#define CONV_S8_A_GROUP_STRIDE_BYTES 24
#define CONV_S8_B 32
#define CONV_S8_PIXELS 40
#define CONV_S8_SCALE 48
#define CONV_S8_OFFSET 56
#define CONV_S8_C 64
#define CONV_S8_C_QUAD_STRIDE_BYTES 72
#define CONV_S8_OUTPUT 80
#define CONV_S8_LOW_CODE 84
#define CONV_S8_HIGH_CODE 88
#define CONV_S8_LOW_VALUE 92
#define CONV_S8_HIGH_VALUE 96
#define CONV_S8_SHORT_SUMS 100
#define CONV_S8_START 104

#define CONV_S8_TO_S8 0
#define CONV_S8_TO_F32 1
#define CONV_S8_TO_S8_FOLDED 2
#define CONV_S8_TO_F16 3

#endif  // EDGEDEPLOY_KERNELS_CONV_S8_OFFSETS_H_
