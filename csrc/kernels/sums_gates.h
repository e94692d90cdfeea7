// The gates that activations are (sums_epilogue.h). out_scale: codes of a one, where codes come out; 1 for floats.
//
// set_... return false, and set no gate, where a figure is not one that gates take.
#ifndef EDGEDEPLOY_KERNELS_SUMS_GATES_H_
#define EDGEDEPLOY_KERNELS_SUMS_GATES_H_

#include "kernels/sums_epilogue.h"

namespace edgedeploy {

// v > 0 ? v : v * alpha, of alpha not below zero.
bool set_leaky_relu_gate(float alpha, SumsEpilogue* epilogue);

// v * min(max(v * alpha + beta, 0), 1), of alpha above zero.
bool set_hard_swish_gate(float alpha, float beta, float out_scale, SumsEpilogue* epilogue);

// 1 / (1 + e^-v). The kernel's scale and offset are those of an exponent, by the functions below.
bool set_sigmoid_gate(float out_scale, SumsEpilogue* epilogue);
float sigmoid_scale(float scale);
float sigmoid_offset(float bias, float out_scale);

// v * tanh(ln(1 + e^v)).
bool set_mish_gate(float out_scale, SumsEpilogue* epilogue);

// Whether no value of that scale and offset can be beyond float, which gates do not take.
bool gates_take(float scale, float offset);

}  // namespace edgedeploy

#endif  // EDGEDEPLOY_KERNELS_SUMS_GATES_H_
