#include "feature_maps.h"

#include <algorithm>

#include "errors.h"

namespace edgedeploy_python {
namespace {

int64_t eights(int64_t count) { return (count + kEight - 1) / kEight; }

py::array make_array(int64_t channels, int64_t height, int64_t width, bool codes) {
  const std::vector<py::ssize_t> shape{channels, height, width};
  return codes ? py::array(py::array_t<int8_t>(shape)) : py::array(py::array_t<float>(shape));
}

// Eight channels a pixel, or four and the other four behind all of those, to planes of a channel each.
template <typename Value>
void scatter(const Value* from, int64_t pixels, int64_t together, int64_t channels, Value* into) {
  for (int64_t i = 0; i < channels; ++i) {
    const Value* channel = from + i / together * pixels * together + i % together;
    for (int64_t pixel = 0; pixel < pixels; ++pixel) into[i * pixels + pixel] = channel[pixel * together];
  }
}

}  // namespace

int64_t in_range(const char* name, int64_t value, int64_t low, int64_t high) {
  if (value >= low && value <= high) return value;
  throw OpsError(std::string(name) + " must lie in " + std::to_string(low) + ".." + std::to_string(high) + ", not " +
                 std::to_string(value));
}

int64_t outputs_along(int64_t size, int64_t extent, int64_t stride, int64_t padding) {
  const int64_t room = size + 2 * padding - extent;
  if (room >= 0) return room / stride + 1;
  throw OpsError("the window reaches over " + std::to_string(extent) + " pixels, the padded image has " +
                 std::to_string(size + 2 * padding));
}

PlanesOfEight::PlanesOfEight(const py::array_t<int8_t, py::array::c_style>& map)
    : groups_(eights(map.shape(0))),
      height_(map.shape(1)),
      width_(map.shape(2)),
      bytes_(static_cast<size_t>(groups_ * plane_bytes())) {
  const int64_t pixels = height_ * width_;
  const int8_t* from = map.data();
  for (int64_t channel = 0; channel < map.shape(0); ++channel) {
    int8_t* into = bytes_.data() + channel / kEight * plane_bytes() + channel % kEight;
    for (int64_t pixel = 0; pixel < pixels; ++pixel) into[pixel * kEight] = *from++;
  }
}

OutputMap::OutputMap(int64_t channels, int64_t height, int64_t width, bool codes)
    : channels_(channels),
      pixels_(height * width),
      codes_(codes),
      array_(make_array(channels, height, width, codes)),
      data_(static_cast<char*>(array_.mutable_data())),
      room_(static_cast<size_t>(pixels_ * kEight)) {}

void OutputMap::store(int64_t group) {
  const int64_t first = group * kEight;
  const int64_t count = std::min(kEight, channels_ - first);
  if (codes_) {
    scatter(reinterpret_cast<const int8_t*>(room_.data()), pixels_, kEight, count,
            reinterpret_cast<int8_t*>(data_) + first * pixels_);
  } else {
    scatter(room_.data(), pixels_, kEight / 2, count, reinterpret_cast<float*>(data_) + first * pixels_);
  }
}

}  // namespace edgedeploy_python
