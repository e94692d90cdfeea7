// Every gemm_s8 row against the reference: whole products with ragged tiles, and single tiles on exact buffers.
#include <cmath>
#include <cstdio>
#include <cstring>
#include <limits>
#include <vector>

#include "dispatch/dispatch.h"
#include "guarded_buffer.h"
#include "harness.h"

namespace edgedeploy_tests {
namespace {

using edgedeploy::GemmS8Epilogue;
using edgedeploy::GemmS8Params;
using edgedeploy::GemmS8TileParams;
using edgedeploy::KernelRow;

struct Shape {
  int32_t m, n, k;
};

std::vector<Shape> shapes() {
  std::vector<Shape> all;
  for (int32_t side = 1; side <= 10; ++side) {
    all.push_back({side, side, side});
    all.push_back({side, 11 - side, 16});
    all.push_back({9, side, 33});
  }
  for (int32_t k : {15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 128, 129, 255, 256, 257, 1023, 1024, 1025}) {
    all.push_back({8, 8, k});
    all.push_back({5, 7, k});
  }
  for (int32_t side : {15, 16, 17, 31, 32, 33, 63, 65}) all.push_back({side, side, side});
  // Pointwise layers of MobileNetV1 and V2 (pixels x outputs x inputs, few pixels), a stem as im2col, a classifier,
  // PP-OCR's neck.
  for (const Shape& real : {Shape{49, 32, 27}, Shape{25, 64, 32}, Shape{14, 128, 64}, Shape{7, 256, 256},
                            Shape{7, 96, 24}, Shape{7, 24, 144}, Shape{1, 10, 1024}, Shape{13, 96, 120}}) {
    all.push_back(real);
  }
  return all;
}

std::string text_of(const Shape& shape) {
  return std::to_string(shape.m) + "x" + std::to_string(shape.n) + "x" + std::to_string(shape.k);
}

struct Activation {
  int32_t id;
  float alpha, beta;
};

constexpr Activation kActivations[] = {
    {edgedeploy::kActivationNone, 0.0f, 0.0f},       {edgedeploy::kActivationRelu, 0.0f, 0.0f},
    {edgedeploy::kActivationLeakyRelu, 0.1f, 0.0f},  {edgedeploy::kActivationClip, 0.0f, 6.0f},
    {edgedeploy::kActivationClip, -1.5f, 2.5f},      {edgedeploy::kActivationHardSwish, 1.0f / 6.0f, 0.5f},
    {edgedeploy::kActivationHardSwish, -0.5f, 0.25f}};

// What the seed's low bits choose, so that every shape meets saturation, halves and special values.
enum Extreme : uint32_t { kPlain = 0, kSaturated = 1, kHalves = 2, kSpecial = 3, kMinimum = 4, kExtremes = 5 };

struct Problem {
  GuardedBuffer<int8_t> a, b;
  GuardedBuffer<float> scale, bias;
  GemmS8Epilogue epilogue{};

  Problem(int64_t m, int64_t n, int64_t k, uint32_t seed, int32_t output)
      : a(static_cast<size_t>(m * k)),
        b(static_cast<size_t>(n * k)),
        scale(static_cast<size_t>(n)),
        bias(static_cast<size_t>(n)) {
    std::mt19937 random = generator(seed);
    const uint32_t extreme = seed % kExtremes;
    std::uniform_int_distribution<int> byte(-128, 127);
    for (size_t i = 0; i < a.size(); ++i) {
      a[i] = static_cast<int8_t>(extreme == kMinimum ? -128 : byte(random));
      if (extreme == kSaturated) a[i] = a[i] < 0 ? -128 : 127;
    }
    const int sign = seed % 2 == 0 ? 1 : -1;
    for (size_t i = 0; i < b.size(); ++i) {
      const int value = byte(random);
      b[i] = static_cast<int8_t>(extreme == kMinimum ? sign * 127 : (value == -128 ? -127 : value));
    }
    std::uniform_real_distribution<float> real(-1.0f, 1.0f);
    for (size_t i = 0; i < scale.size(); ++i) {
      // Halves: scale 1/2 and whole biases make every second value fall between two integers.
      scale[i] = extreme == kHalves ? 0.5f : real(random) * (extreme == kSaturated ? 4.0f : 1e-3f);
      bias[i] = extreme == kHalves ? std::round(real(random) * 8.0f) : real(random) * 3.0f;
    }
    if (extreme == kSpecial) {
      const float inf = std::numeric_limits<float>::infinity();
      const float special[] = {inf, -inf, std::numeric_limits<float>::quiet_NaN(), 3e38f, -0.0f, 1e-42f};
      for (size_t i = 0; i < scale.size(); ++i) {
        if (i % 2 == 0) scale[i] = special[random() % 6];
        if (i % 3 == 0) bias[i] = special[random() % 6];
      }
    }
    const Activation& activation = kActivations[seed % (sizeof(kActivations) / sizeof(kActivations[0]))];
    edgedeploy::gemm_s8_set_activation(&epilogue, activation.id, activation.alpha, activation.beta);
    epilogue.output = output;
    epilogue.out_scale = extreme == kHalves ? 1.0f : 17.0f;
  }
};

// C of a row in `bytes`, packed with the row's tile, all of it behind guard pages.
struct Product {
  GuardedBuffer<int8_t> packed_a, packed_b;

