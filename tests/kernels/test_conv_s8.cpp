// Every conv_s8 row against the reference: stretches of pixels on exact buffers.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "dispatch/dispatch.h"
#include "gate_cases.h"
#include "guarded_buffer.h"
#include "harness.h"

namespace edgedeploy_tests {
namespace {

using edgedeploy::ConvS8Params;
using edgedeploy::KernelRow;
using edgedeploy::SumsEpilogue;

struct Shape {
  int64_t rows, taps, groups;
};

// Pixels, taps, groups of 8 channels.
std::vector<Shape> shapes(int64_t tile_m) {
  std::vector<Shape> all;
  for (int64_t rows = 1; rows <= tile_m; ++rows) {
    for (int64_t taps : {1, 2, 3, 4, 5, 9, 25}) {
      for (int64_t groups = 1; groups <= 17; ++groups) all.push_back({rows, taps, groups});
    }
    // Around the longest sum that fits into 22 bits, and the longest of all.
    for (const Shape& edge : {Shape{rows, 1, 31}, Shape{rows, 1, 32}, Shape{rows, 1, 33}, Shape{rows, 32, 1},
                              Shape{rows, 33, 1}, Shape{rows, 9, 64}, Shape{rows, 1, 128}}) {
      all.push_back(edge);
    }
  }
  // Several tiles, the last one whole or not.
  for (int64_t rows = tile_m + 1; rows <= 3 * tile_m + 1; ++rows) {
    for (int64_t taps : {1, 3, 9}) {
      for (int64_t groups : {1, 2, 4, 5, 33}) all.push_back({rows, taps, groups});
    }
  }
  all.push_back({tile_m, 1, edgedeploy::kConvS8MaxK / 8});
  all.push_back({tile_m, 9, edgedeploy::kConvS8MaxK / 72});
  return all;
}

std::string text_of(const Shape& s) {
  return std::to_string(s.rows) + "x" + std::to_string(s.taps) + "x" + std::to_string(s.groups);
}

constexpr float kInfinity = std::numeric_limits<float>::infinity();

struct Limits {
  int32_t low_code, high_code;
  float low_value, high_value;
};

constexpr Limits kLimits[] = {{-128, 127, -kInfinity, kInfinity}, {0, 127, 0.0f, kInfinity},  {0, 57, 0.0f, 6.0f},
                              {-127, 127, -kInfinity, -3.0f},     {-128, -128, 12.5f, 12.5f}, {-5, 3, -1.5f, 2.5f},
                              {127, 127, -3e38f, 3e38f}};

// What the seed chooses, so that shapes meet every kind with all limits and both outputs. kSteps: results around the
// steps between two codes, and just below zero. kHuge: beyond int32 and beyond float.
enum Kind : uint32_t { kPlain, kSaturated, kHalves, kMinimum, kSteps, kHuge, kKinds };
constexpr uint32_t kLimitsCount = sizeof(kLimits) / sizeof(kLimits[0]);
constexpr edgedeploy::SumsOutput kOutputs[] = {
    edgedeploy::kSumsToS8,        edgedeploy::kSumsToF32,        edgedeploy::kSumsToS8Folded,    edgedeploy::kSumsToF16,
    edgedeploy::kSumsToF16Folded, edgedeploy::kSumsToF16Shifted, edgedeploy::kSumsToF16Rectified};
constexpr uint32_t kOutputCount = sizeof(kOutputs) / sizeof(kOutputs[0]);
constexpr uint32_t kOutputSeeds = kKinds * kLimitsCount;
constexpr uint32_t kSeeds =
    2 * kOutputCount * kOutputSeeds;  // The second half is gated, values beyond float by curves.

bool is_f16(int32_t output) {
  return output == edgedeploy::kSumsToF16 || output == edgedeploy::kSumsToF16Folded ||
         output == edgedeploy::kSumsToF16Shifted || output == edgedeploy::kSumsToF16Rectified;
}

float pick(std::mt19937* random, std::initializer_list<float> values) {
  return values.begin()[(*random)() % values.size()];
}

// The tile's pixels in a feature map of a few pixels, some of them padding; the weights in ncnn's order.
struct Problem {
  Shape shape;
  int64_t channels, k, block;  // of the weights; the block of 8 channels that is computed
  size_t stride;               // from a plane to the next
  GuardedBuffer<int8_t> map, pad;
  GuardedBuffer<float> scale{8}, offset{8};
  GuardedBuffer<int32_t> start{8};
  std::vector<int8_t> weights;
  std::vector<const int8_t*> pixels;  // [taps][rows]
  SumsEpilogue epilogue{};

