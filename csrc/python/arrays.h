// Checks of arguments that come from Python: arrays with the wanted type and shape, kernels that can run.
#ifndef EDGEDEPLOY_PYTHON_ARRAYS_H_
#define EDGEDEPLOY_PYTHON_ARRAYS_H_

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <cstdint>
#include <optional>
#include <string>

#include "kernels/table.h"

namespace edgedeploy_python {

namespace py = pybind11;

// "(3, 4) uint8"
std::string describe(const py::array& array);

// `object` as an array of Value with `dimensions` dimensions, never converted from another type; OpsError else.
template <typename Value>
py::array_t<Value> typed_array(const py::object& object, const char* name, py::ssize_t dimensions);

// As typed_array, in C order: a strided array is copied.
template <typename Value>
py::array_t<Value, py::array::c_style> dense_array(const py::object& object, const char* name, py::ssize_t dimensions);

// A vector of floats from any sequence or array of numbers; OpsError unless it has `size` values.
py::array_t<float, py::array::c_style> float_vector(const py::object& object, const char* name, py::ssize_t size);

// The named row of the op, or the one that dispatch selects; OpsError if unknown, of another op or beyond this CPU.
const edgedeploy::KernelRow& choose_kernel(const char* op, const std::optional<std::string>& variant);

}  // namespace edgedeploy_python

#endif  // EDGEDEPLOY_PYTHON_ARRAYS_H_
