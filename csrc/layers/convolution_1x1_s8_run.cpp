// The product itself: blocks of pixels shared among threads, in each block the output channels by eights.
#include <cpu.h>

#include <algorithm>

#include "layers/convolution_1x1_s8.h"
#include "layers/pack_activations.h"
#include "layers/store_floats.h"

namespace edgedeploy {

namespace {

constexpr int kOk = 0;
constexpr int kOutOfMemory = -100;

constexpr int32_t kGroup = 8;               // Channels of a packed int8 blob lie in eights.
constexpr int64_t kBlockBytes = 16 * 1024;  // Packed activations of a block: half of the smallest L1 data cache.
constexpr int64_t kMaxBlockPixels = 64;     // Bounds the float tile on the stack.

int64_t round_up(int64_t value, int64_t unit) { return (value + unit - 1) / unit * unit; }

// Pixels of a block: as many as the cache bound allows, but few enough that every thread gets some.
int64_t block_pixels(int64_t pixels, int64_t k, int32_t tile_m, int threads) {
  const int64_t by_cache = std::max<int64_t>(kBlockBytes / k, 1);
  const int64_t by_threads = (pixels + threads - 1) / threads;
  const int64_t wanted = std::min({by_cache, by_threads, kMaxBlockPixels - tile_m + 1});
  return round_up(std::max<int64_t>(wanted, 1), tile_m);
}

// Channels [first, first + params.n_end) of int8 into a blob of any packing.
void run_to_s8(const KernelRow& row, GemmS8Params& params, int32_t first, int64_t first_pixel, ncnn::Mat& blob) {
  const int32_t pack = blob.elempack;
  const int64_t plane_bytes = static_cast<int64_t>(blob.cstep * blob.elemsize);
  params.c = static_cast<int8_t*>(blob.data) + first / pack * plane_bytes + first_pixel * pack;
  params.c_row_stride_bytes = pack;
  params.c_col_stride_bytes = pack == kGroup ? 1 : plane_bytes;
  gemm_s8_run(row, params);
}

void run_to_floats(const KernelRow& row, GemmS8Params& params, int32_t first, int64_t first_pixel, ncnn::Mat& blob) {
  float tile[kMaxBlockPixels * kGroup];
  params.c = tile;
  params.c_row_stride_bytes = kGroup * static_cast<int64_t>(sizeof(float));
  params.c_col_stride_bytes = sizeof(float);
  gemm_s8_run(row, params);
  store_floats(tile, kGroup, params.m_end, params.n_end, first_pixel, first, blob);
}

}  // namespace

int Convolution1x1S8::run(const ncnn::Mat& input, ncnn::Mat& output, const ncnn::Option& opt) const {
  const int64_t pixels = int64_t{input.w} * input.h;
  const PackedBlob blob{static_cast<const int8_t*>(input.data), static_cast<int64_t>(input.cstep * input.elemsize),
                        input.elempack, num_input_};
  const int64_t block = block_pixels(pixels, num_input_, kernel_->tile_m, opt.num_threads);
  const int blocks = static_cast<int>((pixels + block - 1) / block);
  const size_t block_bytes = gemm_s8_packed_bytes(block, num_input_, kernel_->tile_m, kernel_->k_unit);
  const size_t group_bytes = gemm_s8_packed_bytes(kGroup, num_input_, kernel_->tile_n, kernel_->k_unit);
  ncnn::Mat workspace;
  workspace.create(static_cast<int>(block_bytes), opt.num_threads, size_t{1}, opt.workspace_allocator);
  if (workspace.empty()) return kOutOfMemory;

#pragma omp parallel for num_threads(opt.num_threads)
  for (int i = 0; i < blocks; ++i) {
    const int64_t begin = i * block;
    const int64_t end = std::min(begin + block, pixels);
    int8_t* packed = workspace.row<int8_t>(ncnn::get_omp_thread_num());
    pack_activations(blob, begin, end, kernel_->tile_m, kernel_->k_unit, packed);
    GemmS8Params params{};
    params.m_end = static_cast<int32_t>(end - begin);
    params.k = num_input_;
    params.packed_a = packed;
    params.epilogue = epilogue_;
    for (int32_t first = 0; first < num_output_; first += kGroup) {
      params.n_end = std::min(kGroup, num_output_ - first);
      params.packed_b =
          static_cast<const int8_t*>(packed_weights_.data) + first / kGroup * static_cast<int64_t>(group_bytes);
      params.scale = scale_.data() + first;
      params.bias = bias_padded_.data() + first;
      if (requantizes_) {
        run_to_s8(*kernel_, params, first, begin, output);
      } else {
        run_to_floats(*kernel_, params, first, begin, output);
      }
    }
  }
  return kOk;
}

}  // namespace edgedeploy
