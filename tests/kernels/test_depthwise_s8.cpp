// Every depthwise_s8 row against the reference, from rows and weights as they come to outputs, on exact buffers.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <limits>
#include <memory>
#include <vector>

#include "dispatch/dispatch.h"
#include "gate_cases.h"
#include "guarded_buffer.h"
#include "harness.h"

namespace edgedeploy_tests {
namespace {

using edgedeploy::DepthwiseS8Params;
using edgedeploy::DepthwiseS8RowParams;
using edgedeploy::DepthwiseS8Variant;
using edgedeploy::KernelRow;
using edgedeploy::SumsEpilogue;

constexpr int64_t kChannels = 8;
constexpr uint32_t kSeeds = 72;
constexpr char kUntouched = 0x5a;

constexpr int64_t kOutputs[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 28, 56, 112};

constexpr float kInf = std::numeric_limits<float>::infinity();

struct ValueRange {
  float low, high;
};
constexpr ValueRange kValueRanges[] = {{-kInf, kInf}, {0.0f, kInf}, {0.0f, 6.0f}, {-1.5f, 2.5f}, {-3e38f, 3e38f}};

struct CodeRange {
  int32_t low, high;
};
constexpr CodeRange kCodeRanges[] = {{-128, 127}, {-127, 127}, {0, 127}, {0, 6}, {-5, -5}, {-128, -100}, {-1, 0}};

// What the seed chooses, so that every count of outputs meets saturation, halves and the smallest values.
enum Extreme : uint32_t { kPlain, kSaturated, kHalves, kTiny, kMinimum, kSpecial, kExtremes };

template <typename Value, size_t count>
const Value& choice(const Value (&values)[count], uint32_t index) {
  return values[index % count];
}

// Input rows that are prepared together; null: a row of padding.
struct RowRun {
  std::unique_ptr<GuardedBuffer<int8_t>> bytes;
  int64_t count;
};

// Rows of outputs with all their inputs: what a variant and its reference both get.
struct Problem {
  int64_t row_count = 1;  // of outputs
  std::vector<RowRun> runs;
  int64_t width = 0;
  int64_t pad_left = 0;
  int64_t pad_code = 0;
  int64_t channels = 0;  // of the weights; the last eight are used
  std::unique_ptr<GuardedBuffer<int8_t>> weights;
  GuardedBuffer<float> scale, offset;
  GuardedBuffer<int32_t> start{kChannels};
  SumsEpilogue epilogue{};

