// One function an op; module.cpp calls them all.
#ifndef EDGEDEPLOY_PYTHON_BINDINGS_H_
#define EDGEDEPLOY_PYTHON_BINDINGS_H_

#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

namespace edgedeploy_python {

void bind_preprocess_u8f32(pybind11::module_& module);
void bind_gemm_s8(pybind11::module_& module);
void bind_conv_s8(pybind11::module_& module);
void bind_depthwise_s8(pybind11::module_& module);

}  // namespace edgedeploy_python

#endif  // EDGEDEPLOY_PYTHON_BINDINGS_H_
