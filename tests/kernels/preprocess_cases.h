// Images, shapes and layouts that the preprocessing kernels' tests share.
#ifndef EDGEDEPLOY_TESTS_PREPROCESS_CASES_H_
#define EDGEDEPLOY_TESTS_PREPROCESS_CASES_H_

#include <cstdio>
#include <string>
#include <vector>

#include "dispatch/dispatch.h"
#include "guarded_buffer.h"
#include "harness.h"

namespace edgedeploy_tests {

struct ImageShape {
  int32_t src_width, src_height, dst_width, dst_height;
};

inline std::vector<ImageShape> preprocess_shapes() {
  std::vector<ImageShape> all;
  for (int32_t side = 1; side <= 10; ++side) {
    all.push_back({side, side, side, side});
    all.push_back({side, 11 - side, 9, 7});
    all.push_back({13, 5, side, side});
    all.push_back({1, side, side, 1});
    all.push_back({side, 1, 17, side});
  }
  for (int32_t side : {15, 16, 17, 31, 32, 33, 63, 64, 65}) {
    all.push_back({side, side, side, side});
    all.push_back({side, 7, 32, 9});
    all.push_back({40, 9, side, 5});
    all.push_back({2 * side, 4, side, 2});
  }
  // A camera frame and a page to network inputs, a little smaller than life.
  for (const ImageShape& real :
       {ImageShape{160, 120, 56, 56}, ImageShape{384, 191, 192, 96}, ImageShape{127, 33, 320, 48}}) {
    all.push_back(real);
  }
  return all;
}

inline std::string text_of(const ImageShape& s) {
  return std::to_string(s.src_width) + "x" + std::to_string(s.src_height) + "to" + std::to_string(s.dst_width) + "x" +
         std::to_string(s.dst_height);
}

inline constexpr uint32_t kPreprocessSeeds = 18;  // three colour orders, three fillings, two ways to lay out

inline void fill_image(GuardedBuffer<uint8_t>* image, uint32_t seed) {
  std::mt19937 random = generator(seed);
  const uint32_t filling = seed / 3 % 3;
  for (size_t i = 0; i < image->size(); ++i) {
    const uint32_t value = random();
    (*image)[i] = static_cast<uint8_t>(filling == 0 ? value & 255u : (filling == 1 ? (value & 1u) * 255u : 255u));
  }
}

// Planes of one variant; rows and planes lie apart by a gap that must stay untouched.
template <typename Value>
struct Planes {
  size_t row, plane;
  GuardedBuffer<Value> values;

  Planes(const ImageShape& s, int32_t channels, size_t gap, Flush flush)
      : row(static_cast<size_t>(s.dst_width) + gap),
        plane(row * static_cast<size_t>(s.dst_height) + gap),
        values(plane * static_cast<size_t>(channels - 1) + row * static_cast<size_t>(s.dst_height) - gap, flush) {
    for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<Value>(-123);
  }
};

// Everything of the parameters but where the values go.
template <typename Value>
edgedeploy::PreprocessU8F32Params image_params(uint32_t seed, const ImageShape& s, const GuardedBuffer<uint8_t>& image,
                                               size_t src_stride, const Planes<Value>& out) {
  edgedeploy::PreprocessU8F32Params params{};
  const bool upside_down = seed % 2 == 1;
  const size_t last_row = src_stride * static_cast<size_t>(s.src_height - 1);
  params.src = image.data() + (upside_down ? last_row : 0);
  params.src_stride_bytes = static_cast<int64_t>(src_stride) * (upside_down ? -1 : 1);
  params.src_width = s.src_width;
  params.src_height = s.src_height;
  params.dst_row_stride_bytes = static_cast<int64_t>(out.row * sizeof(Value));
  params.dst_channel_stride_bytes = static_cast<int64_t>(out.plane * sizeof(Value));
  params.dst_width = s.dst_width;
  params.dst_height = s.dst_height;
  params.color = static_cast<int32_t>(seed % 3);
  const float mean[3] = {123.675f, 116.28f, -0.1f};
  const float scale[3] = {0.0171247538f, 1.0f / 3.0f, -7.5f};
  for (int c = 0; c < 3; ++c) {
    params.mean[c] = mean[c];
    params.scale[c] = scale[c];
  }
  return params;
}

// Runs the row and its reference on one image. run_row(id, row, shape, image, source stride, planes) fills the planes.
template <typename Value, typename RunRow>
bool check_image(const CaseId& id, const ImageShape& s, RunRow run_row) {
  const edgedeploy::KernelRow& reference = *edgedeploy::find_kernel(id.row->reference);
  const int32_t channels = edgedeploy::preprocess_u8f32_channels(static_cast<int32_t>(id.seed % 3));
  const Flush flush = id.seed % 4 == 1 ? Flush::kStart : Flush::kEnd;
  const size_t gap = id.seed / 9 * 3;
  const size_t src_stride = static_cast<size_t>(s.src_width) * 3 + gap;
  GuardedBuffer<uint8_t> image(src_stride * static_cast<size_t>(s.src_height) - gap, flush);
  fill_image(&image, id.seed);

  Planes<Value> got(s, channels, gap, flush);
  Planes<Value> expected(s, channels, gap, flush);
  if (!run_row(id, *id.row, s, image, src_stride, &got)) return false;
  if (!run_row(id, reference, s, image, src_stride, &expected)) return false;
  for (size_t i = 0; i < got.values.size(); ++i) {
    if (same_value(id.row->tolerance, got.values[i], expected.values[i])) continue;
    char text[160];
    std::snprintf(text, sizeof(text), "channel %zu, y %zu, x %zu is %.9g, the reference has %.9g", i / got.plane,
                  i % got.plane / got.row, i % got.plane % got.row, static_cast<double>(got.values[i]),
                  static_cast<double>(expected.values[i]));
    report_failure(id, text);
    return false;
  }
  return true;
}

template <typename Value, typename RunRow>
Outcome test_images(const edgedeploy::KernelRow& row, const Selection& selection, RunRow run_row) {
  Outcome outcome;
  for (const ImageShape& shape : preprocess_shapes()) {
    for (uint32_t seed = 0; seed < kPreprocessSeeds; ++seed) {
      const CaseId id{&row, text_of(shape), seed};
      if (!wanted(selection, id.shape, seed)) continue;
      ++outcome.cases;
      if (!check_image<Value>(id, shape, run_row)) ++outcome.failures;
    }
  }
  return outcome;
}

}  // namespace edgedeploy_tests

#endif  // EDGEDEPLOY_TESTS_PREPROCESS_CASES_H_
