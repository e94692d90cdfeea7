#include <limits>

#include "bindings.h"
#include "errors.h"
#include "feature_maps.h"

namespace edgedeploy_python {
namespace {

using edgedeploy::ConvS8Params;
using edgedeploy::KernelRow;
using Map = py::array_t<int8_t, py::array::c_style>;

struct Window {
  int64_t kernel_h, kernel_w, stride, padding, dilation;
  int64_t taps() const { return kernel_h * kernel_w; }
};

// For each tile of pixels and each tap of the window where the pixels' channels begin.
std::vector<const int8_t*> pointers_of(const PlanesOfEight& input, const Window& window, int64_t width, int64_t pixels,
                                       int64_t tile_m, const int8_t* pad) {
  const int64_t tiles = (pixels + tile_m - 1) / tile_m;
  std::vector<const int8_t*> pointers(static_cast<size_t>(tiles * window.taps() * tile_m), pad);
  for (int64_t pixel = 0; pixel < pixels; ++pixel) {
    for (int64_t tap = 0; tap < window.taps(); ++tap) {
      const int64_t y = pixel / width * window.stride - window.padding + tap / window.kernel_w * window.dilation;
      const int64_t x = pixel % width * window.stride - window.padding + tap % window.kernel_w * window.dilation;
      if (y < 0 || y >= input.height() || x < 0 || x >= input.width()) continue;
      const int64_t at = (pixel / tile_m * window.taps() + tap) * tile_m + pixel % tile_m;
      pointers[static_cast<size_t>(at)] = input.plane(0) + (y * input.width() + x) * kEight;
    }
  }
  return pointers;
}

void check_weights(const py::array_t<int8_t, py::array::c_style>& weights, const Map& image) {
  if (weights.shape(1) != image.shape(0)) {
    throw OpsError("image is " + describe(image) + " and weights " + describe(weights) + ": their channels differ");
  }
  for (py::ssize_t axis = 0; axis < 4; ++axis) in_range("each side of weights", weights.shape(axis), 1, 1 << 20);
  const int64_t channels = (weights.shape(1) + kEight - 1) / kEight * kEight;
  in_range("products of a sum", channels * weights.shape(2) * weights.shape(3), 1, edgedeploy::kConvS8MaxK);
  for (py::ssize_t i = 0; i < weights.size(); ++i) {
    if (weights.data()[i] == -128) throw OpsError("weights must lie in [-127, 127], they hold -128");
  }
}

py::array conv_s8(const py::object& image_object, const py::object& weights_object, const py::object& scale,
                  const py::object& bias, int64_t stride, int64_t padding, int64_t dilation, int64_t pad_code,
                  float low, float high, bool codes, const std::string& activation, float alpha, float beta,
                  float out_scale, const std::optional<std::string>& variant) {
  const KernelRow& row = choose_kernel(edgedeploy::kOpConvS8, variant);
  const Map image = dense_array<int8_t>(image_object, "image", 3);
  const Map weights = dense_array<int8_t>(weights_object, "weights", 4);
  check_weights(weights, image);
  constexpr int64_t kMost = 1 << 14;
  const Window window{weights.shape(2), weights.shape(3), in_range("stride", stride, 1, kMost),
                      in_range("padding", padding, 0, kMost), in_range("dilation", dilation, 1, kMost)};
  const int64_t height = outputs_along(image.shape(1), dilation * (window.kernel_h - 1) + 1, stride, padding);
  const int64_t width = outputs_along(image.shape(2), dilation * (window.kernel_w - 1) + 1, stride, padding);
  const int8_t code = static_cast<int8_t>(in_range("pad_code", pad_code, -128, 127));
  const int64_t channels = weights.shape(0);
  const SumsToOutputs outputs(scale, bias, channels, {low, high, codes, activation, alpha, beta, out_scale});
  OutputMap output(channels, height, width, codes);
  {
    const py::gil_scoped_release release;
    const PlanesOfEight input(image);
    const std::vector<int8_t> pad(static_cast<size_t>((input.groups() - 1) * input.plane_bytes() + kEight), code);
    const auto pointers = pointers_of(input, window, width, height * width, row.tile_m, pad.data());
    std::vector<int8_t> packed(edgedeploy::conv_s8_packed_bytes(channels, weights.shape(1), window.taps()));
    row.conv_pack(weights.data(), channels, weights.shape(1), window.taps(), packed.data());
    ConvS8Params params{};
    params.a = pointers.data();
    params.taps = window.taps();
    params.groups = input.groups();
    params.a_group_stride_bytes = input.plane_bytes();
    params.pixels = height * width;
    params.epilogue = outputs.epilogue;
    params.c = output.room();
    params.c_quad_stride_bytes = output.quad_stride_bytes();
    for (int64_t group = 0; group * kEight < channels; ++group) {
      params.b = packed.data() + group * params.taps * params.groups * kEight * kEight;
      params.scale = outputs.scales.data() + group * kEight;
      params.offset = outputs.offsets.data() + group * kEight;
      row.conv(&params);
      output.store(group);
    }
  }
  return output.array();
}

}  // namespace

void bind_conv_s8(py::module_& module) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  module.def("conv_s8", &conv_s8, py::arg("image"), py::arg("weights"), py::arg("scale"), py::arg("bias") = py::none(),
             py::kw_only(), py::arg("stride") = 1, py::arg("padding") = 0, py::arg("dilation") = 1,
             py::arg("pad_code") = 0, py::arg("low") = -kInfinity, py::arg("high") = kInfinity,
             py::arg("codes") = false, py::arg("activation") = "none", py::arg("alpha") = 0.0f, py::arg("beta") = 0.0f,
             py::arg("out_scale") = 1.0f, py::arg("variant") = py::none(),
             "int8 convolution with a fused epilogue; see _native.pyi.");
}

}  // namespace edgedeploy_python