  Problem(const DepthwiseS8Variant& variant, int64_t outputs, uint32_t seed) : scale(kChannels), offset(kChannels) {
    std::mt19937 random = generator(seed);
    std::uniform_int_distribution<int> byte(-128, 127);
    std::uniform_real_distribution<float> real(-1.0f, 1.0f);
    const uint32_t extreme = seed % kExtremes;
    const int64_t kernel = variant.kernel;

    pad_left = seed % variant.kernel;
    const int64_t needed = (outputs - 1) * variant.stride + kernel - pad_left;
    const int64_t widths[] = {needed, needed - 1, needed + 3, needed - kernel / 2, 1, needed - 2, needed / 2};
    width = std::max<int64_t>(1, choice(widths, seed / 3));
    const int64_t pad_codes[] = {0, -128, 127, byte(random)};
    pad_code = choice(pad_codes, random());

    const Flush flush = seed % 2 == 0 ? Flush::kEnd : Flush::kStart;
    row_count = 1 + seed / 7 % 3;
    const int64_t input_rows = kernel + (row_count - 1) * variant.stride;
    for (int64_t r = 0; r < input_rows; r += runs.back().count) {
      runs.push_back({nullptr, 1});
      if (random() % 8 == 0) continue;
      runs.back().count = std::min<int64_t>(1 + random() % 3, input_rows - r);
      const int64_t bytes = runs.back().count * width * kChannels;
      runs.back().bytes = std::make_unique<GuardedBuffer<int8_t>>(static_cast<size_t>(bytes), flush);
      GuardedBuffer<int8_t>& row = *runs.back().bytes;
      for (size_t i = 0; i < row.size(); ++i) {
        row[i] = static_cast<int8_t>(extreme == kMinimum ? -128 : byte(random));
        if (extreme == kSaturated) row[i] = row[i] < 0 ? -128 : 127;
      }
    }
    channels = seed % 5 == 0 ? 1 + static_cast<int64_t>(random() % 20) : kChannels;
    weights = std::make_unique<GuardedBuffer<int8_t>>(static_cast<size_t>(channels * kernel * kernel), flush);
    const int sign = seed % 4 < 2 ? 1 : -1;
    for (size_t i = 0; i < weights->size(); ++i) {
      (*weights)[i] = static_cast<int8_t>(extreme == kMinimum ? sign * 127 : std::max(-127, byte(random)));
    }

    for (size_t i = 0; i < scale.size(); ++i) {
      scale[i] = real(random) * (extreme == kSaturated ? 4.0f : (extreme == kTiny ? 1e-12f : 4e-3f));
      offset[i] = extreme == kTiny ? 0.0f : real(random) * 30.0f;
      if (extreme == kHalves) {  // every second value falls between two integers, or just on one
        scale[i] = 1.0f / 128.0f;
        offset[i] = std::round(real(random) * 8.0f) + 0.5f;
      }
      const float special[] = {3e38f, -3e38f, 0.0f, -0.0f, 1e-42f, 1.0f};
      if (extreme == kSpecial && random() % 2 == 0) scale[i] = choice(special, random());
      if (extreme == kSpecial && random() % 2 == 0) offset[i] = choice(special, random());
    }
    const edgedeploy::SumsOutput outputs_of[] = {edgedeploy::kSumsToS8, edgedeploy::kSumsToF32,
                                                 edgedeploy::kSumsToS8Folded};
    epilogue.output = outputs_of[seed / kExtremes % 3];
    const bool gated = seed / kExtremes / 3 % 2 == 1;
    if (epilogue.output == edgedeploy::kSumsToS8Folded) fold(gated, &random);
    const CodeRange& codes = choice(kCodeRanges, random());
    const ValueRange& values = choice(kValueRanges, random());
    epilogue.low_code = codes.low;
    epilogue.high_code = codes.high;
    epilogue.low_value = values.low;
    epilogue.high_value = values.high;
    if (gated) (extreme == kSpecial ? set_curve : set_gate)(static_cast<uint32_t>(random()), &epilogue);
  }

  // Starts and offsets as an operator makes them: results within 2^15 of 1.5 * 2^23, on both sides of every limit;
  // of zero where a gate follows.
  void fold(bool gated, std::mt19937* random) {
    constexpr int32_t kStartBits = 0x4b400000;
    const float scales[] = {0.0f, 0x1p-10f, -0x1p-10f, 0x1p-13f, 1e-3f, 1e-5f};
    for (size_t n = 0; n < start.size(); ++n) {
      start[n] = kStartBits + static_cast<int32_t>((*random)() % 8192) - 4096;
      scale[n] = choice(scales, (*random)());
      offset[n] = 12582912.0f - std::nearbyint(12582912.0f * scale[n]) + static_cast<float>((*random)() % 200) - 100.0f;
      if (gated) offset[n] = static_cast<float>((*random)() % 200) - 100.0f - 12582912.0f * scale[n];
    }
  }
};

// C of a problem, with bytes between its quads that nobody may write.
struct Output {
  size_t quad_bytes, quad_stride_bytes;
  GuardedBuffer<char> c;

  // outputs: of all rows.
  Output(const SumsEpilogue& epilogue, int64_t outputs, uint32_t seed)
      : quad_bytes(static_cast<size_t>(outputs) * (epilogue.output == edgedeploy::kSumsToF32 ? 16 : 8)),
        quad_stride_bytes(epilogue.output == edgedeploy::kSumsToF32 ? quad_bytes + 16 * (seed % 3) : 0),
        c(quad_stride_bytes + quad_bytes, seed % 4 == 1 ? Flush::kStart : Flush::kEnd) {
    std::memset(c.data(), kUntouched, c.size());
  }

