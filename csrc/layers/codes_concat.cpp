#include "layers/codes_concat.h"

#include <layer_type.h>
#include <paramdict.h>

#include <cstring>

namespace edgedeploy {

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
  int next = 0;
  for (const ncnn::Mat& blob : bottom_blobs) {
    // Planes lie equally far apart in both.
    std::memcpy(top.channel(next), blob.data, blob.cstep * blob.elemsize * static_cast<size_t>(blob.c));
    next += blob.c;
  }
  return kOk;
}

}  // namespace edgedeploy