  Product(const KernelRow& row, const Problem& problem, const Shape& s)
      : packed_a(edgedeploy::gemm_s8_packed_bytes(s.m, s.k, row.tile_m, row.k_unit)),
        packed_b(edgedeploy::gemm_s8_packed_bytes(s.n, s.k, row.tile_n, row.k_unit)) {
    row.pack(problem.a.data(), s.k, s.m, s.k, row.tile_m, row.k_unit, packed_a.data());
    row.pack(problem.b.data(), s.k, s.n, s.k, row.tile_n, row.k_unit, packed_b.data());
  }

  GemmS8Params params(const Problem& problem, const Shape& s, void* c, bool columns_first, bool with_bias) const {
    const int64_t value_bytes = problem.epilogue.output == edgedeploy::kGemmOutputF32 ? 4 : 1;
    GemmS8Params p{};
    p.m_end = s.m;
    p.n_end = s.n;
    p.k = s.k;
    p.packed_a = packed_a.data();
    p.packed_b = packed_b.data();
    p.scale = problem.scale.data();
    p.bias = with_bias ? problem.bias.data() : nullptr;
    p.c = c;
    p.c_row_stride_bytes = columns_first ? value_bytes : s.n * value_bytes;
    p.c_col_stride_bytes = columns_first ? s.m * value_bytes : value_bytes;
    p.epilogue = problem.epilogue;
    return p;
  }
};

float value_at(const void* c, int32_t output, size_t index) {
  if (output == edgedeploy::kGemmOutputF32) {
    float value;
    std::memcpy(&value, static_cast<const char*>(c) + index * sizeof(float), sizeof(float));
    return value;
  }
  return static_cast<float>(static_cast<const int8_t*>(c)[index]);
}

bool same_outputs(const CaseId& id, int32_t output, const void* got, const void* expected, size_t count) {
  for (size_t i = 0; i < count; ++i) {
    const float left = value_at(got, output, i);
    const float right = value_at(expected, output, i);
    if (same_value(id.row->tolerance, left, right)) continue;
    char text[128];
    std::snprintf(text, sizeof(text), "value %zu of %zu is %.9g, the reference has %.9g", i, count,
                  static_cast<double>(left), static_cast<double>(right));
    report_failure(id, text);
    return false;
  }
  return true;
}

size_t value_bytes_of(int32_t output) { return output == edgedeploy::kGemmOutputF32 ? sizeof(float) : 1; }

bool check_product(const CaseId& id, const Shape& shape, int32_t output) {
  const KernelRow& reference = *edgedeploy::find_kernel(id.row->reference);
  const Problem problem(shape.m, shape.n, shape.k, id.seed, output);
  const bool columns_first = id.seed % 4 == 3;
  const bool with_bias = id.seed % 8 != 6;
  const size_t count = static_cast<size_t>(shape.m) * static_cast<size_t>(shape.n);
  GuardedBuffer<char> got(count * value_bytes_of(output));
  GuardedBuffer<char> expected(count * value_bytes_of(output));

  const Product tiles(*id.row, problem, shape);
  GemmS8Params params = tiles.params(problem, shape, got.data(), columns_first, with_bias);
  // In two halves that meet on a tile's edge, as threads would share it.
  const int32_t middle = shape.m / 2 / id.row->tile_m * id.row->tile_m;
  params.m_end = middle;
  edgedeploy::gemm_s8_run(*id.row, params);
  params.m_begin = middle;
  params.m_end = shape.m;
  edgedeploy::gemm_s8_run(*id.row, params);

  const Product plain(reference, problem, shape);
  edgedeploy::gemm_s8_run(reference, plain.params(problem, shape, expected.data(), columns_first, with_bias));
  return same_outputs(id, output, got.data(), expected.data(), count);
}

// One tile straight through the kernel: exact buffers, any stride of C, registers checked.
bool check_tile(const CaseId& id, int64_t k_units, int32_t output) {
  const KernelRow& row = *id.row;
  const Shape shape{row.tile_m, row.tile_n, static_cast<int32_t>(k_units * row.k_unit)};
  const Problem problem(shape.m, shape.n, shape.k, id.seed, output);
  const Product tile(row, problem, shape);
  const size_t value_bytes = value_bytes_of(output);
  const size_t gap = value_bytes * (id.seed % 3);
  const size_t stride = static_cast<size_t>(shape.n) * value_bytes + gap;
  GuardedBuffer<char> c(stride * static_cast<size_t>(shape.m) - gap);
  std::memset(c.data(), 0x5a, c.size());

  GemmS8TileParams params{};
  params.a = tile.packed_a.data();
  params.b = tile.packed_b.data();
  params.k_units = k_units;
  params.scale = problem.scale.data();
  params.bias = problem.bias.data();
  params.c = c.data();
  params.c_stride_bytes = static_cast<int64_t>(stride);
  params.epilogue = problem.epilogue;
  if (!call_kernel(id, row.gemm, params)) return false;

  const KernelRow& reference = *edgedeploy::find_kernel(row.reference);
  const Product plain(reference, problem, shape);
  const size_t count = static_cast<size_t>(shape.m * shape.n);
  std::vector<char> expected(count * value_bytes);
  edgedeploy::gemm_s8_run(reference, plain.params(problem, shape, expected.data(), false, true));
  std::vector<char> got(count * value_bytes);
  for (size_t m = 0; m < static_cast<size_t>(shape.m); ++m) {
    const size_t row_bytes = static_cast<size_t>(shape.n) * value_bytes;
    std::memcpy(got.data() + m * row_bytes, c.data() + m * stride, row_bytes);
    for (size_t i = row_bytes; i < stride && m * stride + i < c.size(); ++i) {
      if (c[m * stride + i] == 0x5a) continue;
      report_failure(id, "a byte between two rows of C was written");
      return false;
    }
  }
  return same_outputs(id, output, got.data(), expected.data(), count);
}

}  // namespace

Outcome test_gemm(const KernelRow& row, const Selection& selection) {
  Outcome outcome;
  uint32_t first_seed = 0;
  for (const Shape& shape : shapes()) {
    const int64_t work = static_cast<int64_t>(shape.m) * shape.n * shape.k;
    const uint32_t seeds = work < 20000 ? 35 : 7;  // 35: every extreme with every activation
    for (uint32_t seed = first_seed; seed < first_seed + seeds; ++seed) {
      const CaseId id{&row, text_of(shape), seed};
      if (!wanted(selection, id.shape, seed)) continue;
      ++outcome.cases;
      const int32_t output = seed % 3 == 0 ? edgedeploy::kGemmOutputF32 : edgedeploy::kGemmOutputS8;
      if (!check_product(id, shape, output)) ++outcome.failures;
    }
    first_seed = (first_seed + 7) % 210;
  }
  return outcome;
}

Outcome test_gemm_tile(const KernelRow& row, const Selection& selection) {
  Outcome outcome;
  for (int64_t k_units : {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 15, 16, 17, 63, 64, 65, 288}) {
    for (uint32_t seed = 0; seed < 70; ++seed) {
      const CaseId id{&row, "tile" + std::to_string(k_units), seed};
      if (!wanted(selection, id.shape, seed)) continue;
      ++outcome.cases;
      const int32_t output = seed < 35 ? edgedeploy::kGemmOutputS8 : edgedeploy::kGemmOutputF32;
      if (!check_tile(id, k_units, output)) ++outcome.failures;
    }
  }
  return outcome;
}

}  // namespace edgedeploy_tests
