#include <algorithm>
#include <limits>

#include "bindings.h"
#include "dispatch/dispatch.h"
#include "errors.h"
#include "feature_maps.h"

namespace edgedeploy_python {
namespace {

using edgedeploy::DepthwiseS8Params;
using edgedeploy::DepthwiseS8RowParams;
using edgedeploy::DepthwiseS8Variant;
using Map = py::array_t<int8_t, py::array::c_style>;

const char* op_of(int64_t kernel, int64_t stride) {
  for (const edgedeploy::KernelRow& row : edgedeploy::kernel_table()) {
    if (row.depthwise != nullptr && row.depthwise->kernel == kernel && row.depthwise->stride == stride) return row.op;
  }
  throw OpsError("there are windows of 3x3 and 5x5 with stride 1 and 2, not " + std::to_string(kernel) + "x" +
                 std::to_string(kernel) + " with " + std::to_string(stride));
}

void check_weights(const Map& weights, const Map& image) {
  if (weights.shape(0) != image.shape(0)) {
    throw OpsError("image is " + describe(image) + " and weights " + describe(weights) + ": their channels differ");
  }
  if (weights.shape(1) != weights.shape(2)) throw OpsError("weights are " + describe(weights) + ": no square window");
  for (py::ssize_t i = 0; i < weights.size(); ++i) {
    if (weights.data()[i] == -128) throw OpsError("weights must lie in [-127, 127], they hold -128");
  }
}

// Eight channels of the input prepared for a variant, and a row of padding.
class PreparedRows {
 public:
  PreparedRows(const DepthwiseS8Variant& variant, const DepthwiseS8RowParams& row, int64_t height)
      : variant_(variant),
        row_(row),
        height_(height),
        row_bytes_(static_cast<int64_t>(variant.row_bytes(row.outputs))),
        bytes_(static_cast<size_t>((height + 1) * row_bytes_)) {}

  void prepare(const int8_t* plane) {
    row_.src = plane;
    row_.dst = bytes_.data();
    row_.row_count = height_;
    variant_.prepare(&row_);
    row_.src = nullptr;
    row_.dst = bytes_.data() + height_ * row_bytes_;
    row_.row_count = 1;
    variant_.prepare(&row_);
  }

  const int8_t* row(int64_t y) const { return bytes_.data() + (y >= 0 && y < height_ ? y : height_) * row_bytes_; }

 private:
  const DepthwiseS8Variant& variant_;
  DepthwiseS8RowParams row_;
  int64_t height_, row_bytes_;
  std::vector<int8_t> bytes_;
};

py::array depthwise_s8(const py::object& image_object, const py::object& weights_object, const py::object& scale,
                       const py::object& bias, int64_t stride, int64_t padding, int64_t pad_code, float low, float high,
                       bool codes, const std::string& activation, float alpha, float beta, float out_scale,
                       const std::optional<std::string>& variant_name) {
  const Map image = dense_array<int8_t>(image_object, "image", 3);
  const Map weights = dense_array<int8_t>(weights_object, "weights", 3);
  const int64_t channels = in_range("channels", image.shape(0), 1, 1 << 20);
  check_weights(weights, image);
  const int64_t kernel = weights.shape(1);
  const DepthwiseS8Variant& variant = *choose_kernel(op_of(kernel, stride), variant_name).depthwise;
  in_range("padding", padding, 0, kernel - 1);
  const int64_t height =
      outputs_along(in_range("the image's height", image.shape(1), 1, 1 << 20), kernel, stride, padding);
  const int64_t width =
      outputs_along(in_range("the image's width", image.shape(2), 1, 1 << 20), kernel, stride, padding);
  in_range("pad_code", pad_code, -128, 127);
  const SumsToOutputs outputs(scale, bias, channels, {low, high, codes, activation, alpha, beta, out_scale});
  OutputMap output(channels, height, width, codes);
  {
    const py::gil_scoped_release release;
    const PlanesOfEight input(image);
    std::vector<int8_t> packed(static_cast<size_t>(input.groups()) * variant.packed_bytes);
    for (int64_t first = 0; first < channels; first += kEight) {
      variant.pack(weights.data() + first * kernel * kernel, std::min(kEight, channels - first),
                   packed.data() + static_cast<size_t>(first / kEight) * variant.packed_bytes);
    }
    PreparedRows prepared(variant, {nullptr, input.width(), padding, width, pad_code, nullptr, 1}, input.height());
    std::vector<const int8_t*> rows;
    for (int64_t r = 0; r < kernel + (height - 1) * stride; ++r) rows.push_back(prepared.row(r - padding));
    DepthwiseS8Params params{};
    params.rows = rows.data();
    params.outputs = width;
    params.row_count = height;
    params.epilogue = outputs.epilogue;
    params.c = output.room();
    params.c_quad_stride_bytes = output.quad_stride_bytes();
    for (int64_t group = 0; group < input.groups(); ++group) {
      prepared.prepare(input.plane(group));
      params.weights = packed.data() + static_cast<size_t>(group) * variant.packed_bytes;
      params.scale = outputs.scales.data() + group * kEight;
      params.offset = outputs.offsets.data() + group * kEight;
      variant.run(&params);
      output.store(group);
    }
  }
  return output.array();
}

}  // namespace

void bind_depthwise_s8(py::module_& module) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  module.def("depthwise_s8", &depthwise_s8, py::arg("image"), py::arg("weights"), py::arg("scale"),
             py::arg("bias") = py::none(), py::kw_only(), py::arg("stride") = 1, py::arg("padding") = 0,
             py::arg("pad_code") = 0, py::arg("low") = -kInfinity, py::arg("high") = kInfinity,
             py::arg("codes") = false, py::arg("activation") = "none", py::arg("alpha") = 0.0f, py::arg("beta") = 0.0f,
             py::arg("out_scale") = 1.0f, py::arg("variant") = py::none(),
             "int8 depthwise convolution with a fused epilogue; see _native.pyi.");
}

}  // namespace edgedeploy_python