  Problem(const Shape& s, uint32_t seed, std::mt19937 random, const KernelRow& row)
      : shape(s),
        channels(1 + random() % 20),
        k(s.groups * 8 - random() % 8),
        block((channels - 1) / 8),
        stride((1 + random() % 11) * 8 + seed % 3),
        map(plane_bytes() + stride * static_cast<size_t>(s.groups - 1), seed % 4 == 1 ? Flush::kStart : Flush::kEnd),
        pad(8 + stride * static_cast<size_t>(s.groups - 1)),
        weights(static_cast<size_t>(channels * k * s.taps)) {
    const uint32_t kind = seed % kKinds;
    fill(kind, &random);
    const Limits& limits = kLimits[seed / kKinds % kLimitsCount];
    epilogue.output = kOutputs[seed / kOutputSeeds % kOutputCount];
    const bool gated = seed / kOutputSeeds >= kOutputCount;
    // Folded sums must stay floats that step by one: 2^22 is 32 steps of eight products at their largest.
    if (gated && is_f16(epilogue.output)) epilogue.output = edgedeploy::kSumsToF16;
    const bool fits_floats = s.taps * s.groups <= 31;
    const bool fits_bits = fits_floats || (!gated && s.taps * s.groups < 4096);
    if (epilogue.output == edgedeploy::kSumsToS8Folded && !fits_bits) epilogue.output = edgedeploy::kSumsToS8;
    if (epilogue.output == edgedeploy::kSumsToF16Folded && !fits_floats) epilogue.output = edgedeploy::kSumsToF16;
    const bool fits_shifted = s.taps * s.groups <= 8 * 31 && row.conv_all_f16;
    if (epilogue.output == edgedeploy::kSumsToF16Shifted && !fits_shifted) epilogue.output = edgedeploy::kSumsToF16;
    const bool fits_rectified = fits_floats && row.conv_all_f16;
    if (epilogue.output == edgedeploy::kSumsToF16Rectified && !fits_rectified) epilogue.output = edgedeploy::kSumsToF16;
    if (is_f16(epilogue.output) && !row.conv_to_f16) epilogue.output = edgedeploy::kSumsToF32;
    if (epilogue.output == edgedeploy::kSumsToS8Folded) fold(gated, &random);
    if (epilogue.output == edgedeploy::kSumsToS8Folded && !fits_floats) fold_far(&random);
    if (epilogue.output == edgedeploy::kSumsToF16Folded) fold_halves(&random);
    if (epilogue.output == edgedeploy::kSumsToF16Shifted) shift(&random);
    if (epilogue.output == edgedeploy::kSumsToF16Rectified) rectify(&random);
    epilogue.short_sums = seed % 2 == 0 && sums_are_short() ? 1 : 0;
    epilogue.low_code = limits.low_code;
    epilogue.high_code = limits.high_code;
    epilogue.low_value = limits.low_value;
    epilogue.high_value = limits.high_value;
    if (gated) (kind == kHuge ? set_curve : set_gate)(static_cast<uint32_t>(random()), &epilogue);
    // Any byte of a plane may be a pixel's first; one in four is padding, all of it at the same bytes. Of some seeds,
    // most pixels lie in pairs side by side.
    const bool in_pairs = seed / 2 % 3 == 1;
    size_t first = 0;
    for (int64_t i = 0; i < s.taps * s.rows; ++i) {
      const bool follows = in_pairs && i % s.rows % 2 == 1 && random() % 16 != 0 && first + 16 <= plane_bytes();
      if (follows) {
        first += 8;
      } else {
        first = seed % 2 == 0 ? random() % (plane_bytes() / 8) * 8 : random() % (plane_bytes() - 7);
      }
      const bool is_padding = !follows && random() % (in_pairs ? 64 : 4) == 0;
      pixels.push_back(is_padding ? pad.data() : map.data() + first);
    }
  }

  // Starts and offsets as an operator makes them: results within 2^15 of 1.5 * 2^23, on both sides of every limit; of
  // zero where a gate follows.
  void fold(bool gated, std::mt19937* random) {
    constexpr int32_t kStartBits = 0x4b400000;
    std::uniform_real_distribution<float> real(-1.0f, 1.0f);
    for (size_t n = 0; n < 8; ++n) {
      start[n] = kStartBits + static_cast<int32_t>((*random)() % 8192) - 4096;
      scale[n] =
          pick(random, {0.0f, 0x1p-10f, -0x1p-10f, 0x1p-13f, 1e-3f, 1e-5f}) * (n % 2 == 0 ? 1.0f : real(*random));
      offset[n] = 12582912.0f - std::nearbyint(12582912.0f * scale[n]) + static_cast<float>((*random)() % 200) - 100.0f;
      if (gated) offset[n] = real(*random) * 100.0f - 12582912.0f * scale[n];
    }
  }

