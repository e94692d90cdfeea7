#include "layers/rectified_sum.h"

#include <cpu.h>
#include <layer_type.h>
#include <paramdict.h>

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "layers/codes_beside.h"
#include "layers/codes_of_floats.h"
#include "layers/output_tile.h"
#include "layers/rectified_sum_asimdhp.h"

namespace edgedeploy {

namespace {

// BinaryOp's parameter ids and values, as ncnn's src/layer/binaryop.cpp reads them.
constexpr int kParamOperation = 0;
constexpr int kParamWithScalar = 1;
constexpr int kAdd = 0;

using Floats = float __attribute__((vector_size(16)));
using Words = int32_t __attribute__((vector_size(16)));

inline Floats load(const float* at) {
  Floats values;
  std::memcpy(&values, at, sizeof(values));
  return values;
}

// Negative floats are negative integers, too.
inline Floats rectified(Floats values) {
  Words bits;
  std::memcpy(&bits, &values, sizeof(bits));
  bits = bits > 0 ? bits : Words{};
  std::memcpy(&values, &bits, sizeof(values));
  return values;
}

void add(const float* a, const float* b, int64_t count, float* into) {
  int64_t i = 0;
  for (; i + kQuad <= count; i += kQuad) {
    const Floats sums = rectified(load(a + i) + load(b + i));
    std::memcpy(into + i, &sums, sizeof(sums));
  }
  for (; i < count; ++i) into[i] = std::max(a[i] + b[i], 0.0f);
}

// Of two planes of four channels each, `quad_stride` apart, to pixels of eight codes.
void add_to_codes(const float* a, const float* b, int64_t quad_stride, int64_t pixels, float scale, int8_t* codes) {
  for (int64_t i = 0; i < pixels * kQuad; i += kQuad, codes += kChannelGroup) {
    const Floats low = rectified(load(a + i) + load(b + i));
    const Floats high = rectified(load(a + quad_stride + i) + load(b + quad_stride + i));
    float values[2][kQuad];
    std::memcpy(values[0], &low, sizeof(low));
    std::memcpy(values[1], &high, sizeof(high));
    codes_of_8(values[0], values[1], scale, codes);
  }
}

bool are_alike(const ncnn::Mat& a, const ncnn::Mat& b) {
  return a.dims == b.dims && a.w == b.w && a.h == b.h && a.d == b.d && a.c == b.c && a.elemsize == b.elemsize &&
         a.elempack == b.elempack;
}

}  // namespace

RectifiedSum::RectifiedSum() : AroundStock(ncnn::LayerType::BinaryOp) {}

int RectifiedSum::load_param(const ncnn::ParamDict& pd) {
  adds_ = pd.get(kParamOperation, 0) == kAdd && pd.get(kParamWithScalar, 0) == 0;
  return AroundStock::load_param(pd);
}

int RectifiedSum::create_pipeline(const ncnn::Option& opt) {
  const bool stores_halves = opt.use_fp16_storage && ncnn::cpu_support_arm_asimdhp();
  has_halves_ = stores_halves && opt.use_fp16_arithmetic;
  adds_ = adds_ && opt.use_packing_layout && !opt.use_bf16_storage && (has_halves_ || !stores_halves);
  return AroundStock::create_pipeline(opt);
}

// Of blobs of these types and shapes. Others are the engine's: such as a sum of a map and a value a channel.
bool RectifiedSum::is_fast(const ncnn::Mat& a, const ncnn::Mat& b) const {
  if (!are_alike(a, b) || a.elembits() != (has_halves_ ? 16 : 32)) return false;
  if (!has_halves_ && a.cstep != b.cstep) return false;
  if (code_scale_ == 0) return true;
  return a.dims == 3 && (has_halves_ ? a.elempack == kChannelGroup : a.elempack == kQuad && a.c % 2 == 0);
}

int RectifiedSum::as_stock(const std::vector<ncnn::Mat>& bottom_blobs, ncnn::Mat& top, const ncnn::Option& opt) const {
  std::vector<ncnn::Mat> sums(1);
  const int code = AroundStock::forward(bottom_blobs, sums, opt);
  if (code != kOk) return code;
  top = sums.front();
  const int64_t count = static_cast<int64_t>(top.total()) * top.elempack;
  if (top.elembits() == 16) {
    int16_t* bits = static_cast<int16_t*>(top.data);
    for (int64_t i = 0; i < count; ++i) bits[i] = std::max(bits[i], int16_t{0});
  } else {
    float* values = static_cast<float*>(top.data);
    for (int64_t i = 0; i < count; ++i) values[i] = std::max(values[i], 0.0f);
  }
  if (code_scale_ == 0) return kOk;
  ncnn::Mat scale(1);
  ncnn::Mat codes;
  if (scale.empty()) return kOutOfMemory;
  scale[0] = code_scale_;
  ncnn::quantize_to_int8(top, codes, scale, opt);
  if (codes.empty()) return kOutOfMemory;
  ncnn::convert_packing(codes, top, kChannelGroup, opt);
  return top.empty() ? kOutOfMemory : kOk;
}

int RectifiedSum::forward(const std::vector<ncnn::Mat>& bottom_blobs, std::vector<ncnn::Mat>& top_blobs,
                          const ncnn::Option& opt) const {
  if (!rectifies_) return AroundStock::forward(bottom_blobs, top_blobs, opt);
  const ncnn::Mat& a = bottom_blobs[0];
  const ncnn::Mat& b = bottom_blobs[1];
  ncnn::Mat& top = top_blobs[0];
  if (!is_fast(a, b)) return as_stock(bottom_blobs, top, opt);
  const bool to_codes = code_scale_ != 0;
  const bool writes_beside = scale_beside_ != 0 && a.dims == 3 && a.elempack == kChannelGroup;
  if (to_codes) {
    top.create(a.w, a.h, a.c * a.elempack / kChannelGroup, size_t{kChannelGroup}, kChannelGroup, opt.blob_allocator);
  } else if (writes_beside) {
    top = create_with_codes(a.w, a.h, a.c, opt.blob_allocator);
  } else {
    top.create_like(a, opt.blob_allocator);
  }
  if (top.empty()) return kOutOfMemory;
  const int64_t pixels = int64_t{a.w} * a.h * a.d;

#pragma omp parallel for num_threads(opt.num_threads)
  for (int q = 0; q < top.c; ++q) {
    const size_t to_plane = static_cast<size_t>(q) * top.cstep * top.elemsize;
    void* into = static_cast<char*>(top.data) + to_plane;
    const size_t first = static_cast<size_t>(to_codes && !has_halves_ ? 2 * q : q);
    const void* left = static_cast<const char*>(a.data) + first * a.cstep * a.elemsize;
    const void* right = static_cast<const char*>(b.data) + first * b.cstep * b.elemsize;
#if defined(__aarch64__)
    if (has_halves_) {
      const __fp16* halves[] = {static_cast<const __fp16*>(left), static_cast<const __fp16*>(right)};
      const int64_t count = pixels * a.elempack;
      __fp16* sums = static_cast<__fp16*>(into);
      if (to_codes) {
        add_halves_to_codes(halves[0], halves[1], count, code_scale_, static_cast<int8_t*>(into));
      } else if (writes_beside) {
        add_halves_beside_codes(halves[0], halves[1], count, scale_beside_, sums, codes_beside(top) + to_plane);
      } else {
        add_halves(halves[0], halves[1], count, sums);
      }
      continue;
    }
#endif
    const float* floats[] = {static_cast<const float*>(left), static_cast<const float*>(right)};
    if (to_codes) {
      const int64_t quad_stride = static_cast<int64_t>(a.cstep) * kQuad;
      add_to_codes(floats[0], floats[1], quad_stride, pixels, code_scale_, static_cast<int8_t*>(into));
    } else {
      add(floats[0], floats[1], pixels * a.elempack, static_cast<float*>(into));
    }
  }
  return kOk;
}

}  // namespace edgedeploy
