// What the int8 convolutions share: feature maps in planes of eight channels, and what follows the sums.
#ifndef EDGEDEPLOY_PYTHON_FEATURE_MAPS_H_
#define EDGEDEPLOY_PYTHON_FEATURE_MAPS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "arrays.h"

namespace edgedeploy_python {

inline constexpr int64_t kEight = 8;

// The value; OpsError names the argument where it does not lie in [low, high].
int64_t in_range(const char* name, int64_t value, int64_t low, int64_t high);

// Pixels of output along an axis; OpsError where the window does not fit.
int64_t outputs_along(int64_t size, int64_t extent, int64_t stride, int64_t padding);

// [channels][height][width] to [groups of eight][height][width][eight], filled up with zeros.
class PlanesOfEight {
 public:
  explicit PlanesOfEight(const py::array_t<int8_t, py::array::c_style>& map);

  int64_t groups() const { return groups_; }
  int64_t height() const { return height_; }
  int64_t width() const { return width_; }
  int64_t plane_bytes() const { return height_ * width_ * kEight; }
  const int8_t* plane(int64_t group) const { return bytes_.data() + group * plane_bytes(); }

 private:
  int64_t groups_, height_, width_;
  std::vector<int8_t> bytes_;
};

// What an output is besides a scaled sum, as Python says it.
struct OutputSettings {
  float low, high;
  bool codes;  // int8 output, for which scale, bias and limits are in codes
  std::string activation;
  float alpha, beta;
  float out_scale;  // codes of a one
};

// Scales, offsets, limits and gate of all channels, filled up to eights.
struct SumsToOutputs {
  SumsToOutputs(const py::object& scale, const py::object& bias, py::ssize_t channels, const OutputSettings& settings);

  std::vector<float> scales, offsets;
  edgedeploy::SumsEpilogue epilogue{};
};

// An output [channels][height][width] of int8 codes or float32, which kernels write eight channels at a time.
class OutputMap {
 public:
  OutputMap(int64_t channels, int64_t height, int64_t width, bool codes);

  py::array array() const { return array_; }
  // For a kernel, until store() has moved what it wrote of channel group `group` into the array.
  void* room() { return room_.data(); }
  int64_t quad_stride_bytes() const { return pixels_ * kEight / 2 * static_cast<int64_t>(sizeof(float)); }
  void store(int64_t group);

 private:
  int64_t channels_, pixels_;
  bool codes_;
  py::array array_;
  char* data_;
  std::vector<float> room_;
};

}  // namespace edgedeploy_python

#endif  // EDGEDEPLOY_PYTHON_FEATURE_MAPS_H_