  // Of sums that leave the floats that step by one, but not the codes that travel in 16 bits.
  void fold_far(std::mt19937* random) {
    const int32_t farthest = 0x4b400000 + 4096 + static_cast<int32_t>(shape.taps * shape.groups) * 8 * 128 * 127;
    float value;
    std::memcpy(&value, &farthest, sizeof(value));
    std::uniform_real_distribution<float> real(-1.0f, 1.0f);
    for (size_t n = 0; n < 8; ++n) {
      scale[n] = 30000.0f / std::max(value - 12582912.0f, 12582912.0f) * real(*random);
      offset[n] = 12582912.0f - std::nearbyint(12582912.0f * scale[n]) + static_cast<float>((*random)() % 200) - 100.0f;
    }
  }

  // The same for halves: any offset is one, and some leave what is small beside 1.5 * 2^23 times the scale.
  void fold_halves(std::mt19937* random) {
    fold(false, random);
    for (size_t n = 0; n < 8; ++n) {
      if ((*random)() % 2 == 0) offset[n] = -12582912.0f * scale[n] + pick(random, {0.0f, 1e-3f, -7.0f, 300.0f});
    }
  }

  void shift(std::mt19937* random) {
    fold_halves(random);
    for (size_t n = 0; n < 8; ++n) start[n] = static_cast<int32_t>((*random)() % 8192) - 4096;
  }

  // Halves as small as a half can be, and some that are beyond.
  void rectify(std::mt19937* random) {
    fold_halves(random);
    for (size_t n = 0; n < 8; ++n) {
      const float factor = pick(random, {1.0f, 0x1p-20f, 0x1p8f});
      scale[n] *= factor;
      start[n] -= edgedeploy::kHalfExponentShift << 23;
      offset[n] = std::ldexp(offset[n] * factor, -edgedeploy::kHalfExponentShift);
    }
  }

  // Whatever A is.
  bool sums_are_short() const {
    for (int64_t channel = 0; channel < channels; ++channel) {
      int64_t magnitude = 0;
      for (int64_t i = 0; i < k * shape.taps; ++i) {
        magnitude += std::abs(weights[static_cast<size_t>(channel * k * shape.taps + i)]);
      }
      if (magnitude * 128 >= 1 << 22) return false;
    }
    return true;
  }

  size_t plane_bytes() const { return stride / 8 * 8; }

  void fill(uint32_t kind, std::mt19937* random) {
    std::uniform_int_distribution<int> byte(-128, 127);
    for (GuardedBuffer<int8_t>* a : {&map, &pad}) {
      for (size_t i = 0; i < a->size(); ++i) {
        const int value = byte(*random);
        (*a)[i] = static_cast<int8_t>(kind == kMinimum ? -128 : value);
        if (kind == kSaturated) (*a)[i] = value < 0 ? -128 : 127;
      }
    }
    const int sign = (*random)() % 2 == 0 ? 127 : -127;
    for (int8_t& weight : weights) {
      const int value = byte(*random);
      weight = static_cast<int8_t>(kind == kMinimum ? sign : (value == -128 ? -127 : value));
      if (kind == kSaturated) weight = value < 0 ? -127 : 127;
    }
    std::uniform_real_distribution<float> real(-1.0f, 1.0f);
    for (size_t n = 0; n < 8; ++n) {
      scale[n] = real(*random) * 1e-3f;
      offset[n] = real(*random) * 20.0f;
      if (kind == kSaturated) scale[n] *= 1e3f;
      if (kind == kMinimum) scale[n] *= 1e-2f;
      if (kind == kHalves) {
        scale[n] = pick(random, {0.5f, -0.5f, 0x1p-7f, 0x1p-10f});
        offset[n] = pick(random, {0.5f, 0.0f, -0.5f, 3.0f, -100.5f});
      }
      if (kind == kSteps) {
        scale[n] = pick(random, {0.0f, 0x1p-24f, -0x1p-24f, 0x1p-40f, 1e-45f});
        offset[n] = pick(random, {0.0f, -0x1p-24f, -0x1p-25f, -1e-45f, 0x1.fffffep-1f, -0x1.000002p0f, 127.99999f});
      }
      if (kind == kHuge) {
        scale[n] = pick(random, {3e38f, -3e38f, 0x1p24f, -0x1p7f, 1e30f});
        offset[n] = pick(random, {3e38f, -3e38f, 1e9f, 0.5f});
      }
    }
  }
};

// A row's run: its own packed weights and pointers, C with what a stray write would change around it.
struct Run {
  size_t value_bytes, quad_bytes, quad_stride;
  GuardedBuffer<char> c;

  Run(const Problem& p, uint32_t seed)
      : value_bytes(bytes_of(p.epilogue.output)),
        quad_bytes(static_cast<size_t>(p.shape.rows) * 4 * value_bytes),
        quad_stride(value_bytes != sizeof(float) ? quad_bytes : quad_bytes + seed % 3 * sizeof(float)),
        c(quad_stride + quad_bytes) {
    std::memset(c.data(), 0x5a, c.size());
  }

