#include "layers/codes_concat.h"

#include <layer_type.h>
#include <paramdict.h>

#include <cstring>

#if defined(__aarch64__)
#include <arm_neon.h>
#endif

namespace edgedeploy {

namespace {

// Four registers a load and a store: half of what memcpy's pairs take of the A76's load and store pipes.
void copy_bytes(const int8_t* from, size_t count, int8_t* into) {
#if defined(__aarch64__)
  constexpr size_t kStep = 64;
  for (; count >= kStep; count -= kStep, from += kStep, into += kStep) vst1q_s8_x4(into, vld1q_s8_x4(from));
#endif
  std::memcpy(into, from, count);
}

}  // namespace

CodesConcat::CodesConcat() : AroundStock(ncnn::LayerType::Concat) {}

int CodesConcat::load_param(const ncnn::ParamDict& pd) {
  constexpr int kParamAxis = 0;
  of_channels_ = pd.get(kParamAxis, 0) == 0;
  return AroundStock::load_param(pd);
}

int CodesConcat::forward(const std::vector<ncnn::Mat>& bottom_blobs, std::vector<ncnn::Mat>& top_blobs,
                         const ncnn::Option& opt) const {
  if (!codes_) return AroundStock::forward(bottom_blobs, top_blobs, opt);
  const ncnn::Mat& first = bottom_blobs.front();
  int planes = 0;
  for (const ncnn::Mat& blob : bottom_blobs) {
    const bool fits = blob.dims == 3 && blob.elembits() == 8 && blob.elempack == first.elempack && blob.w == first.w &&
                      blob.h == first.h;
    if (!fits) return kFailed;
    planes += blob.c;
  }
  ncnn::Mat& top = top_blobs.front();
  top.create(first.w, first.h, planes, first.elemsize, first.elempack, opt.blob_allocator);
  if (top.empty()) return kOutOfMemory;
  // Planes lie equally far apart in all of them.
  const size_t plane_bytes = top.cstep * top.elemsize;
  int8_t* into = static_cast<int8_t*>(top.data);
  for (const ncnn::Mat& blob : bottom_blobs) {
    const int8_t* from = static_cast<const int8_t*>(blob.data);
#pragma omp parallel for num_threads(opt.num_threads)
    for (int q = 0; q < blob.c; ++q) {
      const size_t at = static_cast<size_t>(q) * plane_bytes;
      copy_bytes(from + at, plane_bytes, into + at);
    }
    into += static_cast<size_t>(blob.c) * plane_bytes;
  }
  return kOk;
}

}  // namespace edgedeploy
