#include "layers/output_tile.h"

#include <cpu.h>

#if defined(__aarch64__)
#include <arm_neon.h>
#endif

#include <algorithm>
#include <cstring>

#include "layers/codes_of_floats.h"
#include "layers/over_stock.h"

namespace edgedeploy {

namespace {

#if defined(__aarch64__)
using Half = __fp16;
inline Half to_half(float value) { return static_cast<Half>(value); }
#else
using Half = unsigned short;
inline Half to_half(float value) { return ncnn::float32_to_float16(value); }
#endif

inline void assign(float& into, float value) { into = value; }
inline void assign(Half& into, float value) { into = to_half(value); }

#if defined(__aarch64__)
// Eight floats to a pixel of eight halves.
inline void to_halves(const float* low, const float* high, Half* halves) {
  const float16x8_t both = vcombine_f16(vcvt_f16_f32(vld1q_f32(low)), vcvt_f16_f32(vld1q_f32(high)));
  vst1q_f16(halves, both);
}
#else
inline void to_halves(const float* low, const float* high, Half* halves) {
  for (int i = 0; i < kChannelGroup; ++i) halves[i] = to_half(i < kQuad ? low[i] : high[i - kQuad]);
}
#endif

}  // namespace

OutputForm output_form(int channels, bool requantizes, bool fp16_storage, const ncnn::Option& opt) {
  const bool by_eights = channels % kChannelGroup == 0;
  if (requantizes) return {by_eights ? kChannelGroup : 1, sizeof(int8_t)};
  const bool in_halves = ncnn::cpu_support_arm_asimdhp() && opt.use_fp16_storage && opt.use_fp16_arithmetic;
  const size_t bytes = fp16_storage && opt.use_fp16_storage ? sizeof(Half) : sizeof(float);
  if (in_halves && by_eights) return {kChannelGroup, bytes};
  return {channels % kQuad == 0 ? kQuad : 1, bytes};
}

int create_output(int width, int height, int channels, const Epilogue& epilogue, bool fp16_storage,
                  const ncnn::Option& opt, ncnn::Mat* blob) {
  const OutputForm form = output_form(channels, epilogue.requantizes, fp16_storage, opt);
  const size_t bytes = form.value_bytes * static_cast<size_t>(form.elempack);
  blob->create(width, height, channels / form.elempack, bytes, form.elempack, opt.blob_allocator);
  return blob->empty() ? kOutOfMemory : kOk;
}

OutputTile::OutputTile(const Epilogue& epilogue, int channels, const ncnn::Mat& blob, float* tile, int64_t max_rows,
                       bool to_f16)
    : epilogue_(epilogue),
      channels_(channels),
      blob_(blob),
      data_(static_cast<int8_t*>(blob.data)),
      plane_bytes_(static_cast<int64_t>(blob.cstep * blob.elemsize)),
      group_bytes_(kChannelGroup / blob.elempack * plane_bytes_),
      codes_by_eights_(epilogue.requantizes && epilogue.in_registers && blob.elempack == kChannelGroup),
      halves_by_eights_(to_f16 && !epilogue.requantizes && epilogue.in_registers && blob.elempack == kChannelGroup &&
                        blob.elembits() == 16),
      floats_by_fours_(!epilogue.requantizes && epilogue.in_registers && blob.elempack == kQuad &&
                       blob.elemsize == kQuad * sizeof(float)),
      tile_(tile),
      quad_stride_(max_rows * kQuad) {}

void OutputTile::store_tile(int64_t first_pixel, int64_t rows, int group) {
  if (!epilogue_.in_registers) {
    activate(epilogue_.activation, tile_, rows * kQuad);
    activate(epilogue_.activation, tile_ + quad_stride_, rows * kQuad);
  }
  if (!epilogue_.requantizes) return store_floats(first_pixel, rows, group);
  if (!epilogue_.in_registers) requantize(rows);
  store_codes(reinterpret_cast<const int8_t*>(tile_), first_pixel, rows, group);
}

// As the engine: half away from zero, clamped to +-127. The codes take the place of the floats: those of a pixel are
// written after its floats are read, and lie before the next one's.
void OutputTile::requantize(int64_t rows) {
  int8_t* codes = reinterpret_cast<int8_t*>(tile_);
  for (int64_t row = 0; row < rows; ++row) {
    const float* low = tile_ + row * kQuad;
    codes_of_8(low, low + quad_stride_, epilogue_.output_scale, codes + row * kChannelGroup);
  }
}

void OutputTile::store_codes(const int8_t* codes, int64_t first_pixel, int64_t rows, int group) {
  if (blob_.elempack == kChannelGroup) {
    memcpy(data_ + group * plane_bytes_ + first_pixel * kChannelGroup, codes,
           static_cast<size_t>(rows * kChannelGroup));
    return;
  }
  const int first = group * kChannelGroup;
  for (int i = 0; i < std::min(kChannelGroup, channels_ - first); ++i) {
    int8_t* plane = data_ + (first + i) * plane_bytes_ + first_pixel;
    for (int64_t row = 0; row < rows; ++row) plane[row] = codes[row * kChannelGroup + i];
  }
}

namespace {

// `width` channels from `first` on, one after the other at `from`, to the pixels of a blob of any packing.
template <typename Element>
void scatter(const float* quads, int64_t quad_stride, int64_t rows, int first, int width, int64_t first_pixel,
             const ncnn::Mat& blob) {
  for (int i = 0; i < width; ++i) {
    const int channel = first + i;
    char* plane = static_cast<char*>(blob.data) + channel / blob.elempack * blob.cstep * blob.elemsize;
    Element* into = reinterpret_cast<Element*>(plane) + first_pixel * blob.elempack + channel % blob.elempack;
    const float* from = quads + i / kQuad * quad_stride + i % kQuad;
    for (int64_t row = 0; row < rows; ++row) assign(into[row * blob.elempack], from[row * kQuad]);
  }
}

}  // namespace

void OutputTile::store_floats(int64_t first_pixel, int64_t rows, int group) {
  const int first = group * kChannelGroup;
  const int width = std::min(kChannelGroup, channels_ - first);
  if (blob_.elembits() == 16 && blob_.elempack == kChannelGroup) {
    Half* into = reinterpret_cast<Half*>(data_ + group * group_bytes_) + first_pixel * kChannelGroup;
    for (int64_t row = 0; row < rows; ++row) {
      to_halves(tile_ + row * kQuad, tile_ + quad_stride_ + row * kQuad, into + row * kChannelGroup);
    }
  } else if (blob_.elembits() == 32 && blob_.elempack == kQuad) {
    for (int quad = 0; quad * kQuad < width; ++quad) {
      int8_t* plane = data_ + group * group_bytes_ + quad * plane_bytes_;
      memcpy(reinterpret_cast<float*>(plane) + first_pixel * kQuad, tile_ + quad * quad_stride_,
             static_cast<size_t>(rows * kQuad) * sizeof(float));
    }
  } else if (blob_.elembits() == 16) {
    scatter<Half>(tile_, quad_stride_, rows, first, width, first_pixel, blob_);
  } else {
    scatter<float>(tile_, quad_stride_, rows, first, width, first_pixel, blob_);
  }
}

}  // namespace edgedeploy