  bool call(const CaseId& id, const KernelRow& row, const Problem& p) {
    const Shape& s = p.shape;
    const int64_t block_bytes = s.taps * s.groups * 64;
    std::vector<int8_t> packed(edgedeploy::conv_s8_packed_bytes(p.channels, p.k, s.taps));
    row.conv_pack(p.weights.data(), p.channels, p.k, s.taps, packed.data());
    GuardedBuffer<int8_t> b(static_cast<size_t>(block_bytes));
    std::memcpy(b.data(), packed.data() + p.block * block_bytes, b.size());

    // Behind the last tap's pixels there is nothing; elsewhere an address that nobody may follow.
    const int64_t tiles = (s.rows + row.tile_m - 1) / row.tile_m;
    const int64_t last = s.rows - (tiles - 1) * row.tile_m;
    GuardedBuffer<const int8_t*> a(static_cast<size_t>((tiles * s.taps - 1) * row.tile_m + last));
    for (size_t i = 0; i < a.size(); ++i) a[i] = reinterpret_cast<const int8_t*>(uintptr_t{8});
    for (int64_t tap = 0; tap < s.taps; ++tap) {
      for (int64_t m = 0; m < s.rows; ++m) {
        const int64_t at = (m / row.tile_m * s.taps + tap) * row.tile_m + m % row.tile_m;
        a[static_cast<size_t>(at)] = p.pixels[static_cast<size_t>(tap * s.rows + m)];
      }
    }

    ConvS8Params params{};
    params.a = a.data();
    params.taps = s.taps;
    params.groups = s.groups;
    params.a_group_stride_bytes = static_cast<int64_t>(p.stride);
    params.b = b.data();
    params.pixels = s.rows;
    params.scale = p.scale.data();
    params.offset = p.offset.data();
    params.c = c.data();
    params.c_quad_stride_bytes = static_cast<int64_t>(quad_stride);
    params.epilogue = p.epilogue;
    params.start = p.start.data();
    params.half_step = s.taps == 1 && (p.k - 1) % 8 < 4 ? 1 : 0;
    return call_kernel(id, row.conv, params);
  }

  static size_t bytes_of(int32_t output) {
    if (output == edgedeploy::kSumsToF32) return sizeof(float);
    return is_f16(output) ? sizeof(uint16_t) : 1;
  }

  // A value, or the bits of a half.
  float value_at(size_t index) const {
    if (value_bytes == sizeof(uint16_t)) {
      uint16_t bits;
      std::memcpy(&bits, c.data() + index * sizeof(bits), sizeof(bits));
      return bits;
    }
    if (value_bytes == 1) return static_cast<float>(static_cast<int8_t>(c[index]));
    float value;
    const size_t per_quad = quad_bytes / sizeof(float);
    std::memcpy(&value, c.data() + index / per_quad * quad_stride + index % per_quad * sizeof(float), sizeof(float));
    return value;
  }
};

bool check(const CaseId& id, const Shape& shape) {
  const Problem problem(shape, id.seed, generator(id.seed * 97 + static_cast<uint32_t>(shape.groups * shape.taps)),
                        *id.row);
  Run got(problem, id.seed);
  Run expected(problem, id.seed);
  if (!got.call(id, *id.row, problem)) return false;
  if (!expected.call(id, *edgedeploy::find_kernel(id.row->reference), problem)) return false;
  const size_t count = static_cast<size_t>(shape.rows) * 8;
  for (size_t i = 0; i < count; ++i) {
    if (same_value(id.row->tolerance, got.value_at(i), expected.value_at(i))) continue;
    char text[128];
    std::snprintf(text, sizeof(text), "value %zu of %zu is %.9g, the reference has %.9g", i, count,
                  static_cast<double>(got.value_at(i)), static_cast<double>(expected.value_at(i)));
    report_failure(id, text);
    return false;
  }
  if (std::memcmp(got.c.data(), expected.c.data(), got.c.size()) == 0) return true;
  report_failure(id, "a byte between the channels of C was written");
  return false;
}

}  // namespace

Outcome test_conv_s8(const KernelRow& row, const Selection& selection) {
  Outcome outcome;
  uint32_t first_seed = 0;
  for (const Shape& shape : shapes(row.tile_m)) {
    const uint32_t seeds = shape.taps * shape.groups <= 32 ? uint32_t{kKinds} : 2;
    for (uint32_t i = 0; i < seeds; ++i) {
      const uint32_t seed = (first_seed + i) % kSeeds;
      const CaseId id{&row, text_of(shape), seed};
      if (!wanted(selection, id.shape, seed)) continue;
      ++outcome.cases;
      if (!check(id, shape)) ++outcome.failures;
    }
    first_seed += 11;
  }
  return outcome;
}

}  // namespace edgedeploy_tests
