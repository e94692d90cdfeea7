// edgedeploy_ops._native: the table of kernels and each op, for Python. Nothing but bindings; _native.pyi documents
// them.
#include <cstring>

#include "arrays.h"
#include "bindings.h"
#include "dispatch/dispatch.h"
#include "errors.h"

namespace edgedeploy_python {
namespace {

py::list isa_names(uint64_t bits) {
  py::list names;
  for (const edgedeploy::IsaName& isa : edgedeploy::kIsaNames) {
    if ((bits & isa.bit) != 0) names.append(isa.name);
  }
  return names;
}

py::list kernels() {
  py::list rows;
  for (const edgedeploy::KernelRow& row : edgedeploy::kernel_table()) {
    py::dict entry;
    entry["name"] = row.name;
    entry["op"] = row.op;
    entry["isa"] = isa_names(row.isa);
    entry["tile"] = py::make_tuple(row.tile_m, row.tile_n, row.k_unit);
    entry["tolerance"] = row.tolerance;
    entry["reference"] = row.reference;
    entry["supported"] = edgedeploy::kernel_supported(row);
    entry["selected"] = edgedeploy::select_kernel(row.op) == &row;
    rows.append(entry);
  }
  return rows;
}

}  // namespace
}  // namespace edgedeploy_python

PYBIND11_MODULE(_native, module) {
  using namespace edgedeploy_python;
  pybind11::register_exception<OpsError>(module, "OpsError", PyExc_ValueError);
  module.def("kernels", &kernels, "The table of kernels built for this architecture.");
  module.def("cpu_features", [] { return isa_names(edgedeploy::cpu_features()); }, "What the CPU has, as in hwcaps.");
  bind_preprocess_u8f32(module);
  bind_gemm_s8(module);
  bind_conv_s8(module);
  bind_depthwise_s8(module);
}
