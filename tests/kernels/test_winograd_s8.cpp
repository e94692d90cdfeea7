// Every winograd_s8 row against the reference, sum by sum, on exact buffers.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <limits>
#include <vector>

#include "dispatch/dispatch.h"
#include "gate_cases.h"
#include "guarded_buffer.h"
#include "harness.h"

namespace edgedeploy_tests {
namespace {

using edgedeploy::KernelRow;
using edgedeploy::kWinogradS8Block;
using edgedeploy::kWinogradS8MaxTiles;
using edgedeploy::SumsEpilogue;
using edgedeploy::WinogradS8Params;
using edgedeploy::WinogradS8Variant;

struct Shape {
  int64_t width, height, groups;
};

// All ways that tiles end, alone and beside whole ones; sizes of real layers; sums near 2^25, and beyond in two parts.
std::vector<Shape> shapes() {
  std::vector<Shape> all;
  for (int64_t height = 1; height <= 9; ++height) {
    for (int64_t width = 1; width <= 9; ++width) all.push_back({width, height, 1 + (height + width) % 3});
  }
  for (const int64_t side : {10, 11, 12, 13, 14, 15, 16, 17, 28}) all.push_back({side, 40 / side, 1 + side % 2});
  for (const int64_t groups : {4, 8, 9, 16, 28, 29, 56}) all.push_back({7, 5, groups});
  return all;
}

std::string text_of(const Shape& s) {
  return std::to_string(s.width) + "x" + std::to_string(s.height) + "x" + std::to_string(s.groups);
}

struct Limits {
  int32_t low_code, high_code;
  float low_value, high_value;
};
constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr Limits kLimits[] = {{-127, 127, -kInfinity, kInfinity},
                              {0, 127, 0.0f, kInfinity},
                              {0, 90, 0.0f, 6.0f},
                              {-128, 127, -3e38f, 3e38f},
                              {-5, 3, -1.5f, 2.5f}};

enum Kind : uint32_t { kPlain, kMinimum, kSaturated, kKinds };
constexpr uint32_t kOutputs = 3;
constexpr uint32_t kSeeds = kKinds * kOutputs * 2;  // every second gated

struct Problem {
  Shape shape;
  WinogradS8Params params{};
  int64_t channels;
  GuardedBuffer<int8_t> map;
  std::vector<int8_t> weights;
  GuardedBuffer<float> scale, offset;
  GuardedBuffer<int32_t> start;

  Problem(const Shape& s, uint32_t seed, std::mt19937 random)
      : shape(s),
        channels(8 * (1 + static_cast<int64_t>(random() % 5))),
        map(map_bytes(seed), seed % 4 == 1 ? Flush::kStart : Flush::kEnd),
        weights(static_cast<size_t>(channels * s.groups * 8 * 9)),
        scale(static_cast<size_t>(channels)),
        offset(scale.size()),
        start(scale.size()) {
    const auto below = [&random](int64_t count) { return static_cast<int64_t>(random()) % count; };
    params.a = map.data();
    params.a_width = s.width + 2 - padding(seed);
    params.a_height = s.height + 2 - padding(seed / 2);
    params.a_stride_bytes = stride(seed);
    params.groups = s.groups;
    params.parts = s.groups > 28 || (s.groups > 1 && seed % 7 == 0) ? 2 : 1;
    params.pad_left = std::min<int64_t>(padding(seed), 1 + static_cast<int64_t>(seed % 2));
    params.pad_top = std::min<int64_t>(padding(seed / 2), 1);
    params.pad_code = below(3) == 0 ? below(256) - 128 : 0;
    params.channels = channels;
    params.c_width = s.width;
    params.c_height = s.height;
    const int64_t tiles = (s.width + 3) / 4 * ((s.height + 3) / 4);
    params.first_tile = seed % 3 == 0 ? below(tiles) : 0;
    params.tiles = std::min(tiles - params.first_tile, kWinogradS8MaxTiles);
    if (seed % 5 == 0) params.tiles = 1 + below(params.tiles);
    const int64_t blocks = (channels + kWinogradS8Block - 1) / kWinogradS8Block;
    params.first_block = seed % 3 == 1 ? below(blocks) : 0;
    params.blocks = blocks - params.first_block;
    const bool gated = seed / (kKinds * kOutputs) % 2 == 1;
    fill(static_cast<Kind>(seed % kKinds), seed / kKinds % kOutputs, gated, &random);
    const Limits& limits = kLimits[random() % (sizeof(kLimits) / sizeof(kLimits[0]))];
    params.epilogue.low_code = limits.low_code;
    params.epilogue.high_code = limits.high_code;
    params.epilogue.low_value = limits.low_value;
    params.epilogue.high_value = limits.high_value;
    if (gated) set_gate(random(), &params.epilogue);
    params.scale = scale.data();
    params.offset = offset.data();
    params.start = start.data();
  }

