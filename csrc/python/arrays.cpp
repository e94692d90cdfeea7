#include "arrays.h"

#include <cstring>

#include "dispatch/dispatch.h"
#include "errors.h"

namespace edgedeploy_python {

std::string describe(const py::array& array) {
  std::string text = "(";
  for (py::ssize_t i = 0; i < array.ndim(); ++i) {
    text += (i == 0 ? "" : ", ") + std::to_string(array.shape(i));
  }
  return text + ") " + py::str(array.dtype()).cast<std::string>();
}

template <typename Value>
py::array_t<Value> typed_array(const py::object& object, const char* name, py::ssize_t dimensions) {
  const std::string wanted = std::to_string(dimensions) + "-dimensional array of " +
                             py::str(py::dtype::of<Value>()).template cast<std::string>();
  if (!py::isinstance<py::array>(object)) throw OpsError(std::string(name) + " must be a " + wanted);
  const py::array array = py::cast<py::array>(object);
  if (!py::isinstance<py::array_t<Value>>(array) || array.ndim() != dimensions) {
    throw OpsError(std::string(name) + " must be a " + wanted + ", not " + describe(array));
  }
  return py::cast<py::array_t<Value>>(array);
}

template <typename Value>
py::array_t<Value, py::array::c_style> dense_array(const py::object& object, const char* name, py::ssize_t dimensions) {
  return py::array_t<Value, py::array::c_style>::ensure(typed_array<Value>(object, name, dimensions));
}

template py::array_t<uint8_t> typed_array(const py::object&, const char*, py::ssize_t);
template py::array_t<int8_t> typed_array(const py::object&, const char*, py::ssize_t);
template py::array_t<uint8_t, py::array::c_style> dense_array(const py::object&, const char*, py::ssize_t);
template py::array_t<int8_t, py::array::c_style> dense_array(const py::object&, const char*, py::ssize_t);

py::array_t<float, py::array::c_style> float_vector(const py::object& object, const char* name, py::ssize_t size) {
  using Vector = py::array_t<float, py::array::c_style | py::array::forcecast>;
  const Vector vector = Vector::ensure(object);
  if (!vector) {
    PyErr_Clear();
    throw OpsError(std::string(name) + " must hold numbers");
  }
  if (vector.ndim() != 1 || vector.shape(0) != size) {
    throw OpsError(std::string(name) + " must hold " + std::to_string(size) + " values, not " + describe(vector));
  }
  return py::cast<py::array_t<float, py::array::c_style>>(vector);
}

const edgedeploy::KernelRow& choose_kernel(const char* op, const std::optional<std::string>& variant) {
  if (!variant) return *edgedeploy::select_kernel(op);
  const edgedeploy::KernelRow* row = edgedeploy::find_kernel(variant->c_str());
  if (row == nullptr || std::strcmp(row->op, op) != 0) {
    std::string known;
    for (const edgedeploy::KernelRow& other : edgedeploy::kernel_table()) {
      if (std::strcmp(other.op, op) == 0) known += (known.empty() ? "" : ", ") + std::string(other.name);
    }
    throw OpsError("unknown variant '" + *variant + "' of " + op + "; built here: " + known);
  }
  if (!edgedeploy::kernel_supported(*row)) throw OpsError("this CPU cannot run the variant '" + *variant + "'");
  return *row;
}

}  // namespace edgedeploy_python
