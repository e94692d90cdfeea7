#include "layers/interleaved_input.h"

#include <cpu.h>

#include <cstring>

#include "layers/codes_of_floats.h"
#include "layers/image_codes_asimdhp.h"
#include "layers/over_stock.h"

namespace edgedeploy {

namespace {

inline int8_t to_code(float value, float scale) { return code_of(value, scale); }
inline int8_t to_code(int8_t value, float /*scale*/) { return value; }

#if defined(__aarch64__)
// Pixels of an image's row by sixteens; returns how many.
int image_row(const float* const* planes, int width, float scale, int8_t* row) {
  const float32x4_t scales = vdupq_n_f32(scale);
  int x = 0;
  for (; x + 16 <= width; x += 16) {
    const int8x16x3_t pixels = {
        {codes_of_16(planes[0] + x, scales), codes_of_16(planes[1] + x, scales), codes_of_16(planes[2] + x, scales)}};
    vst3q_s8(row + int64_t{x} * kImageChannels, pixels);
  }
  return x;
}

int image_row(const int8_t* const* planes, int width, float /*scale*/, int8_t* row) {
  int x = 0;
  for (; x + 16 <= width; x += 16) {
    const int8x16x3_t pixels = {{vld1q_s8(planes[0] + x), vld1q_s8(planes[1] + x), vld1q_s8(planes[2] + x)}};
    vst3q_s8(row + int64_t{x} * kImageChannels, pixels);
  }
  return x;
}
#else
template <typename Value>
int image_row(const Value* const* /*planes*/, int /*width*/, float /*scale*/, int8_t* /*row*/) {
  return 0;
}
#endif

template <typename Value>
void fill_row(const ncnn::Mat& blob, int y, float scale, int8_t* row) {
  int done = 0;
  if (blob.c == kImageChannels) {
    const Value* planes[kImageChannels];
    for (int c = 0; c < kImageChannels; ++c) planes[c] = blob.channel(c).row<const Value>(y);
    done = image_row(planes, blob.w, scale, row);
  }
  for (int c = 0; c < blob.c; ++c) {
    const Value* plane = blob.channel(c).row<const Value>(y);
    for (int x = done; x < blob.w; ++x) row[int64_t{x} * blob.c + c] = to_code(plane[x], scale);
  }
}

#if defined(__aarch64__)
void fill_row_by_halves(const ncnn::Mat& image, int y, float scale, int8_t* row) {
  const float* planes[kImageChannels];
  for (int c = 0; c < kImageChannels; ++c) planes[c] = image.channel(c).row<const float>(y);
  image_codes_by_halves(planes, image.w, scale, row);
}
#else
void fill_row_by_halves(const ncnn::Mat& /*image*/, int /*y*/, float /*scale*/, int8_t* /*row*/) {}
#endif

}  // namespace

int interleaved_input(const ncnn::Mat& blob, const ncnn::Mat& scale, const Window& window, const ncnn::Option& opt,
                      InterleavedInput* input) {
  ncnn::Option workspace = opt;
  workspace.blob_allocator = opt.workspace_allocator;
  ncnn::Mat plain = blob;
  // What the engine would keep as halves has the codes of halves.
  const bool by_halves = blob.elembits() == 32 && opt.use_fp16_storage && ncnn::cpu_support_arm_asimdhp() != 0;
  const bool in_registers = by_halves && opt.use_fp16_arithmetic && blob.c == kImageChannels && blob.elempack == 1;
  if (by_halves && !in_registers) ncnn::cast_float32_to_float16(blob, plain, workspace);
  if (plain.empty()) return kOutOfMemory;
  if (plain.elembits() == 16) {
    const ncnn::Mat halves = plain;
    ncnn::quantize_to_int8(halves, plain, scale, workspace);
  }
  if (plain.elempack != 1) {
    const ncnn::Mat packed = plain;
    ncnn::convert_packing(packed, plain, 1, workspace);
  }
  if (plain.empty()) return kOutOfMemory;

  const Padding padding = window.padding_for(plain.w, plain.h);
  const int rows = plain.h + padding.top + padding.bottom;
  input->pixel_bytes = plain.c;
  input->row_bytes = int64_t{plain.w + padding.left + padding.right} * plain.c;
  // A window's last bytes may reach over the end; they meet weights of zero.
  const int64_t bytes = input->row_bytes * rows + kInterleavedSlack;
  input->bytes.create(static_cast<int>(bytes), size_t{1}, opt.workspace_allocator);
  if (input->bytes.empty()) return kOutOfMemory;
  int8_t* data = static_cast<int8_t*>(input->bytes.data);
  memset(data + input->row_bytes * rows, 0, kInterleavedSlack);
  const int64_t left = int64_t{padding.left} * plain.c;
  const int64_t right = int64_t{padding.right} * plain.c;

#pragma omp parallel for num_threads(opt.num_threads)
  for (int y = 0; y < rows; ++y) {
    int8_t* row = data + y * input->row_bytes;
    const int source = y - padding.top;
    if (source < 0 || source >= plain.h) {
      memset(row, window.pad_code, static_cast<size_t>(input->row_bytes));
      continue;
    }
    memset(row, window.pad_code, static_cast<size_t>(left));
    memset(row + input->row_bytes - right, window.pad_code, static_cast<size_t>(right));
    if (plain.elembits() == 8) {
      fill_row<int8_t>(plain, source, 1.0f, row + left);
    } else if (in_registers) {
      fill_row_by_halves(plain, source, scale[0], row + left);
    } else {
      fill_row<float>(plain, source, scale[0], row + left);
    }
  }
  return kOk;
}

}  // namespace edgedeploy