  // Pixels of padding on both sides together, as far as something is left of the map.
  int64_t padding(uint32_t seed) const { return std::min<int64_t>({int64_t{seed % 3}, shape.width, shape.height}); }
  int64_t stride(uint32_t seed) const {
    const int64_t pixels = (shape.width + 2 - padding(seed)) * (shape.height + 2 - padding(seed / 2));
    return (pixels + seed % 3) * 8;
  }
  size_t map_bytes(uint32_t seed) const {
    const int64_t pixels = (shape.width + 2 - padding(seed)) * (shape.height + 2 - padding(seed / 2));
    return static_cast<size_t>(stride(seed) * (shape.groups - 1) + pixels * 8);
  }

  void fill(Kind kind, uint32_t output, bool gated, std::mt19937* random) {
    std::uniform_int_distribution<int> byte(-128, 127);
    for (size_t i = 0; i < map.size(); ++i) {
      const int value = byte(*random);
      map[i] = static_cast<int8_t>(kind == kMinimum ? -128 : kind == kSaturated ? (value < 0 ? -128 : 127) : value);
    }
    const int sign = (*random)() % 2 == 0 ? 127 : -127;
    for (int8_t& weight : weights) {
      const int value = std::max(byte(*random), -127);
      weight = static_cast<int8_t>(kind == kMinimum ? sign : kind == kSaturated ? (value < 0 ? -127 : 127) : value);
    }
    // Folded sums must stay floats that step by one: 2^22 is three groups of the largest products.
    const edgedeploy::SumsOutput outputs[] = {edgedeploy::kSumsToS8, edgedeploy::kSumsToF32,
                                              edgedeploy::kSumsToS8Folded};
    params.epilogue.output = outputs[output == 2 && shape.groups > 3 ? 0 : output];
    std::uniform_real_distribution<float> real(-1.0f, 1.0f);
    for (size_t n = 0; n < scale.size(); ++n) {
      // Small enough that a sum's last bit shows in the codes' steps and in the floats.
      scale[n] = real(*random) * (kind == kMinimum ? 4e-6f : 1e-3f);
      offset[n] = real(*random) * 20.0f;
      if (params.epilogue.output != edgedeploy::kSumsToS8Folded) continue;
      start[n] = 0x4b400000 + static_cast<int32_t>((*random)() % 8192) - 4096;
      offset[n] = 12582912.0f - std::nearbyint(12582912.0f * scale[n]) + static_cast<float>((*random)() % 200) - 100.0f;
      if (gated) offset[n] = real(*random) * 100.0f - 12582912.0f * scale[n];
    }
  }
};

// C of a problem, with what a stray write would change between its planes.
struct Output {
  int64_t pixel_bytes, stride;
  GuardedBuffer<char> c;

  Output(const Problem& p, uint32_t seed)
      : pixel_bytes(p.params.epilogue.output == edgedeploy::kSumsToF32 ? 16 : 8),
        stride((p.shape.width * p.shape.height + seed % 3) * pixel_bytes),
        c(static_cast<size_t>(stride * (planes(p) - 1) + p.shape.width * p.shape.height * pixel_bytes)) {
    std::memset(c.data(), 0x5a, c.size());
  }

  int64_t planes(const Problem& p) const { return pixel_bytes == 16 ? p.channels / 4 : p.channels / 8; }

  bool compute(const CaseId& id, const WinogradS8Variant& variant, const Problem& p) {
    GuardedBuffer<char> packed(variant.packed_bytes(p.channels, p.shape.groups));
    variant.pack(p.weights.data(), p.channels, p.shape.groups, packed.data());
    GuardedBuffer<char> scratch(variant.scratch_bytes(p.shape.groups));
    WinogradS8Params params = p.params;
    params.b = packed.data();
    params.c = c.data();
    params.c_stride_bytes = stride;
    params.scratch = scratch.data();
    return call_kernel(id, variant.run, params);
  }
};

bool check(const CaseId& id, const Shape& shape) {
  const Problem problem(shape, id.seed, generator(id.seed * 89 + static_cast<uint32_t>(shape.width * shape.height)));
  Output got(problem, id.seed);
  Output expected(problem, id.seed);
  if (!got.compute(id, *id.row->winograd, problem)) return false;
  if (!expected.compute(id, *edgedeploy::find_kernel(id.row->reference)->winograd, problem)) return false;
  for (size_t i = 0; i < got.c.size(); ++i) {
    if (got.c[i] == expected.c[i]) continue;
    char text[128];
    std::snprintf(text, sizeof(text), "byte %zu of %zu is %d, the reference has %d", i, got.c.size(), got.c[i],
                  expected.c[i]);
    report_failure(id, text);
    return false;
  }
  return true;
}

}  // namespace

Outcome test_winograd_s8(const KernelRow& row, const Selection& selection) {
  Outcome outcome;
  uint32_t first_seed = 0;
  for (const Shape& shape : shapes()) {
    for (uint32_t seed = first_seed; seed < first_seed + kSeeds; ++seed) {
      const CaseId id{&row, text_of(shape), seed};
      if (!wanted(selection, id.shape, seed)) continue;
      ++outcome.cases;
      if (!check(id, shape)) ++outcome.failures;
    }
    first_seed += kSeeds;
  }
  return outcome;
}

}  // namespace edgedeploy_tests