  bool gap_untouched() const {
    if (quad_stride_bytes == 0) return true;
    return std::all_of(c.data() + quad_bytes, c.data() + quad_stride_bytes, [](char b) { return b == kUntouched; });
  }
};

// Prepares, packs and runs; false if registers changed.
bool compute(const CaseId& id, const DepthwiseS8Variant& variant, const Problem& problem, int64_t outputs,
             Output& out) {
  const Flush flush = id.seed % 3 == 0 ? Flush::kStart : Flush::kEnd;
  std::vector<std::unique_ptr<GuardedBuffer<int8_t>>> prepared;
  const int64_t input_rows = variant.kernel + (problem.row_count - 1) * variant.stride;
  GuardedBuffer<const int8_t*> rows(static_cast<size_t>(input_rows));
  size_t next_row = 0;
  for (const RowRun& run : problem.runs) {
    const size_t bytes = static_cast<size_t>(run.count) * variant.row_bytes(outputs);
    prepared.push_back(std::make_unique<GuardedBuffer<int8_t>>(bytes, flush));
    for (int64_t r = 0; r < run.count; ++r) {
      rows[next_row++] = prepared.back()->data() + static_cast<size_t>(r) * variant.row_bytes(outputs);
    }
    DepthwiseS8RowParams params{};
    params.src = run.bytes == nullptr ? nullptr : run.bytes->data();
    params.row_count = run.count;
    params.width = problem.width;
    params.pad_left = problem.pad_left;
    params.outputs = outputs;
    params.pad_code = problem.pad_code;
    params.dst = prepared.back()->data();
    if (!call_kernel(id, variant.prepare, params)) return false;
  }
  const size_t blocks = static_cast<size_t>((problem.channels + kChannels - 1) / kChannels);
  GuardedBuffer<int8_t> packed(blocks * variant.packed_bytes, flush);
  variant.pack(problem.weights->data(), problem.channels, packed.data());

  DepthwiseS8Params params{};
  params.rows = rows.data();
  params.weights = packed.data() + (blocks - 1) * variant.packed_bytes;
  params.outputs = outputs;
  params.scale = problem.scale.data();
  params.offset = problem.offset.data();
  params.c = out.c.data();
  params.c_quad_stride_bytes = static_cast<int64_t>(out.quad_stride_bytes);
  params.epilogue = problem.epilogue;
  params.start = problem.start.data();
  params.row_count = problem.row_count;
  return call_kernel(id, variant.run, params);
}

bool same_outputs(const CaseId& id, const SumsEpilogue& epilogue, const Output& got, const Output& expected) {
  const bool floats = epilogue.output == edgedeploy::kSumsToF32;
  const auto value_at = [floats](const Output& out, size_t index) {
    if (!floats) return static_cast<float>(static_cast<int8_t>(out.c[index]));
    const size_t values = out.quad_bytes / sizeof(float);
    const size_t at = index / values * out.quad_stride_bytes + index % values * sizeof(float);
    float value;
    std::memcpy(&value, out.c.data() + at, sizeof(float));
    return value;
  };
  const size_t count = floats ? 2 * got.quad_bytes / sizeof(float) : got.quad_bytes;
  for (size_t i = 0; i < count; ++i) {
    const float left = value_at(got, i);
    const float right = value_at(expected, i);
    if (same_value(id.row->tolerance, left, right)) continue;
    char text[128];
    std::snprintf(text, sizeof(text), "value %zu of %zu is %.9g, the reference has %.9g", i, count,
                  static_cast<double>(left), static_cast<double>(right));
    report_failure(id, text);
    return false;
  }
  if (got.gap_untouched()) return true;
  report_failure(id, "a byte between the quads of C was written");
  return false;
}

bool check(const CaseId& id, int64_t outputs) {
  const DepthwiseS8Variant& variant = *id.row->depthwise;
  const DepthwiseS8Variant& reference = *edgedeploy::find_kernel(id.row->reference)->depthwise;
  if (variant.kernel != reference.kernel || variant.stride != reference.stride ||
      variant.row_bytes(outputs) % 16 != 0 || variant.packed_bytes % 16 != 0) {
    report_failure(id, "the variant's window or sizes are wrong");
    return false;
  }
  const Problem problem(variant, outputs, id.seed);
  Output got(problem.epilogue, problem.row_count * outputs, id.seed);
  Output expected(problem.epilogue, problem.row_count * outputs, id.seed);
  return compute(id, variant, problem, outputs, got) && compute(id, reference, problem, outputs, expected) &&
         same_outputs(id, problem.epilogue, got, expected);
}

}  // namespace

Outcome test_depthwise(const KernelRow& row, const Selection& selection) {
  Outcome outcome;
  uint32_t first_seed = 0;
  for (int64_t outputs : kOutputs) {
    for (uint32_t seed = first_seed; seed < first_seed + kSeeds; ++seed) {
      const CaseId id{&row, "x" + std::to_string(outputs), seed};
      if (!wanted(selection, id.shape, seed)) continue;
      ++outcome.cases;
      if (!check(id, outputs)) ++outcome.failures;
    }
    first_seed += kSeeds;
  }
  return outcome;
}

}  // namespace edgedeploy_tests
