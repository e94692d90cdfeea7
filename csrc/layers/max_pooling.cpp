#include "layers/max_pooling.h"

#include <cpu.h>
#include <layer_type.h>
#include <paramdict.h>

#include <algorithm>
#include <cstdint>

#include "layers/codes_beside.h"
#include "layers/rectified_sum_asimdhp.h"
#include "layers/window_maxima.h"

namespace edgedeploy {

namespace {

// Pooling's parameter ids and values, as ncnn's src/layer/pooling.cpp reads them.
constexpr int kParamType = 0;
constexpr WindowIds kIds = {1, 2, 3, 11, 12, 13, 14, 15};
constexpr int kParamGlobal = 4;
constexpr int kParamPadMode = 5;
constexpr int kParamAdaptive = 7;
constexpr int kMaximum = 0;
constexpr int kFull = 0;
constexpr int kValid = 1;

constexpr int kGroup = 8;

// The part of a window along an axis that lies in the input.
struct Span {
  int begin, end;
};

Span inside(int output, int stride, int pad, int kernel, int size) {
  const int first = output * stride - pad;
  return {std::max(first, 0), std::min(first + kernel, size)};
}

// The largest of `count` rows, for the bytes [from, to) of each.
template <typename Some>
void column_maxima(const char* rows, int64_t row_bytes, int count, int64_t from, int64_t to, char* columns) {
  constexpr int64_t kBytes = sizeof(Some);
  int64_t at = from;
  if (count == 3) {
    for (; at + kBytes <= to; at += kBytes) {
      const char* const top = rows + at;
      const Some two = larger(load<Some>(top), load<Some>(top + row_bytes));
      store(columns + at, larger(two, load<Some>(top + 2 * row_bytes)));
    }
    return;
  }
  for (; at + kBytes <= to; at += kBytes) {
    Some most = load<Some>(rows + at);
    for (int r = 1; r < count; ++r) most = larger(most, load<Some>(rows + at + r * row_bytes));
    store(columns + at, most);
  }
}

// The largest pixel of `count` neighbours, for every `step`-th.
template <typename Kind>
void row_maxima(const char* from, int64_t step, int count, int outputs, char* into) {
  constexpr int64_t kBytes = sizeof(typename Kind::Pixel);
  for (int i = 0; i < outputs; ++i, from += step * kBytes, into += kBytes) {
    typename Kind::Pixel most = load<typename Kind::Pixel>(from);
    if (count == 3) {
      most = larger(larger(most, load<typename Kind::Pixel>(from + kBytes)),
                    load<typename Kind::Pixel>(from + 2 * kBytes));
    } else {
      for (int k = 1; k < count; ++k) most = larger(most, load<typename Kind::Pixel>(from + k * kBytes));
    }
    store(into, most);
  }
}

struct Size {
  int width, height;
};

// Outputs whose windows reach over neither end of a row.
Span whole_windows(const Window& w, int in_width, int out_width) {
  const int first = std::min(out_width, (w.padding.left + w.stride_w - 1) / w.stride_w);
  const int reach = in_width + w.padding.left - w.kernel_w;
  return {first, std::clamp(reach < 0 ? 0 : reach / w.stride_w + 1, first, out_width)};
}

// A plane of eight channels. columns: room for a row of the input.
template <typename Kind>
void pool_plane(const Window& w, const Size& in, const Size& out, const char* plane, char* columns, char* into) {
  constexpr int64_t kBytes = sizeof(typename Kind::Pixel);
  const int64_t row_bytes = in.width * kBytes;
  const int64_t whole = row_bytes / 16 * 16;
  const Span inner = whole_windows(w, in.width, out.width);
  for (int oy = 0; oy < out.height; ++oy, into += out.width * kBytes) {
    const Span y = inside(oy, w.stride_h, w.padding.top, w.kernel_h, in.height);
    const char* const rows = plane + y.begin * row_bytes;
    column_maxima<typename Kind::Vector>(rows, row_bytes, y.end - y.begin, 0, whole, columns);
    column_maxima<typename Kind::Pixel>(rows, row_bytes, y.end - y.begin, whole, row_bytes, columns);
    const auto at_edge = [&](int ox) {
      const Span x = inside(ox, w.stride_w, w.padding.left, w.kernel_w, in.width);
      row_maxima<Kind>(columns + x.begin * kBytes, 1, x.end - x.begin, 1, into + ox * kBytes);
    };
    for (int ox = 0; ox < inner.begin; ++ox) at_edge(ox);
    row_maxima<Kind>(columns + (inner.begin * w.stride_w - w.padding.left) * kBytes, w.stride_w, w.kernel_w,
                     inner.end - inner.begin, into + inner.begin * kBytes);
    for (int ox = inner.end; ox < out.width; ++ox) at_edge(ox);
  }
}

// The same for windows of 3x3 pixels, two apart, without columns in memory. A row that is padding counts as its
// neighbour, which it cannot exceed.
template <typename Kind>
void pool_plane_3x3s2(const Window& w, const Size& in, const Size& out, const char* plane, char* /*columns*/,
                      char* into) {
  using Pixel = typename Kind::Pixel;
  constexpr int64_t kBytes = sizeof(Pixel);
  const Span inner = whole_windows(w, in.width, out.width);
  for (int oy = 0; oy < out.height; ++oy, into += out.width * kBytes) {
    const Span y = inside(oy, 2, w.padding.top, 3, in.height);
    const char* rows[3];
    for (int r = 0; r < 3; ++r) rows[r] = plane + std::min(y.begin + r, y.end - 1) * in.width * kBytes;
    const auto at_edge = [&](int ox) {
      const Span x = inside(ox, 2, w.padding.left, 3, in.width);
      Pixel most = largest_of_three<Pixel>(rows, x.begin * kBytes);
      for (int i = x.begin + 1; i < x.end; ++i) most = larger(most, largest_of_three<Pixel>(rows, i * kBytes));
      store(into + ox * kBytes, most);
    };
    for (int ox = 0; ox < inner.begin; ++ox) at_edge(ox);
    if (inner.begin < inner.end) {
      const int64_t first = (inner.begin * 2 - w.padding.left) * kBytes;
      const char* const from[] = {rows[0] + first, rows[1] + first, rows[2] + first};
      maxima_3x3s2(from, inner.end - inner.begin, into + inner.begin * kBytes, Kind());
    }
    for (int ox = inner.end; ox < out.width; ++ox) at_edge(ox);
  }
}

template <typename Kind>
auto pool_for(const Window& w) {
  const bool is_3x3s2 = w.kernel_w == 3 && w.kernel_h == 3 && w.stride_w == 2 && w.stride_h == 2;
  return is_3x3s2 ? pool_plane_3x3s2<Kind> : pool_plane<Kind>;
}

// No window is of padding alone.
bool meets_pixels(int kernel, int stride, int before, int after, bool full) {
  return stride > 0 && before >= 0 && before < kernel && after >= 0 && after < kernel &&
         (!full || stride <= kernel - after);
}

// As the engine counts outputs along an axis; a partial window at the end counts, too, by the rule `full`.
int outputs_of(int size, int before, int after, int kernel, int stride, bool full) {
  const int room = size + before + after - kernel;
  return room < 0 ? 0 : (full ? (room + stride - 1) / stride : room / stride) + 1;
}

}  // namespace

MaxPooling::MaxPooling() : AroundStock(ncnn::LayerType::Pooling) {}

int MaxPooling::load_param(const ncnn::ParamDict& pd) {
  const Window& w = window_;
  read_extents(pd, kIds, &window_);
  const int mode = pd.get(kParamPadMode, 0);
  takes_partial_windows_ = mode == kFull;
  is_maximum_ = pd.get(kParamType, 0) == kMaximum && pd.get(kParamGlobal, 0) == 0 && pd.get(kParamAdaptive, 0) == 0 &&
                (mode == kFull || mode == kValid) &&
                meets_pixels(w.kernel_w, w.stride_w, w.padding.left, w.padding.right, takes_partial_windows_) &&
                meets_pixels(w.kernel_h, w.stride_h, w.padding.top, w.padding.bottom, takes_partial_windows_);
  return AroundStock::load_param(pd);
}

int MaxPooling::create_pipeline(const ncnn::Option& opt) {
  has_halves_ = is_maximum_ && opt.use_packing_layout && opt.use_fp16_storage && opt.use_fp16_arithmetic &&
                ncnn::cpu_support_arm_asimdhp();
  return AroundStock::create_pipeline(opt);
}

int MaxPooling::forward(const ncnn::Mat& bottom_blob, ncnn::Mat& top_blob, const ncnn::Option& opt) const {
  const bool is_ours = computed_here() && bottom_blob.dims == 3 && bottom_blob.elempack == kGroup &&
                       bottom_blob.elembits() == (codes_ ? 8 : 16);
  if (!is_ours) return codes_ ? kFailed : AroundStock::forward(bottom_blob, top_blob, opt);
  const Window& w = window_;
  const Size in = {bottom_blob.w, bottom_blob.h};
  const Size out = {
      outputs_of(in.width, w.padding.left, w.padding.right, w.kernel_w, w.stride_w, takes_partial_windows_),
      outputs_of(in.height, w.padding.top, w.padding.bottom, w.kernel_h, w.stride_h, takes_partial_windows_)};
  if (out.width <= 0 || out.height <= 0) return kFailed;
  const bool writes_beside = !codes_ && scale_beside_ != 0;
  if (writes_beside) {
    top_blob = create_with_codes(out.width, out.height, bottom_blob.c, opt.blob_allocator);
  } else {
    top_blob.create(out.width, out.height, bottom_blob.c, bottom_blob.elemsize, kGroup, opt.blob_allocator);
  }
  ncnn::Mat columns;
  columns.create(in.width, opt.num_threads, bottom_blob.elemsize, kGroup, opt.workspace_allocator);
  if (top_blob.empty() || columns.empty()) return kOutOfMemory;
  const auto pool = codes_ ? pool_for<Codes>(w) : pool_for<Halves>(w);

#pragma omp parallel for num_threads(opt.num_threads)
  for (int q = 0; q < bottom_blob.c; ++q) {
    const ncnn::Mat from = bottom_blob.channel(q);
    ncnn::Mat into = top_blob.channel(q);
    pool(w, in, out, static_cast<const char*>(from.data), columns.row<char>(ncnn::get_omp_thread_num()),
         static_cast<char*>(into.data));
#if defined(__aarch64__)
    if (writes_beside) {
      const int64_t count = int64_t{out.width} * out.height * kGroup;
      const size_t to_plane = static_cast<size_t>(q) * top_blob.cstep * top_blob.elemsize;
      codes_of_halves(into, count, scale_beside_, codes_beside(top_blob) + to_plane);
    }
#endif
  }
  return kOk;
}

}  // namespace edgedeploy
