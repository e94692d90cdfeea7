#include "arrays.h"
#include "bindings.h"
#include "errors.h"

namespace edgedeploy_python {
namespace {

using edgedeploy::PreprocessU8F32Params;

int32_t color_of(const std::string& name) {
  if (name == "bgr") return edgedeploy::kColorBgr;
  if (name == "rgb") return edgedeploy::kColorRgb;
  if (name == "gray") return edgedeploy::kColorGray;
  throw OpsError("unknown color '" + name + "'; one of bgr, rgb, gray");
}

void check_side(const char* name, int64_t pixels) {
  if (pixels >= 1 && pixels <= edgedeploy::kPreprocessMaxSide) return;
  throw OpsError(std::string(name) + " must lie in 1.." + std::to_string(edgedeploy::kPreprocessMaxSide) + ", not " +
                 std::to_string(pixels));
}

// The kernels take rows at any distance; pixels within a row must be dense.
py::array_t<uint8_t> dense_rows(const py::object& object) {
  py::array_t<uint8_t> image = typed_array<uint8_t>(object, "image", 3);
  if (image.shape(2) != 3) throw OpsError("image must be height x width x 3, not " + describe(image));
  const bool dense = image.strides(2) == 1 && (image.strides(1) == 3 || image.shape(1) == 1);
  return dense ? image : py::array_t<uint8_t>(dense_array<uint8_t>(image, "image", 3));
}

py::array_t<float> preprocess(const py::object& object, int64_t width, int64_t height, const std::string& color,
                              const py::object& mean, const py::object& scale,
                              const std::optional<std::string>& variant) {
  const edgedeploy::KernelRow& row = choose_kernel(edgedeploy::kOpPreprocessU8F32, variant);
  const py::array_t<uint8_t> image = dense_rows(object);
  check_side("the image's width", image.shape(1));
  check_side("the image's height", image.shape(0));
  check_side("width", width);
  check_side("height", height);

  PreprocessU8F32Params params{};
  params.color = color_of(color);
  const int32_t channels = edgedeploy::preprocess_u8f32_channels(params.color);
  const auto means = float_vector(mean, "mean", channels);
  const auto scales = float_vector(scale, "scale", channels);
  for (int32_t c = 0; c < channels; ++c) {
    params.mean[c] = means.at(c);
    params.scale[c] = scales.at(c);
  }
  py::array_t<float> output(
      {static_cast<py::ssize_t>(channels), static_cast<py::ssize_t>(height), static_cast<py::ssize_t>(width)});
  params.src = image.data();
  params.src_stride_bytes = image.strides(0);
  params.src_width = static_cast<int32_t>(image.shape(1));
  params.src_height = static_cast<int32_t>(image.shape(0));
  params.dst = output.mutable_data();
  params.dst_row_stride_bytes = output.strides(1);
  params.dst_channel_stride_bytes = output.strides(0);
  params.dst_width = static_cast<int32_t>(width);
  params.dst_height = static_cast<int32_t>(height);
  // NumPy's allocations are aligned to 16 bytes, what scratch needs.
  py::array_t<uint8_t> scratch(
      static_cast<py::ssize_t>(edgedeploy::preprocess_u8f32_scratch_bytes(params.dst_width, params.dst_height)));
  params.scratch = scratch.mutable_data();
  {
    const py::gil_scoped_release release;
    edgedeploy::preprocess_u8f32_prepare(&params);
    row.preprocess(&params);
  }
  return output;
}

}  // namespace

void bind_preprocess_u8f32(py::module_& module) {
  module.def("preprocess", &preprocess, py::arg("image"), py::arg("width"), py::arg("height"), py::arg("color"),
             py::arg("mean"), py::arg("scale"), py::kw_only(), py::arg("variant") = py::none(),
             "Image bytes to planar float32; see _native.pyi.");
}

}  // namespace edgedeploy_python
