#include <vector>

#include "arrays.h"
#include "bindings.h"
#include "errors.h"

namespace edgedeploy_python {
namespace {

using edgedeploy::GemmS8Params;
using edgedeploy::KernelRow;
using Matrix = py::array_t<int8_t, py::array::c_style>;

struct NamedActivation {
  const char* name;
  int32_t id;
};

constexpr NamedActivation kActivations[] = {
    {"none", edgedeploy::kActivationNone},
    {"relu", edgedeploy::kActivationRelu},
    {"leaky_relu", edgedeploy::kActivationLeakyRelu},
    {"clip", edgedeploy::kActivationClip},
    {"hardswish", edgedeploy::kActivationHardSwish},
};

int32_t activation_of(const std::string& name) {
  std::string known;
  for (const NamedActivation& activation : kActivations) {
    if (name == activation.name) return activation.id;
    known += (known.empty() ? "" : ", ") + std::string(activation.name);
  }
  throw OpsError("unknown activation '" + name + "'; one of " + known);
}

void check_shapes(const Matrix& a, const Matrix& b) {
  constexpr py::ssize_t kMaxSide = 1 << 30;
  const py::ssize_t k = a.shape(1);
  if (b.shape(1) != k) throw OpsError("a is " + describe(a) + " and b " + describe(b) + ": their k differ");
  if (k < 1 || k > edgedeploy::kGemmS8MaxK) {
    throw OpsError("k must lie in 1.." + std::to_string(edgedeploy::kGemmS8MaxK) + ", not " + std::to_string(k));
  }
  if (a.shape(0) > kMaxSide || b.shape(0) > kMaxSide) throw OpsError("a or b has more than 2^30 rows");
}

void check_weights(const Matrix& b) {
  const int8_t* values = b.data();
  for (py::ssize_t i = 0; i < b.size(); ++i) {
    if (values[i] == -128) throw OpsError("b must lie in [-127, 127], it holds -128");
  }
}

std::vector<int8_t> packed(const KernelRow& row, const Matrix& matrix, int32_t tile_rows) {
  const py::ssize_t k = matrix.shape(1);
  std::vector<int8_t> panels(edgedeploy::gemm_s8_packed_bytes(matrix.shape(0), k, tile_rows, row.k_unit));
  row.pack(matrix.data(), k, matrix.shape(0), k, tile_rows, row.k_unit, panels.data());
  return panels;
}

py::array gemm(const py::object& a_object, const py::object& b_object, const py::object& scale, const py::object& bias,
               const std::string& activation, float alpha, float beta, std::optional<float> out_scale,
               const std::optional<std::string>& variant) {
  const KernelRow& row = choose_kernel(edgedeploy::kOpGemmS8, variant);
  const Matrix a = dense_array<int8_t>(a_object, "a", 2);
  const Matrix b = dense_array<int8_t>(b_object, "b", 2);
  check_shapes(a, b);
  check_weights(b);
  const auto scales = float_vector(scale, "scale", b.shape(0));
  std::optional<py::array_t<float, py::array::c_style>> biases;
  if (!bias.is_none()) biases = float_vector(bias, "bias", b.shape(0));

  const std::vector<py::ssize_t> shape{a.shape(0), b.shape(0)};
  py::array output = out_scale ? py::array(py::array_t<int8_t>(shape)) : py::array(py::array_t<float>(shape));
  GemmS8Params params{};
  params.m_end = static_cast<int32_t>(a.shape(0));
  params.n_end = static_cast<int32_t>(b.shape(0));
  params.k = a.shape(1);
  params.scale = scales.data();
  params.bias = biases ? biases->data() : nullptr;
  params.c = output.mutable_data();
  params.c_row_stride_bytes = output.strides(0);
  params.c_col_stride_bytes = output.itemsize();
  params.epilogue.output = out_scale ? edgedeploy::kGemmOutputS8 : edgedeploy::kGemmOutputF32;
  params.epilogue.out_scale = out_scale.value_or(0.0f);
  edgedeploy::gemm_s8_set_activation(&params.epilogue, activation_of(activation), alpha, beta);
  {
    const py::gil_scoped_release release;
    const std::vector<int8_t> packed_a = packed(row, a, row.tile_m);
    const std::vector<int8_t> packed_b = packed(row, b, row.tile_n);
    params.packed_a = packed_a.data();
    params.packed_b = packed_b.data();
    edgedeploy::gemm_s8_run(row, params);
  }
  return output;
}

}  // namespace

void bind_gemm_s8(py::module_& module) {
  module.def("gemm", &gemm, py::arg("a"), py::arg("b"), py::arg("scale"), py::arg("bias") = py::none(), py::kw_only(),
             py::arg("activation") = "none", py::arg("alpha") = 0.0f, py::arg("beta") = 0.0f,
             py::arg("out_scale") = py::none(), py::arg("variant") = py::none(),
             "int8 matrix product with a fused epilogue; see _native.pyi.");
}

}  // namespace edgedeploy_python
